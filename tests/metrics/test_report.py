"""The numbers of a report: those that the metric's own tests know, beside what they have to be compared with."""

import json

import pytest

from metrics.cider import MeteorError, MeteorUnavailable, app, compare, constant_caption, leave_one_out, score
from metrics.report import build, build_report
from metrics.report.published import Row
from tests.metrics.conftest import read_annotations

ALL = ("cider", "bleu", "rouge_l")
SIX = app.read_lines(app.example(app.TWO), app.TWO)  # six pairs whose scores tests/metrics/test_app.py knows
IDS = list("abcdef")
CHANGED = [category != "none" for category in SIX.categories]


def six(**options):
    options = {"ids": IDS, "categories": SIX.categories, "changed": CHANGED, "meteor": False} | options
    return build_report(SIX.systems[0], SIX.references, **options)


@pytest.fixture(scope="module")
def report():
    return six()


def printed(part, *keys):
    """Scores as papers print them, with their intervals."""
    return [(round(100 * part[key], 1), *(round(100 * end, 1) for end in part[f"{key}_interval"])) for key in keys]


def test_scores_and_what_they_are_compared_with(report):
    assert printed(report["scores"], "cider", "bleu_4", "rouge_l") == [
        (425.5, 316.0, 526.5),
        (86.0, 66.4, 100.0),
        (90.1, 77.8, 100.0),
    ]
    assert report["constant_caption"]["caption"] == "there is a new blue cube"
    assert printed(report["constant_caption"], "cider", "rouge_l") == [(108.0, 3.5, 305.7), (32.0, 10.9, 58.9)]
    assert printed(report["leave_one_out"], "cider", "bleu_1") == [(81.1, 30.1, 134.7), (29.6, 12.5, 41.3)]
    assert (report["leave_one_out"]["count"], report["leave_one_out"]["folds"]) == (6, 2)
    assert (report["count"], report["references"]) == (6, 12)
    assert [round(100 * pair["cider"], 1) for pair in report["pairs"]] == [603.5, 405.2, 549.3, 245.3, 500.0, 250.0]
    assert report["pairs"][3] == {
        "id": "d",
        "category": "removed",
        "caption": "the people left",
        "references": ["two people left", "the people are no longer there"],
        "cider": report["pairs"][3]["cider"],
    }
    assert json.loads(json.dumps(report)) == report


def test_categories_have_cider_in_both_forms(report):
    parts = report["by_category"]
    alone = score(SIX.systems[0], SIX.references, categories=SIX.categories, idf="category", confidence=0.95)
    assert {name: part["count"] for name, part in parts.items()} == {"added": 2, "none": 2, "removed": 2}
    assert [round(100 * part["cider"], 1) for part in parts.values()] == [504.4, 375.0, 397.3]
    for name, part in parts.items():
        assert part["cider_idf_category"] == alone["by_category"][name]["cider"] != part["cider"]
        assert part["cider_idf_category_interval"] == alone["by_category"][name]["cider_interval"]
    assert sum(part["cider"] for part in parts.values()) / 3 == pytest.approx(report["scores"]["cider"])


def test_saying_that_nothing_changed_is_counted_by_itself(report):
    part = report["no_change"]
    assert {key: part[key] for key in ("unchanged", "said", "precision", "recall", "f1", "untold")} == {
        "unchanged": 2, "said": 2, "precision": 1.0, "recall": 1.0, "f1": 1.0, "untold": 0,
    }  # fmt: skip
    changed, unchanged = part["captions"]["changed"], part["captions"]["unchanged"]
    assert (changed["count"], unchanged["count"]) == (4, 2)
    assert (unchanged["cider"], unchanged["cider_idf_category"]) == (3.75, 2.5)
    assert changed["cider_idf_category"] == score(SIX.systems[0][:4], SIX.references[:4])["cider"]
    assert (4 * changed["cider"] + 2 * 3.75) / 6 == pytest.approx(report["scores"]["cider"])
    # One of the two answers is another phrase than before, so no longer counted, and the captions' scores stay.
    fewer = six(no_change=["nothing changed"])
    assert {key: fewer["no_change"][key] for key in ("said", "precision", "recall", "phrases")} == {
        "said": 1, "precision": 1.0, "recall": 0.5, "phrases": ["nothing changed"],
    }  # fmt: skip
    assert fewer["scores"] == report["scores"]


