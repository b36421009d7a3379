"""`load_dataset("syned", "emu_edit")`, and the cleaning of the paraphrases of its test instructions."""

import json
from functools import partial

import pytest

import datasets_syned
from datasets_syned.benchmarks import base, references
from datasets_syned.benchmarks.emu_edit import authors_splits
from metrics.cider import score
from tests.metrics.conftest import ANNOTATIONS, read_annotations
from tests.support import layouts
from tests.support.layouts import counts, png, raw, write

VALIDATION = [(index, f"paint item {index} ", " Color") for index in (10, 2, 33, 4, 5)]
TEST = [
    (0, " Add a dog", "add"),
    (2, "Make it “night”", "global"),
    (7, "Remove the béret", "Remove "),
    (8, "x", "text"),
]
PARAPHRASES = {
    "0 ": ['"Put a dog there."', '"Place a dog', "Put a dog there.", "Add a dog"],
    "2 ": ["I'm just an AI, I cannot.", '  Turn  "day" into "night" '],
    "7 ": [""],
}


load = partial(layouts.load, "emu_edit")


@pytest.fixture
def root(tmp_path):
    root = layouts.emu_edit(tmp_path / "emu_edit", {"validation": VALIDATION, "test": TEST})
    write(root / references.PARAPHRASES, PARAPHRASES)
    return root


def test_splits_categories_and_captions(root):
    data = load(root)  # as BLIP2IDC cut it: of these idx, only 4 is held out
    assert counts(data) == {"train": 4, "validation": 1, "test": 4}
    assert data["train"].features == datasets_syned.FEATURES and datasets_syned.validate(data) == 9
    # the order is that of the file
    assert data["train"]["id"] == ["10", "2", "33", "5"] and data["validation"]["id"] == ["4"]
    assert data["test"]["category"] == ["add", "global", "remove", "text"]
    assert data["test"]["captions"][:3] == [["Add a dog"], ["Make it “night”"], ["Remove the béret"]]
    row = raw(data["train"])[3]
    assert row["before"]["bytes"] == png(layouts.color_of("validation", 5, "image"))
    assert row["after"]["bytes"] == png(layouts.color_of("validation", 5, "edited_image"))
    assert (row["category"], row["captions"], row["changed"]) == ("color", ["paint item 5"], True)


def test_uncut(root):
    data = load(root, uncut=True)
    assert counts(data) == {"train": 5, "test": 4} and data["train"]["id"] == ["10", "2", "33", "4", "5"]


def test_the_cut_is_that_of_the_authors():
    mine = authors_splits()
    assert {split: len(names) for split, names in mine.items()} == {"train": 3050, "validation": 539}
    theirs = json.loads(read_annotations("syned", "splits.json"))
    assert mine == {split: set(map(str, theirs[split])) for split in ("train", "validation")}


def test_references(root, monkeypatch):
    lines = []
    monkeypatch.setattr(base.logger, "info", lines.append)
    clean = load(root, references=references.PARAPHRASES)["test"]
    assert clean["captions"] == [
        ["Add a dog", "Put a dog there.", "Place a dog"],
        ["Make it “night”", 'Turn "day" into "night"'],
        ["Remove the béret"],
        ["x"],
    ]
    expected = "spaces tidied: 1; quotes around it removed: 1; unclosed quote removed: 1; dropped: empty: 1; "
    expected += "dropped: refusal: 1; dropped: repeated: 1; dropped: is the instruction: 1; "
    assert lines == [f"{root / references.PARAPHRASES}: {expected}pairs with the instruction alone: 2"]
    untouched = load(root, references=str(root / references.PARAPHRASES), raw_references=True)["test"]
    assert untouched["captions"][0] == ["Add a dog", *PARAPHRASES["0 "]]
    assert untouched["captions"][1:] == [["Make it “night”", *PARAPHRASES["2 "]], ["Remove the béret", ""], ["x"]]


def test_an_edit_of_the_paraphrases_is_seen(root):
    arguments = {"references": references.PARAPHRASES}
    first = load(root, **arguments)["test"]
    assert load(root, references=str(root / references.PARAPHRASES))["test"].cache_files == first.cache_files
    write(root / references.PARAPHRASES, {"0": ["A dog, please"]})
    assert load(root, **arguments)["test"]["captions"][0] == ["Add a dog", "A dog, please"]


@pytest.mark.parametrize(
    ("paraphrases", "message"),
    [
        ({"0": "no list"}, "'0' must be a list of texts, not 'no list'"),
        ({"0": ["x"], "0 ": ["y"]}, "has index 0 twice"),
        ({"500": ["x"]}, "has none of the idx of the test split"),
        ("{", "is not JSON"),
    ],
)
def test_paraphrases_that_do_not_fit(root, paraphrases, message):
    write(root / references.PARAPHRASES, paraphrases)
    with pytest.raises(ValueError, match=message):
        load(root, references=references.PARAPHRASES)


