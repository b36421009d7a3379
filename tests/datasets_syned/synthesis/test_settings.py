"""What a recipe and the command line say of a run."""

import pytest
import yaml

from datasets_syned.synthesis import Settings, SplitSettings
from datasets_syned.synthesis.settings import settings_from
from tests.support.source_tree import ROOT

SPLIT = {"source": "scenes"}
NONE = {**SPLIT, "variants": 0}
WORDS = {**SPLIT, "paraphrases": 2}


def made(recipe=None, roots=(), **given):
    return settings_from(recipe or {}, given, roots)


def test_from_the_command_line():
    found = made(source="scenes", editor="procedural", variants=4, limit=10, editor_options={"failure_rate": 0.1})
    split = SplitSettings({"path": "scenes", "split": "train"}, variants=4, limit=10)
    assert found == Settings({"train": split}, editor="procedural", editor_options={"failure_rate": 0.1})


def test_names_of_sources(tmp_path, monkeypatch):
    def source(name, **given):
        return made(source=name, editor="x", **given).splits

    assert source("emu_edit", split="test")["test"].source == {"path": "syned", "name": "emu_edit", "split": "test"}
    assert source("someone/edits", source_split="dev")["train"].source == {"path": "someone/edits", "split": "dev"}
    placed = made(source="emu_edit", editor="x", roots=["ee/"])
    assert placed.splits["train"].source["data_dir"] == "ee/"
    assert source("pics/", columns={"image": "picture"})["train"].source["columns"] == {"image": "picture"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()  # also the name of a configuration
    assert source("folder")["train"].source == {"path": "folder", "split": "train"}


def test_a_recipe_and_what_was_given_in_its_place():
    recipe = {
        "editor": "procedural",
        "editor_options": {"failure_rate": 0.5, "batch_size": 2},
        "seed": 3,
        "splits": {"train": {**SPLIT, "variants": 2}, "test": {**SPLIT, "variants": 1}},
    }
    found = made({"synthesis": recipe, "learning_rate": 1}, limit=7, seed=4, editor_options={"batch_size": 9})
    assert found == made(recipe, limit=7, seed=4, editor_options={"batch_size": 9})
    assert found.seed == 4 and found.editor_options == {"failure_rate": 0.5, "batch_size": 9}
    assert [(split.variants, split.limit) for split in found.splits.values()] == [(2, 7), (1, 7)]
    other = made(recipe, editor="another/editor", editor_options={"steps": 3})
    assert other.editor_options == {"steps": 3}, "options belong to their editor"


def test_the_recipe_of_syned():
    recipe = yaml.safe_load((ROOT / "recipes" / "syned.yaml").read_text(encoding="utf-8"))
    found = settings_from(recipe, {}, ["emu_edit=ee/"])
    assert found.splits["train"].variants == 8 and found.splits["test"].paraphrases == 4
    assert found.filters is None and found.paraphraser == "meta-llama/Llama-2-7b-chat-hf"
    assert all(split.source["data_dir"] == "ee/" for split in found.splits.values())


@pytest.mark.parametrize(
    ("recipe", "given", "said"),
    [
        ({}, {}, "no split is to be made: name a source"),
        ({"splits": {"train": SPLIT}}, {}, "editor is missing: split 'train' has variants"),
        ({"splits": {"dev": SPLIT}, "editor": "x"}, {}, "splits: 'dev' is none of train, validation, test"),
        (
            {"splits": {"train": {**SPLIT, "variant": 8}}},
            {},
            "splits.train: unknown 'variant'; there are balance, limit",
        ),
        ({"splits": {"train": {"variants": 8}}}, {}, "splits.train has no source"),
        ({"splits": {"train": "scenes"}}, {}, "splits.train must be a dict, not 'scenes'"),
        ({"splits": {"train": {**SPLIT, "variants": -1}}, "editor": "x"}, {}, "splits.train.variants=-1 must be"),
        (
            {"splits": {"train": {**SPLIT, "limit": 0}}, "editor": "x"},
            {},
            "splits.train.limit=0 must be a whole",
        ),
        ({"splits": {"train": {"source": {"name": "x"}}}}, {}, "splits.train.source={'name': 'x'} must name a source"),
        ({"editors": "x"}, {}, "unknown setting 'editors'; there are editor, editor_options"),
        ({"synthesis": "x"}, {}, "synthesis must be a dict of settings"),
        ({"splits": {"train": SPLIT}, "editor": "x", "seed": 1.5}, {}, "seed=1.5 must be a whole number"),
        (
            {"splits": {"train": SPLIT}, "editor": "x", "image_format": "gif"},
            {},
            "image_format='gif' must be one of",
        ),
        ({"splits": {"train": SPLIT}, "editor": "x", "paraphraser": "y"}, {}, "paraphraser='y' has nothing to do"),
        ({"splits": {"train": NONE}, "editor": "x"}, {}, "editor='x' has nothing to do"),
        (
            {"splits": {"train": WORDS}, "editor": "x"},
            {},
            "paraphraser is missing: split 'train'",
        ),
        (
            {"splits": {"train": SPLIT}, "editor": "x"},
            {"split": "test"},
            "split='test' goes with a source",
        ),
        ({"splits": ["train"]}, {}, "splits must be a dict, not ['train']"),
        ({"editor_options": ["a"]}, {}, "editor_options must be a dict, not ['a']"),
        ({"splits": {"train": SPLIT}, "editor": "x", "filter_options": {"size": 3}}, {}, "filter_options has 'size'"),
        ({"splits": {"train": SPLIT}}, {"source": "scenes"}, "source='scenes': the recipe names its own sources"),
    ],
)
def test_refused(recipe, given, said):
    with pytest.raises(ValueError) as raised:
        made(recipe, **given)
    assert said in str(raised.value)
