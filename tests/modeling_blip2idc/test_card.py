"""The card of a run: it says what results.json says, and nothing of this machine."""

import re

import pytest
from huggingface_hub import ModelCard

from modeling_blip2idc.card_blip2idc import write_card

RATES = {"category_accuracy": 0.975, "attributes_accuracy": 0.5, "exact": 0.25}
SCORES = {"cider": 4.56789, "bleu_4": 0.61237, "rouge_l": 0.71239, "count": 12}
SCENES = {
    **RATES,
    "no_change_precision": 0.5,
    "no_change_recall": 1.0,
    "no_change_f1": 2 / 3,
    "by_category": {"color": {**RATES, "count": 10}, "none": {**RATES, "attributes_accuracy": None, "count": 2}},
}
TEST = {
    **SCORES,
    "by_category": {"color": {**SCORES, "count": 10, "cider": 5.0}, "none": {**SCORES, "count": 2, "cider": 1.0}},
    "scenes": SCENES,
    "oracle_cider": 5.0,
}
DATA = {"path": "syned", "name": "scenes", "split": "train", "train": 100, "seed": 1, "masks": True}
RECIPE = {
    "model": None, "scratch": None, "tuning": "lora", "rank": 8, "towers": ["vit", "llm"], "targets": "paper",
    "train_data": [DATA], "test_data": {**DATA, "split": "test"}, "lessons": False, "embed": False,
}  # fmt: skip


def card(folder, test=None, **recipe):
    folder.mkdir(parents=True, exist_ok=True)
    results = {"steps": 1200, **({} if test is None else {"test": test})}
    write_card(folder, results, {**RECIPE, **recipe})
    return ModelCard.load(folder / "README.md")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "my_run" / "final"


def table(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_header(folder):
    data = card(folder, TEST).data
    assert data.library_name == "peft" and data.base_model is None and "lora" in data.tags
    assert data.model_name == "my_run"
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values == {"cider": 456.789, "bleu": 0.6124, "rouge": 0.7124}
    assert {(r.dataset_type, r.dataset_name, r.dataset_split) for r in data.eval_results} == {
        ("syned", "syned scenes", "test")
    }


def test_table(folder):
    head, _, *rows = table(card(folder, TEST).text)
    assert head == ["category", "pairs", "CIDEr", "BLEU-4", "ROUGE-L", "kind", "words", "exact"]
    assert rows == [
        ["all", "12", "456.8", "0.612", "0.712", "97.5%", "50.0%", "25.0%"],
        ["color", "10", "500.0", "0.612", "0.712", "97.5%", "50.0%", "25.0%"],
        ["none", "2", "100.0", "0.612", "0.712", "97.5%", "", "25.0%"],
    ]


def test_reading(folder):
    text = card(folder, TEST).text
    assert "CIDEr of 500.0; the model has 91.4% of that" in text
    assert "F1 is 0.667 (precision 0.500, recall 1.000)" in text


def test_without_masks_there_is_no_oracle(folder):
    text = card(folder, {name: value for name, value in TEST.items() if name != "oracle_cider"}).text
    assert "has a CIDEr of" not in text and "F1 is 0.667" in text


def test_of_another_data_set(folder):
    text = card(folder, SCORES).text
    assert [len(row) for row in table(text)] == [5] * 3
    assert "*Kind*" not in text and "CIDEr-D as pycocoevalcap" in text


def test_not_scored(folder):
    made = card(folder, test_data=None)
    assert "Not scored on a test split." in made.text and made.data.eval_results is None


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({}, "LoRA of rank 8 on vit, llm (paper targets) of the embedded model, 1,200 steps on: syned scenes train "),
        ({"model": "Salesforce/blip2-opt-2.7b"}, "(paper targets) of Salesforce/blip2-opt-2.7b, 1,200 steps"),
        ({"tuning": "full"}, "All weights of the embedded model were trained, 1,200 steps"),
        ({"scratch": {}}, "by `train_trainer.py`, 1,200 steps on: syned scenes train train=100 seed=1."),
        ({"scratch": {}, "lessons": True}, "linear heads on the vision tokens"),
        ({"scratch": {}, "embed": True}, "Trained from nothing by `make mini` (recipes/mini.yaml)"),
    ],
)  # fmt: skip
def test_how_it_was_made(folder, recipe, says):
    made = card(folder, **recipe)
    assert says in made.text
    adapter = not {"scratch", "tuning"} & set(recipe)
    assert made.data.library_name == ("peft" if adapter else "transformers")
    assert made.data.base_model == recipe.get("model")
    assert ('model="<this repository>"' in made.text) == ("embed" not in recipe)


def test_no_path_of_this_machine(folder, tmp_path):
    local = {**DATA, "path": str(tmp_path), "cache_dir": str(tmp_path), "split": "test"}
    for tuning in ("lora", "full"):
        made = card(folder, TEST, model=str(tmp_path), tuning=tuning, train_data=[local], test_data=local)
        content = (folder / "README.md").read_text()
        assert str(tmp_path) not in content and not re.search(r"(?<![\w./])/(tmp|home|root|work)/", content)
        assert f" of {tmp_path.name}" in content and made.data.base_model is None
