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
    given = {"editor": "procedural", "editor_options": {"failure_rate": 0.1}, "splits": {"variants": 4, "limit": 10}}
    split = SplitSettings({"path": "scenes", "split": "train"}, variants=4, limit=10)
    expected = Settings({"train": split}, editor="procedural", editor_options={"failure_rate": 0.1})
    assert made(source={"path": "scenes"}, **given) == expected


def test_names_of_sources(tmp_path, monkeypatch):
    def source(name, roots=(), split="train", **given):
        return made(source={"path": name, **given}, editor="x", roots=roots, split=split).splits[split].source

    assert source("emu_edit", split="test") == {"path": "syned", "name": "emu_edit", "split": "test"}
    assert source("someone/edits", **{"columns": {"image": "picture"}}) == {
        "path": "someone/edits",
        "split": "train",
        "columns": {"image": "picture"},
    }
    assert made(source={"path": "a/b", "split": "dev"}, editor="x").splits["train"].source["split"] == "dev"
    assert source("emu_edit", roots=["ee/"])["data_dir"] == "ee/"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()  # also the name of a configuration
    assert source("folder") == {"path": "folder", "split": "train"}


def test_a_recipe_and_what_was_given_in_its_place():
    recipe = {
        "editor": "procedural",
        "editor_options": {"failure_rate": 0.5, "batch_size": 2},
        "seed": 3,
        "splits": {"train": {**SPLIT, "variants": 2}, "test": {**SPLIT, "variants": 1}},
    }
    given = {"splits": {"limit": 7}, "seed": 4, "editor_options": {"batch_size": 9}}
    found = made({"synthesis": recipe, "learning_rate": 1}, **given)
    assert found == made(recipe, **given)
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


EDITED = {"splits": {"train": SPLIT}, "editor": "x"}


@pytest.mark.parametrize(
    ("recipe", "given", "said"),
    [
        ({}, {}, "no split is to be made: name a source"),
        ({"splits": {"train": SPLIT}}, {}, "editor is missing: split 'train' has variants"),
        ({"splits": {"dev": SPLIT}, "editor": "x"}, {}, "splits: 'dev' is none of train, validation, test"),
        ({"splits": {"train": {**SPLIT, "variant": 8}}}, {}, "splits.train: unknown 'variant'; there are balance, li"),
        ({"splits": {"train": {"variants": 8}}}, {}, "splits.train has no source"),
        ({"splits": {"train": "scenes"}}, {}, "splits.train has no source: 'scenes'"),
        ({"splits": {"train": {**SPLIT, "variants": -1}}}, {}, "splits.train: variants=-1 must be a whole number"),
        ({"splits": {"train": {**SPLIT, "limit": 0}}}, {}, "splits.train: limit=0 must be a whole"),
        (
            {"splits": {"train": {"source": {"name": "x"}}}},
            {},
            "splits.train: source={'name': 'x'} must name a source",
        ),
        ({"editors": "x"}, {}, "unknown 'editors'; there are editor, editor_options"),
        ({**EDITED, "seed": 1.5}, {}, "seed=1.5 must be a whole number"),
        ({**EDITED, "image_format": "gif"}, {}, "image_format='gif' must be one of"),
        ({**EDITED, "paraphraser": "y"}, {}, "paraphraser='y' has nothing to do"),
        ({"splits": {"train": NONE}, "editor": "x"}, {}, "editor='x' has nothing to do"),
        ({"splits": {"train": WORDS}, "editor": "x"}, {}, "paraphraser is missing: split 'train'"),
        (EDITED, {"split": "test"}, "test: goes with a source"),
        ({"splits": ["train"]}, {}, "splits must be a dict, not ['train']"),
        ({"editor_options": ["a"]}, {}, "editor_options must be a dict, not ['a']"),
        ({**EDITED, "filter_options": {"size": 3}}, {}, "filter_options has 'size'"),
        ({"splits": {"train": SPLIT}}, {"source": {"path": "scenes"}}, "source='scenes': the recipe names its own"),
    ],
)
def test_refused(recipe, given, said):
    with pytest.raises(ValueError) as raised:
        made(recipe, **given)
    assert said in str(raised.value)