def test_without_a_column_references_tell_which_pairs_are_unchanged(report):
    assert six(changed=None)["no_change"] == report["no_change"]
    assert six(changed=None, no_change=["nothing changed!"])["no_change"]["unchanged"] == 2
    assert six(changed=None, no_change=["there is no change"])["no_change"]["unchanged"] == 1
    other = six(no_change=["all is as it was"])
    assert (other["no_change"]["untold"], other["no_change"]["recall"]) == (2, 0.0)
    assert any(note.startswith("2 unchanged pairs have no reference that counts") for note in other["notes"])


def test_without_unchanged_pairs_there_is_no_rate_but_the_count():
    report = six(changed=[True] * 6)
    part = report["no_change"]
    assert [part[key] for key in ("unchanged", "said", "precision", "recall", "f1", "captions")] == [0, 2, *[None] * 4]
    assert "2 captions say that nothing changed, though every pair has a change." in report["notes"]


def test_the_paired_test_is_that_of_the_metric(report):
    result = six(against={"b.json": SIX.systems[1]}, seed=3, resamples=200)["against"]
    expected = compare(*SIX.systems, SIX.references, ALL, SIX.categories, seed=3, resamples=200)
    assert result == {"b.json": expected}
    assert round(100 * result["b.json"]["cider"]["difference"], 1) == 216.7
    assert report["against"] is None


def test_options_of_the_bootstrap_reach_every_row():
    report = six(confidence=0.5, resamples=50, seed=7)
    options = {"confidence": 0.5, "resamples": 50, "seed": 7}
    assert {key: report[key] for key in options} == options
    assert report["constant_caption"] == constant_caption(SIX.references, ALL, **options)
    people = leave_one_out(SIX.references, ALL, SIX.categories, **options)
    assert report["leave_one_out"] == people
    assert report["scores"] == score(SIX.systems[0], SIX.references, ALL, **options)


@pytest.mark.parametrize("error", [MeteorUnavailable("there is no Java"), MeteorError("it fell silent")])
def test_meteor_is_missing_for_a_reason(monkeypatch, report, error):
    def without(predictions, references, scorers, *others, **options):
        if "meteor" in scorers:
            raise error
        return score(predictions, references, scorers, *others, **options)

    monkeypatch.setattr(build, "score", without)
    without = six(meteor=True)
    assert without["meteor_missing"] == str(error)
    assert without["scores"] == report["scores"] and "meteor" not in report["scores"]
    assert report["meteor_missing"] == "it was not asked for"


def test_meteor_where_java_is(java_tokenize):
    report = six(meteor=True)
    assert report["meteor_missing"] is None
    assert report["scores"]["meteor"] == score(SIX.systems[0], SIX.references, "meteor")["meteor"]
    for part in (report["constant_caption"], report["leave_one_out"], report["by_category"]["added"]):
        assert 0 < part["meteor"] < 1 and len(part["meteor_interval"]) == 2


ROWS = (
    Row("First", {"cider": 450.0, "bleu_4": 50.0}, {"added": 9.5}, "its table 1", "one seed"),
    Row("Second", {"cider": 449.0}, source="its table 2"),
    Row("Kinds", {}, {"added": 8.5}, "its table 3"),
)


def test_published_rows_are_those_of_the_whole_test_split(monkeypatch):
    few = {"resamples": 50}
    monkeypatch.setattr(build, "published", {"here": ROWS}.get)
    report = six(benchmark="here")
    assert report["published"][0] == {
        "method": "First", "scores": {"cider": 450.0, "bleu_4": 50.0}, "categories": {"added": 9.5},
        "source": "its table 1", "note": "one seed",
    }  # fmt: skip
    assert len(report["published"]) == 3
    assert any(
        "(316.0 to 526.5) are the published rows of First (450.0), Second (449.0)" in n for n in report["notes"]
    )
    for about, why in (({"limit": 6}, "only the first 6 pairs were scored"), ({"split": "dev"}, "the split dev")):
        part = six(benchmark="here", about=about, **few)
        assert part["published"] == [] and part["about"] == about
        assert any(note.startswith("Published rows are left out: ") and why in note for note in part["notes"])
    assert six(benchmark="here", about={"split": "test", "limit": None}, **few)["published"]
    assert six(**few)["published"] == []


