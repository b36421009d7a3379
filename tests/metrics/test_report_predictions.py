"""Files of predictions: every form that is read, and every error, by the place that it names."""

import json

import pytest

from metrics.report import match_predictions, read_predictions, write_predictions

OURS = {"id": "a", "category": "add", "caption": "a dog\u2028came", "references": ["a dog", "the dog"]}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lines(*rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def test_lines_as_the_trainer_writes_them(tmp_path):
    rows = [OURS, {"id": "b", "category": None, "caption": "", "references": ["é"]}]
    expected = [OURS, {"id": "b", "caption": "", "references": ["é"]}]
    assert read_predictions(write(tmp_path / "p", lines(*rows))) == expected
    assert read_predictions(write(tmp_path / "p", "\ufeff\n" + lines(*rows).replace("\n", "\r\n\n"))) == expected


def test_result_files_of_the_field(tmp_path):
    array = [{"image_id": 12, "caption": "x", "split": "test"}, {"image_id": "13", "caption": "y"}]
    assert read_predictions(write(tmp_path / "p", array)) == [
        {"id": "12", "caption": "x"},
        {"id": "13", "caption": "y"},
    ]


@pytest.mark.parametrize("key", ["caption", "prediction", "generated_text"])
def test_the_caption_has_one_of_three_names(tmp_path, key):
    rows = [{"id": "a", key: "x", "changed": False, "score": 0.5}]
    assert read_predictions(write(tmp_path / "p", rows)) == [{"id": "a", "caption": "x", "changed": False}]


def test_an_entry_may_be_there_again_word_for_word(tmp_path):
    """Spot-the-Diff has 1,404 test records of 1,270 pairs, and result files have one entry for each."""
    twice = [{"image_id": 1, "caption": "x"}, {"image_id": 2, "caption": "y"}, {"image_id": "1", "caption": "x"}]
    assert [row["id"] for row in read_predictions(write(tmp_path / "p", twice))] == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "p: has no predictions"),
        ("[]", "p: has no predictions"),
        ("\n \n", "p: has no predictions"),
        (lines(OURS) + "{oops\n", "p, line 2: is no JSON: Expecting property name enclosed in double quotes at "),
        ('[\n{"id": 1,\n]', "p: is no JSON: Expecting property name enclosed in double quotes: line 3 column 1"),
        ('{"id": 1' + "0" * 5000 + "}", "p, line 1: is no JSON: Exceeds the limit"),
        ("[" * 100_000, "p: is no JSON: maximum recursion depth exceeded"),
        ('{"id":' * 100_000, "p, line 1: is no JSON: maximum recursion depth exceeded"),
        ('"text"', "p, line 1: 'text' is no JSON object with an id and a caption"),
        ("[[1]]", "p, entry 1: [1] is no JSON object with an id and a caption"),
        ([{"caption": "x"}], "p, entry 1: has none of id, image_id, but caption; give one of id, image_id"),
        (lines({"id": 1, "image_id": 1}), "p, line 1: has id and image_id; give one of"),
        ([{"id": 1, "text": "x"}], "p, entry 1: has none of caption, prediction, generated_text, but id, text"),
        ([{"id": 1, "caption": "x", "prediction": "y"}], "p, entry 1: has caption and prediction; give one of"),
        ([{"id": 1.0, "caption": "x"}], "p, entry 1: the id 1.0 is neither a text nor a whole number"),
        ([{"id": True, "caption": "x"}], "p, entry 1: the id True is neither"),
        ([{"id": 1, "caption": None}], "p, entry 1: caption is None, not a text"),
        ([{"id": 1, "caption": "x", "category": 3}], "p, entry 1: category is 3, not a text"),
        ([{"id": 1, "caption": "x", "changed": "no"}], "p, entry 1: changed is 'no', not true or false"),
        ([{"id": 1, "caption": "x", "references": "y"}], "p, entry 1: references is 'y', not a list of at least one"),
        ([{"id": 1, "caption": "x", "references": []}], "p, entry 1: references is [], not a list of at least one"),
        ([{"id": 1, "caption": "x", "references": ["y", 3]}], "p, entry 1: references is ['y', 3], not a list"),
        (
            lines({"id": 1, "caption": "x"}, {"id": "1", "caption": "y"}),
            "p, line 2: id '1' is there a second time, first with the caption 'x' and now with 'y'",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, message):
    path = write(tmp_path / "p", content)
    with pytest.raises(ValueError) as error:
        read_predictions(path)
    assert str(error.value).startswith(f"{tmp_path}/{message}")


def test_a_file_that_is_no_text_or_not_there(tmp_path):
    (tmp_path / "p").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match="p: is no UTF-8 text: 'utf-8' codec can't decode byte 0x89"):
        read_predictions(tmp_path / "p")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_predictions(tmp_path / "nowhere")


def test_captions_meet_their_pairs_by_id():
    rows = [{"id": "b", "caption": "x"}, {"id": "a", "caption": "y"}]
    assert match_predictions(rows, ["a", "b"]) == ["y", "x"]
    with pytest.raises(ValueError) as error:
        match_predictions([*rows, *({"id": str(n), "caption": ""} for n in range(7))], ["a", "b"], "their.json")
    assert str(error.value) == (
        "their.json: 7 ids that no pair has: '0', '1', '2', '3', '4', .... There are 9 predictions and 2 pairs; ids "
        "of pairs look like 'a'. Is it the same benchmark, split and options?"
    )
    with pytest.raises(
        ValueError, match="their.json: 2 pairs without a prediction: 'c', 'd'. There are 2 predictions"
    ):
        match_predictions(rows, ["a", "c", "b", "d"], "their.json")


def test_what_is_written_is_read_again(tmp_path):
    rows = [OURS, {"id": "b", "caption": "", "changed": True}]
    write_predictions(tmp_path / "p", rows)
    assert read_predictions(tmp_path / "p") == rows
    with pytest.raises(TypeError):
        write_predictions(tmp_path / "p", [{"id": "c", "caption": {1, 2}}])
    assert read_predictions(tmp_path / "p") == rows  # the file that was there stays whole
