"""`evaluate_idc.py` on files of captions, and what it refuses."""

import json
import shutil

import pytest

from metrics.report import read_predictions
from tests.metrics.conftest import ANNOTATIONS, read_annotations
from tests.support import layouts
from tests.support.evaluation import RECORDS, SAID, quiet_place, results, run


@pytest.fixture(autouse=True, scope="module")
def place(tmp_path_factory):
    yield from quiet_place(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def spot(tmp_path_factory):
    """Spot-the-Diff in small: three pairs with sentences, one without."""
    folder = tmp_path_factory.mktemp("std") / "data"
    return layouts.spot_the_diff(folder, dict.fromkeys(("train", "val", "test"), RECORDS))


def test_both_kinds_of_files_give_the_same_report(spot, tmp_path):
    array = results(tmp_path / "results.json", more=[{"image_id": 2, "caption": SAID["2"]}])  # an entry a record
    rows = [{"id": name, "generated_text": SAID[name]} for name in ("4", "1", "2")]
    lines = layouts.write(tmp_path / "lines.jsonl", "\n".join(map(json.dumps, rows)))
    common = ("--benchmark", "spot_the_diff", "--data_dir", spot)
    first = run("--predictions", array, *common, "--out", tmp_path / "a", "--against", lines)
    second = run("--predictions", lines, *common, "--out", tmp_path / "b", "--against", lines)
    assert [pair["id"] for pair in first["pairs"]] == ["1", "2", "4"]
    assert first["pairs"][1]["references"] == ["a man came", "a person is there now"]
    assert first["against"][str(lines)]["cider"]["difference"] == 0.0
    assert first["no_change"]["unchanged"] == 0 and len(first["published"]) > 5
    differing = {key for key in first if first[key] != second[key]}
    assert differing == {"about"}
    assert (tmp_path / "a" / "gallery.html").read_text().count("<article") == 3
    assert read_predictions(tmp_path / "a" / "predictions.jsonl")[0] == {
        "id": "1", "category": "change", "caption": "the car is gone", "references": RECORDS[0]["sentences"],
    }  # fmt: skip
    numbers = json.loads((tmp_path / "a" / "report.json").read_text(encoding="utf-8"))
    assert numbers["scores"] == first["scores"]
    assert "java" in numbers["meteor_missing"].lower()
    # Pairs without a sentence are left out, as by `load_dataset`, unless they are asked for.
    more = results(tmp_path / "more.json", {**SAID, "3": "nothing"})
    with pytest.raises(
        ValueError, match="more.json: 1 ids that no pair has: '3'. There are 4 predictions and 3 pairs"
    ):
        run("--predictions", more, *common, "--out", tmp_path / "c")
    options = ("--options", '{"keep_empty": true}')
    assert run("--predictions", more, *common, *options, "--out", tmp_path / "c")["count"] == 4


def test_the_first_pairs_of_a_whole_file(spot, tmp_path):
    array = results(tmp_path / "results.json")
    common = ("--predictions", array, "--benchmark", "spot_the_diff", "--data_dir", spot, "--out", tmp_path / "out")
    report = run(*common, "--limit", 2, "--against", array, "--gallery", 1)
    assert [pair["id"] for pair in report["pairs"]] == ["1", "2"]
    assert report["published"] == []
    assert any("left out: only the first 2 pairs were scored" in note for note in report["notes"])
    assert (tmp_path / "out" / "gallery.html").read_text().count("<article") == 1
    report = run(*common, "--gallery", 0, "--confidence", 0.5, "--resamples", 20, "--seed", 3)  # scored anew
    assert (report["count"], report["confidence"], report["resamples"], report["seed"]) == (3, 0.5, 20, 3)
    assert not (tmp_path / "out" / "gallery.html").exists()


def test_without_images_the_annotations_are_enough(tmp_path):
    """The sentence that the field knows about (../shared/facts/field.md: 29.7 by a simple tokenizer)."""
    records = json.loads(read_annotations("spot_the_diff", "test.json"))
    names = [row["img_id"] for row in records if any(map(str.strip, row["sentences"]))]
    sentence = "there is a person walking in the parking lot"
    array = layouts.write(tmp_path / "r.json", [{"image_id": name, "caption": sentence} for name in names])
    folder = ANNOTATIONS / "spot_the_diff"
    common = ("--benchmark", "spot_the_diff", "--data_dir", folder, "--resamples", 20, "--out", tmp_path / "out")
    report = run("--predictions", array, *common, "--gallery", 0)
    assert (report["count"], report["leave_one_out"]["count"]) == (1263, 531)
    assert report["leave_one_out"]["cider"] == pytest.approx(0.699, abs=5e-4)
    assert report["constant_caption"]["cider"] == pytest.approx(0.349, abs=5e-4)
    assert report["scores"]["cider"] == pytest.approx(0.298, abs=1e-3)
    assert any("not clearly above it" in note for note in report["notes"])
    with pytest.raises(ValueError, match=r"(?s)22562 image files are missing.*--gallery 0 needs no images\.$"):
        run("--predictions", array, *common)


def test_a_file_alone(tmp_path):
    rows = [
        {"id": "a", "category": "add", "caption": "a cat came", "references": ["a cat came in", "a cat is there"]},
        {"id": "b", "category": "none", "caption": "no change", "references": ["nothing changed"]},
        {"id": "c", "category": "add", "caption": "no change", "references": ["a dog came"]},
    ]
    lines = layouts.write(tmp_path / "p.jsonl", "\n".join(map(json.dumps, rows)))
    report = run("--predictions", lines, "--out", tmp_path / "out")
    assert (report["benchmark"], report["count"], report["published"]) == (None, 3, [])
    assert [report["no_change"][key] for key in ("unchanged", "said", "precision", "recall")] == [1, 2, 0.5, 1.0]
    assert report["by_category"]["add"]["count"] == 2
    files = {"predictions.jsonl", "report.json", "report.md", "settings.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    assert run("--predictions", lines, "--limit", 1, "--out", tmp_path / "out")["no_change"]["unchanged"] == 0
    del rows[2]["category"], rows[1]["category"]
    rows[1]["changed"] = rows[0]["changed"] = rows[2]["changed"] = True
    layouts.write(lines, "\n".join(map(json.dumps, rows)))
    report = run("--predictions", lines, "--out", tmp_path / "out")
    assert report["by_category"] is None and report["no_change"]["unchanged"] == 0


def test_a_folder_of_something_else_is_refused(spot, tmp_path):
    array = results(tmp_path / "r.json")
    words = ("--predictions", array, "--benchmark", "spot_the_diff", "--data_dir", spot)
    run(*words, "--out", tmp_path / "out")
    with pytest.raises(ValueError, match=r"holds captions of another run, with predictions '.*r.json' and not None; "):
        run(*words[2:], "--out", tmp_path / "out")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.json").write_text("{}")
    with pytest.raises(ValueError, match="run: has a report.json of something else; name another folder"):
        run(*words, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--predictions", "FILE"), "r.json: id '1' has no references; name the --benchmark that has them"),
        (("--predictions", "FILE", "--dtype", "float32"), "--dtype is for a model, and --predictions are"),
        (("--predictions", "FILE", "--data_dir", "x"), "--data_dir is for a --benchmark, which is not given"),
        (("--predictions", "FILE", "--options", '{"a": 1}'), "--options is for a --benchmark, which is not given"),
        (("--predictions", "FILE", "--split", "dev"), "--split is for a --benchmark, which is not given"),
        (("--predictions", "FILE", "--batch_size", "4"), "--batch_size is for a model, and --predictions are made"),
        (("--predictions", "FILE", "--gallery", "3"), "--gallery needs the images of a --benchmark"),
        (("--data_dir", "x"), "--data_dir is for files of a benchmark, and 'scenes' is rendered"),
        (("--device", "abacus", "--options", '{"test": 1}'), "--device abacus: "),
        (("--revision", "main"), "--revision is that of --model, which is not given"),
        (("--confidence", "95"), "--confidence: '95' is not a number between 0 and 1, such as 0.95"),
        (("--gallery", "-1"), "--gallery: '-1' is not a whole number from 0 on, such as 16"),
        (("--limit", "0"), "--limit: '0' is not a whole number from 1 on, such as 16"),
        (("--options", "[1]"), "--options: '[1]' is not a JSON object, such as '{\"jitter\": 2.0}'"),
        (("--options", "{"), "'{' is not a JSON object, such as"),
        (("--benchmark", "std"), "--benchmark: invalid choice: 'std' (choose from"),
        (("--model", "a", "--predictions", "b"), "--predictions: not allowed with argument --model"),
        (("--prediction", "b"), "unknown argument --prediction; did you mean --predictions?"),
        (("--options", '{"jiter": 1}'), "'scenes' has no option 'jiter', but train, validation, test, seed, jitter, "),
        (("--options", '{"jitter": -1}'), "jitter=-1"),
        (("--split", "dev"), "--split dev: 'scenes' has train, validation, test"),
        (("--benchmark", "spot_the_diff"), "config 'spot_the_diff' reads the files of Spot-the-Diff: give data_dir="),
        (("--benchmark", "spot_the_diff", "--data_dir", "nowhere"), "data_dir='nowhere' is not a folder"),
        (("--benchmark", "spot_the_diff", "--data_dir", "DATA", "--split", "dev"),
         "--split dev: 'spot_the_diff' has train, validation, test here"),
        (("--model", "./nowhere", "--options", '{"test": 1}'), "No such folder: './nowhere'"),
        (("--predictions", "nowhere.json"), "nowhere.json"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_once(spot, tmp_path, words, message, capsys):
    """What the words alone show with status 2, as wrong use."""
    places = {"FILE": results(tmp_path / "r.json"), "DATA": spot}
    with pytest.raises((ValueError, OSError, SystemExit)) as error:
        run(*(places.get(word, word) for word in words), "--out", tmp_path / "out")
    said = capsys.readouterr().err
    assert message in (said if isinstance(error.value, SystemExit) else str(error.value))
    assert not isinstance(error.value, SystemExit) or (error.value.code == 2 and said.count("\n") == 2)
    assert not (tmp_path / "out").exists()


def test_the_folder_of_a_run(spot, tiny_model_dir, tmp_path):
    """Its model is what is captioned with, and captions of another one there are not taken for its own."""
    shutil.copytree(tiny_model_dir, tmp_path / "run" / "final")
    words = ("--benchmark", "spot_the_diff", "--data_dir", spot, "--max_new_tokens", 3, "--out", tmp_path / "out")
    about = run("--model", tmp_path / "run", *words)["about"]
    assert about["model"] == run("--model", tmp_path / "run" / "final", *words)["about"]["model"]
    (tmp_path / "run" / "final" / "model.safetensors").touch()
    with pytest.raises(ValueError, match="files"):
        run("--model", tmp_path / "run", *words)