def test_wrong_arguments_and_rows(root, tmp_path):
    with pytest.raises(ValueError, match="raw_references=True needs references="):
        load(root, raw_references=True)
    with pytest.raises(ValueError, match=r"nowhere.json is missing. It can be had from https://github.com/gautierevn"):
        load(root, references="nowhere.json")
    layouts.emu_edit(root, {"test": [*TEST, (7, "again", "add")]})
    with pytest.raises(
        ValueError, match=r"split 'test': 1 ids are there twice, again in\n  7: .*row 1, column 'image'"
    ):
        load(root)
    layouts.emu_edit(root, {"test": [*TEST, (9, "again", " ")]})
    with pytest.raises(ValueError, match=r"test-00001-of-00002.parquet, row 1: 'task' must be a text"):
        load(root)
    only_test = layouts.emu_edit(tmp_path / "other", {"test": TEST})
    with pytest.raises(ValueError, match=r"validation-\*.parquet missing in .*huggingface.co/datasets/facebook"):
        load(only_test)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Add "x" here"', ['"Add "x" here"']),
        ('"EXIT" in "red"', ['"EXIT" in "red"']),
        ('Write "EXIT"', ['Write "EXIT"']),
        ('"Paint it', ["Paint it"]),
        ('" Paint it "', ["Paint it"]),
        ("Paint it [", ["Paint it"]),
        ("Paint the [logo]", ["Paint the [logo]"]),
        ('": Paint it"', ["Paint it"]),
        ("Paint it (10 words)", ["Paint it"]),
        ("Paint it ( characters)", ["Paint it"]),
        ("Paint it (2 cats)", ["Paint it (2 cats)"]),
        ('Rephrase the instruction as: "Paint it."', ["Paint it."]),
        ("INSTRUCTION :  <INSTRUCT> Paint it", ["Paint it"]),
        ("Instead, I suggest painting it", []),
        ("Instead of it, paint a cat", ["Instead of it, paint a cat"]),
        ("Here are four variations of it:", []),
        ("{Dadaist variation}", []),
        ("Rephrase the sentence", []),
        ("Rephrase the sign to say X", ["Rephrase the sign to say X"]),
        ("Write the word 'prompt' on it", ["Write the word 'prompt' on it"]),
        ("Paint", []),
        ("  ", []),
    ],
)
def test_rules(text, expected):
    assert references.clean({"0": [text]})[0] == {"0": expected}


def test_cleaning_of_the_real_file():
    read_annotations("syned", references.PARAPHRASES)
    paraphrases = references.read_paraphrases(ANNOTATIONS / "syned" / references.PARAPHRASES)
    assert len(paraphrases) == 2022 and sum(map(len, paraphrases.values())) == 8031
    cleaned, counts = references.clean(paraphrases)
    assert counts == {
        "spaces tidied": 108,
        "template marks removed": 14,
        "length note removed": 30,
        "quotes around it removed": 3293,
        "unclosed quote removed": 532,
        "taken out of its wrapping": 3,
        "stray signs removed": 9,
        "dropped: empty": 2,
        "dropped: refusal": 34,
        "dropped: preamble": 6,
        "dropped: heading of the template": 4,
        "dropped: asks for a text": 40,
        "dropped: a single word": 3,
        "dropped: repeated": 3,
    }
    assert sum(map(len, cleaned.values())) == 7939
    assert sum(not texts for texts in cleaned.values()) == 26
    again, counts = references.clean(cleaned)
    assert again == cleaned and not any(counts.values())


def lines_of(split):
    lines = read_annotations("syned", f"instructions_with_idx_{split}_split.txt").splitlines()
    pairs = [line.split(" <INSTRUCT>") for line in lines]
    return [(int(index), text, "add") for index, text in pairs]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Emu Edit with the real annotations, and one image of one pixel."""
    root = tmp_path_factory.mktemp("real") / "emu_edit"
    splits = {"validation": lines_of("train"), "test": lines_of("test")}
    layouts.emu_edit(root, splits, png(size=(1, 1)), files=3, group=100)
    write(root / references.PARAPHRASES, read_annotations("syned", references.PARAPHRASES))
    return root


def test_the_real_annotations(real):
    data = load(real, references=references.PARAPHRASES)
    assert counts(data) == datasets_syned.benchmarks.EmuEditConfig.COUNTS
    assert counts(data) == {"train": 3050, "validation": 539, "test": 2022}
    assert datasets_syned.validate(data) == 5611
    assert sum(map(len, data["test"]["captions"])) == 2022 + 7939 - 135
    instructions = {str(index): text.strip() for index, text, _ in lines_of("test")}
    assert all(
        row[0] == instructions[name] for name, row in zip(data["test"]["id"], data["test"]["captions"], strict=True)
    )


def test_raw_references_give_the_published_scores(real):
    rows = load(real, references=references.PARAPHRASES, raw_references=True)["test"]["captions"]
    rows = [row for row in rows if len(row) > 1]
    assert len(rows) == 2018 and sum(len(row) - 1 for row in rows) == 8031
    scores = score([row[1] for row in rows], [[*row[2:], row[0]] for row in rows], ["cider", "bleu", "rouge_l"])
    published = {"cider": 2.755236, "bleu_1": 0.720457, "bleu_4": 0.445765, "rouge_l": 0.685163}
    assert {name: scores[name] for name in published} == pytest.approx(published, abs=1e-6)
