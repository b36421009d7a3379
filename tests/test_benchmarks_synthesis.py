"""`benchmarks/synthesis.py` at tiny size: both sides make the same images, seconds count once, what is printed."""

import argparse
import re
import time

import numpy as np
import pytest
from datasets import load_dataset

from benchmarks.synthesis_overhead import CALLS, Stopwatch, costs, measure_overhead, report_overhead
from benchmarks.synthesis_pipelines import save_pipeline
from benchmarks.synthesis_runs import (
    CASES,
    measure_memory,
    measure_resume,
    measure_selection,
    report_memory,
    report_resume,
    report_selection,
    save_sources,
)

ARGS = argparse.Namespace(geometry="tiny", device="cpu", side=64, steps=2, variants=2, blocks=1)


@pytest.fixture(scope="module")
def overhead(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overhead")
    save_pipeline("tiny", folder / "pipeline")
    save_sources(2, 64, folder / "sources")
    return measure_overhead(folder / "pipeline", folder / "sources", ARGS)


def test_stopwatch_counts_every_second_once():
    watch = Stopwatch()
    begin = watch.since.copy()
    with watch.during("outer"):
        time.sleep(0.02)
        with watch.during("inner"):
            time.sleep(0.1)
    watch.timing(time.sleep, "inner")(0.1)
    watch.turn()
    wall, processor = watch.since - begin
    assert watch.seconds["inner"][0] >= 0.2 and watch.seconds["outer"][0] >= 0.02
    assert sum(watch.seconds.values()) == pytest.approx([wall, processor])
    assert processor < 0.1  # which sleeps


def test_stopwatch_goes_on_after_an_error():
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.during("failing"):
        raise ZeroDivisionError
    assert watch.names == ["rest"]


def test_sources_are_read_as_a_folder_of_images(tmp_path):
    paths = save_sources(2, 64, tmp_path / "sources")
    rows = load_dataset(str(tmp_path / "sources"), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["id"] for row in rows] == [path.stem for path in paths] == ["000000", "000001"]
    assert rows[0]["image"].size == (64, 64) and rows[0]["instruction"] != rows[1]["instruction"]


def test_both_sides_make_the_same_images(overhead):
    found, _, differing = overhead
    assert set(found) == {"ours", "ours_filtered", "peer"} and all(len(blocks) == 1 for blocks in found.values())
    assert differing == 0


def test_what_is_timed_is_there(overhead):
    found, elsewhere, _ = overhead
    everything = {
        "rest", "opening", "plan", "weights", CALLS, "around the pipeline", "source files", "filters",
        "waiting for the last part", "tables", "selection", "contact sheet",
    }  # fmt: skip
    assert set(found["ours_filtered"][0]) == everything and set(found["ours"][0]) == everything - {"filters"}
    assert elsewhere["ours"][0] > 0 and elsewhere["peer"] == [0]
    assert set(found["peer"][0]) == {"rest", "weights", CALLS, "source files", "image files"}
    for blocks in found.values():
        assert all(wall >= 0 for wall, _ in blocks[0].values()) and blocks[0][CALLS][0] > 0.01


def test_report_of_a_measurement(overhead, capsys):
    report_overhead(*overhead, 4, ARGS)
    out = capsys.readouterr().out
    assert "1 blocks of 4 images, 2 of a source" in out and "images that differ between the two: 0 of 4" in out
    assert re.search(r"ours / peer - 1 +wall -?\d+\.\d% \(.* to .*\), processor -?\d+\.\d% \(.* to .*\)", out)
    assert re.search(r"of the bare loop, for an image: ours \d+\.\d+%, bar 3%; the peer's own \d+\.\d+%\n$", out)


@pytest.mark.parametrize(("encoding", "missed"), [(0.2, False), (0.5, True)])
def test_arithmetic(encoding, missed, capsys):
    def block(**seconds):
        return {name: np.array([value, 2 * value]) for name, value in seconds.items()}

    peer = [block(weights=0.0, pipeline=10.0)]
    ours = [block(weights=2.0, pipeline=10.0, shards=0.05, rest=encoding)]
    found = {"peer": peer, "ours": ours, "ours_filtered": ours}
    each, once = costs(ours, 10)
    assert each == pytest.approx({"shards": 5.0, "rest": 100 * encoding}) and once == {"weights": 2.0}
    elsewhere = {"ours": [0.3], "ours_filtered": [0.3]}
    assert report_overhead(found, elsewhere, 0, 10, ARGS) == missed  # 25 or 55 ms for an image, of 1 s
    out = capsys.readouterr().out
    share = {0.2: "2.75% in a run of 800 images, 2.51% in a run of 28,720", 0.5: "5.75% in a run of 800 images"}
    assert f"if the pipeline took 1 s for an image: {share[encoding]}" in out
    assert f"wall {encoding / 10 + 0.205:.1%}" in out and "ms for an image in another thread: 30.0" in out


@pytest.mark.slow
def test_memory(capsys):
    name = "scenes, small shards"
    found = measure_memory((1, 2), jobs=1, cases={name: CASES[name]})
    assert set(found) == {name} and [set(run) for run in found[name]] == [{"before", "peak"}] * 2
    assert all(50 < run["before"] < run["peak"] < 1000 for run in found[name])
    report_memory(found, (1, 2))
    out = capsys.readouterr().out
    assert "for runs of 8 and 16 rows" in out and name in out


def test_memory_that_grows_misses_the_bar():
    def grown(to):
        return {"scenes": [{"before": 80.0, "peak": 100.0}, {"before": 80.0, "peak": to}]}

    assert report_memory(grown(106.0), (1, 20)) and not report_memory(grown(104.0), (1, 20))


def test_selection(capsys):
    found = measure_selection(2)
    assert found["rows"] == 16 and all(found[name] > 0 for name in ("made", "selected", "copied"))
    assert not report_selection(found) and report_selection({**found, "selected": 11.0})
    assert "another limit on a finished run of 16 rows" in capsys.readouterr().out


@pytest.mark.slow
def test_resume(capsys):
    found = measure_resume([9])  # 72 rows: one part is done, and one is to be made
    assert set(found) == {("scenes", 9), ("files", 9)}
    for runs in found.values():
        assert set(runs) == {"new", "continued"}
        assert all(0 < run["packages"] < run["first part"] for run in runs.values())
        assert all(run["processor"] > 0 for run in runs.values())
    report_resume(found)
    out = capsys.readouterr().out
    assert out.count("72 rows  new ") == 2 and out.count("continued ") == 3
