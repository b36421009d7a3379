"""What a report looks like: report.md, report.json, the section of several seeds."""

import json

import pytest

from metrics.cider import app
from metrics.report import build, build_report, seeds_markdown, summarize_seeds, write_report
from metrics.report.published import Row

SIX = app.read_lines(app.example(app.TWO), app.TWO)
ROWS = (
    Row("Its_name", {"cider": 450.0, "bleu_4": 50.0}, {"added": 95.0}, "its table 1", "one seed"),
    Row("Kinds", {}, {"added": 85.0, "gone": 5.5}, "its table 3"),
)


def six(system=0, **options):
    options = {"ids": list("abcdef"), "categories": SIX.categories, "meteor": False} | options
    return build_report(SIX.systems[system], SIX.references, **options)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A report of everything that a report can have."""
    monkeypatch.setattr(build, "published", {"here": ROWS}.get)
    scenes = {"category_accuracy": 0.5, "attributes_accuracy": None, "exact": 0.25, "word_accuracy": {"size": 1.0}}
    report = six(
        against={"of_others.json": SIX.systems[1]},
        benchmark="here",
        about={"model": "someone/a_model", "split": "test", "decoding": {"num_beams": 3}, "steps": 7},
        extra={"scenes": {**scenes, "by_category": {"added": scenes}}, "oracle_cider": 5.0},
    )
    report["seeds"] = summarize_seeds({1: report, 5: six(1)})
    write_report(tmp_path / "out", report)
    return tmp_path / "out"


def test_a_report_to_read(folder):
    text = (folder / "report.md").read_text(encoding="utf-8")
    for passage in (
        "# Captions of here, scored\n",
        "- model: `someone/a_model`\n- split: `test`\n- decoding: num_beams 3\n- pairs: 6, 2.0 references each\n",
        "| ×100 | CIDEr | BLEU-4 | ROUGE-L |\n| --- | ---: | ---: | ---: |\n"
        "| **these captions** | 425.5 (316.0 to 526.5) | 86.0 (66.4 to 100.0) | 90.1 (77.8 to 100.0) |\n"
        "| the best single sentence, said of every pair | 108.0 (3.5 to 305.7) | 20.7 (0.0 to 52.6) | "
        "32.0 (10.9 to 58.9) |\n"
        "| a reference against the others (all pairs) | 81.1 (30.1 to 134.7) | 0.0 (0.0 to 0.0) | "
        "26.7 (12.1 to 43.2) |\n"
        "| Its_name [1] | 450.0 | 50.0 | – |\n\n"
        'The best single sentence is "there is a new blue cube". There is no METEOR: it was not asked for.\n',
        "- [1] Its_name: its table 1; one seed\n- [2] Kinds: its table 3\n",
        "- 6 pairs are few: ",
        "| BLEU-2 | 97.3 | 92.9 to 100.0 |\n",
        "On the same 6 pairs, these captions are 216.7 points of CIDEr above of_others.json, which chance hardly "
        "explains (95 % interval of the difference +121.5 to +290.1, p = 0.001, paired bootstrap).\n",
        "| CIDEr | 425.5 | 208.8 | +216.7 | +121.5 to +290.1 | 0.001 |\n",
        "| added | 2 | 504.4 (405.2 to 603.5) | 505.5 (421.8 to 589.2) | 78.6 | 87.0 |\n",
        "|  | added | gone |\n| --- | ---: | ---: |\n| Its_name [1] | 95.0 | – |\n| Kinds [2] | 85.0 | 5.5 |\n",
        "2 of 6 pairs are unchanged; 2 captions say that nothing changed. Precision 100.0, recall 100.0, F1 100.0.",
        "| unchanged | 2 | 375.0 (250.0 to 500.0) | 250.0 (0.0 to 500.0) | 100.0 | 100.0 |\n",
        "A perfect describer has a CIDEr of 500.0.\n\n| % | kind | words | exact |\n| --- | ---: | ---: | ---: |\n"
        "| all | 50.0 | – | 25.0 |\n| added | 50.0 | – | 25.0 |\n",
        "## How to read this\n",
    ):
        assert passage in text, passage


def test_a_report_to_compute_with(folder):
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["about"]["steps"] == 7 and report["scores"]["cider"] == pytest.approx(4.25547, abs=1e-5)
    assert "pairs" not in report
    assert sorted(path.name for path in folder.iterdir()) == ["report.json", "report.md"]


def test_no_difference_and_one_pair(tmp_path):
    write_report(tmp_path, six(against={"theirs": SIX.systems[0]}))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "# Captions of image differences, scored\n" in text
    assert "On the same 6 pairs, these captions and theirs have the same CIDEr." in text
    one = build_report(["a|b"], [["a|b"]], ids=["1"], against={"c": ["d"]}, meteor=False)
    write_report(tmp_path, one)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| **these captions** | 0.0 | " in text
    assert "A single pair cannot show whether a difference is more than chance.\n" in text
    assert 'sentence is "a\\|b".' in text
    assert "Every pair has a change; 0 captions say that nothing changed." in text


def test_mean_and_spread_of_seeds():
    reports = {
        seed: {
            "count": 6,
            "scores": {"cider": value, "bleu_4": 0.1 * seed, **({"meteor": 0.3} if seed == 7 else {})},
            "by_category": {"added": {"cider": value + 1}},
            "no_change": {"precision": 1.0, "recall": 0.5, "f1": None},
        }
        for seed, value in ((7, 1.0), (2, 2.0), (3, 6.0))
    }
    summary = summarize_seeds(reports)
    assert summary["seeds"] == [7, 2, 3]
    assert summary["scores"]["cider"] == {
        "mean": 3.0, "std": pytest.approx(7**0.5), "min": 1.0, "max": 6.0, "values": [1.0, 2.0, 6.0],
    }  # fmt: skip
    assert summary["scores"].keys() == {"cider", "bleu_4"}  # METEOR is not there for every seed
    assert summary["by_category"]["added"]["cider"]["values"] == [2.0, 3.0, 7.0]
    assert summary["no_change"].keys() == {"precision", "recall"}
    text = seeds_markdown(summary)
    assert text.startswith("## 3 seeds\n\nThe same recipe, trained 3 times.")
    assert "| **mean** | 300.0 | 40.0 |\n| standard deviation | 264.6 | 26.5 |\n| lowest | 100.0 | 20.0 |\n" in text
    assert "| seed 7 | 100.0 | 70.0 |\n| seed 2 | 200.0 | 20.0 |\n| seed 3 | 600.0 | 30.0 |\n" in text
    assert "| CIDEr of added | 400.0 | 264.6 | 200.0 | 700.0 |\n" in text
    assert "| precision of no change | 100.0 | 0.0 | 100.0 | 100.0 |" in text


def test_one_seed_has_no_spread(tmp_path):
    report = six(categories=None)
    report["seeds"] = summarize_seeds({4: report})
    assert report["seeds"]["scores"]["cider"]["std"] is None and report["seeds"]["by_category"] is None
    write_report(tmp_path, report)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## 1 seed\n" in text and "One training: how much the seed matters is not known." in text
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["seeds"] == report["seeds"]


def test_seeds_of_other_pairs_have_no_mean():
    with pytest.raises(ValueError, match="there is no report to summarize"):
        summarize_seeds({})
    parts = {"scores": {"cider": 1.0}, "no_change": {}}
    with pytest.raises(ValueError) as error:
        summarize_seeds(
            {1: {**parts, "count": 2, "by_category": None}, 2: {**parts, "count": 3, "by_category": {"a": {}}}}
        )
    assert str(error.value) == (
        "seed 2 was scored on 3 pairs, categories a, and seed 1 on 2, without categories; only scores of the same "
        "pairs have a mean"
    )