def test_notes_of_a_large_split(monkeypatch):
    """200 pairs: what is said of small ones is not; a lead and a floor are looked at."""
    monkeypatch.setattr(build, "published", {"here": ROWS}.get)
    references = [[f"w{n} x{n} y{n}"] for n in range(200)]
    captions = [f"w{n} x{n} z" if n % 2 else "z" for n in range(200)]
    options = {"ids": list(range(200)), "benchmark": "here", "meteor": False}
    notes = build_report(captions, references, categories=["a"] * 29 + ["b"] * 171, **options)["notes"]
    assert notes[0] == "Categories with fewer than 30 pairs say little: a (29)."
    assert notes[-1].startswith("The published lead of First over Second is 1.0 points of CIDEr, less than half")
    assert not any("are few" in note or "best single sentence" in note for note in notes)
    few, floor = build_report(["z"] * 9, references[:9], ids=list(range(9)), meteor=False)["notes"]
    assert few.startswith("9 pairs are few") and floor.startswith(
        'The best single sentence, "w0 x0 y0", said of every'
    )


def test_a_single_pair_says_why_it_scores_nothing():
    report = build_report(["a b"], [["a b"]], ids=["1"], categories=["add"], meteor=False)
    assert (report["scores"]["cider"], report["scores"]["cider_interval"]) == (0.0, None)
    assert report["leave_one_out"] is None
    assert [note.split(":")[0] for note in report["notes"][2:]] == [
        "cider is 0.0 because there is only one image",
        "cider of category 'add' is 0.0 because there is only one image",
    ]


def test_what_is_given_comes_along():
    report = six(about={"model": "m"}, extra={"steps": 7})
    assert report["about"] == {"model": "m"} and report["steps"] == 7
    assert {"python", "numpy", "blip2idc"} <= report["versions"].keys()
    report = six(categories=None)
    assert report["by_category"] is None and "category" not in report["pairs"][0]


def test_what_is_wrong_is_refused():
    with pytest.raises(ValueError, match="extra has pairs, scores, which the report has itself"):
        six(extra={"scores": {}, "pairs": []})
    with pytest.raises(ValueError, match=r"ids\[0\] and ids\[5\] are both 'a'"):
        six(ids=list("abcdea"))
    with pytest.raises(ValueError, match="predictions has 5 rows and references has 6"):
        six(against={"b": SIX.systems[1][:5]})
    with pytest.raises(ValueError, match="no_change changed has 2 rows"):
        six(changed=[True, False])


@pytest.mark.parametrize(
    ("benchmark", "count", "people", "folds", "sentence", "floor"),
    [
        ("image_editing_request", 495, 0.811, 3, "increase the image contrast", 0.382),
        ("spot_the_diff", 1263, 0.699, 11, "there are no people in the parking lot", 0.349),
    ],
)
def test_rows_of_the_real_test_splits(benchmark, count, people, folds, sentence, floor):
    """Those of docs/cider.md, which tests/metrics/test_floors.py finds too."""
    pairs = {}
    for row in json.loads(read_annotations(benchmark, "test.json")):
        name = row.get("img_id", len(pairs))
        pairs.setdefault(name, []).extend(filter(str.strip, row.get("sentences") or row.get("sents")))
    references = [refs for refs in pairs.values() if refs]
    captions = [refs[-1] for refs in references]
    report = build_report(
        captions, references, ids=list(range(count)), benchmark=benchmark, resamples=50, meteor=False
    )
    assert report["count"] == count
    assert report["leave_one_out"]["cider"] == pytest.approx(people, abs=5e-4)
    assert report["leave_one_out"]["folds"] == folds
    assert report["constant_caption"]["caption"] == sentence
    assert report["constant_caption"]["cider"] == pytest.approx(floor, abs=5e-4)
    assert {"BLIP2IDC", "SCORER"} <= {row["method"] for row in report["published"]}
