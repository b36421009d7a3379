"""The card in a run's folder."""

from collections import Counter

import pytest
from datasets import load_dataset, load_dataset_builder
from huggingface_hub import DatasetCard

from datasets_syned.hub.describe import describe
from datasets_syned.synthesis import SplitSettings
from datasets_syned.synthesis.cards import run_card
from tests.support.runs_to_publish import plain_run
from tests.support.synthesis_runs import SMALL

FILTERS = [{"changed_area": 0.001}]
WHO = {"id": "timbrooks/instruct-pix2pix", "revision": "31519b5"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    splits = {name: SplitSettings({**SMALL, "split": name}, variants=3, limit=3) for name in ("train", "test")}
    return plain_run(tmp_path_factory.mktemp("run") / "run", splits=splits, filters=FILTERS)


def made_by(**more):
    """Content of `synthesis.json` of a run with other models, and what became of its rows."""
    source = {"path": "syned", "name": "emu_edit", "split": "train", "uncut": True, "data_dir": "/srv/ann/emu"}
    splits = {"train": {"source": source | more.pop("source", {}), "variants": 8, "paraphrases": 0}}
    editor = {**WHO, "parameters": {"steps": 20, "guidance": 7.5, "image_guidance": None, "arguments": {}}}
    models = {"editor": editor, "filters": {}} | more
    return {
        "settings": {"splits": splits, "seed": 3, "editor": "/srv/ann/editor"},
        "made_by": models,
        "planned": {"train": {"sources": 3590, "rows": 28720}},
    }


def text_of(run, kept=28720, failed=()):
    counts = {"rows": 28720, "kept": kept, "dropped": {}, "failed": dict(failed), "paraphrases": {}}
    return run_card({"splits": {"train": counts}, **run}, None)


def test_the_header_finds_the_splits_and_the_text_is_that_of_a_push(folder, tmp_path):
    data = load_dataset(str(folder), cache_dir=str(tmp_path))
    builder = load_dataset_builder("syned", "synthetic", data_dir=str(folder), cache_dir=str(tmp_path))
    builder.download_and_prepare()
    assert {name: list(rows["id"]) for name, rows in data.items()} == {
        name: list(rows["id"]) for name, rows in builder.as_dataset().items()
    }
    card = DatasetCard.load(folder / "README.md")
    assert card.data.configs[0]["config_name"] == "synthetic" and "synthetic" in card.data.tags
    assert (
        "](contact_sheet.png)\n\n*Sources, and to the right" in card.text and (folder / "contact_sheet.png").is_file()
    )
    pushed = describe(builder, builder.as_dataset()).fields["synthesis"]
    said = [line for line in pushed.splitlines() if line and "contact-sheet" not in line and "Packages" not in line]
    assert "\n- Packages: blip2idc" in pushed and said[0] == "### How the pairs were made"
    assert all(line.removeprefix("#") in card.text for line in said)


def test_models_in_words():
    filters = {
        "clip_image_text": {"min": 0.2, "model": "openai/clip-vit-large-patch14", "revision": "32bd645"},
        "near_duplicates": {"max": 0.5, "threshold": 8.0},
    }
    text = text_of(made_by(filters=filters))
    assert "- Editor: `timbrooks/instruct-pix2pix`, revision `31519b5`, with `steps=20`, `guidance=7.5`\n" in text
    assert (
        "- Filter `clip_image_text`, with `min=0.2`, `model=openai/clip-vit-large-patch14`, `revision=32bd645`\n"
        "- Filter `near_duplicates`, with `max=0.5`, `threshold=8.0`\n" in text
    )
    assert "| train | `syned` (name `emu_edit`, split `train`, `uncut=True`) | 3,590 | 8 | 0 |\n" in text
    assert "| train | 28,720 | 28,720 | 0 | 0 |\n\nNothing was left out.\n" in text
    assert "- Seed: 3; " in text and "ann" not in text.replace("planned", "")
    assert "- No filter was on\n" in text_of(made_by())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ann/pairs", "`ann/pairs` (split `train`"),
        ("/srv/ann/pairs", "files of their own (split `train`"),
        ("../pairs", "files of their own (split `train`"),
        ("imagefolder", "files of their own (split `train`"),
        ("C:\\ann\\pairs", "files of their own (split `train`"),
    ],
)
def test_a_source_that_is_no_name_on_the_hub_is_not_named(path, said):
    text = text_of(made_by(source={"path": path, "name": None, "data_files": "/srv/ann/x", "token": "hf_x"}))
    assert f"| train | {said}, `uncut=True`) | 3,590 | 8 | 0 |" in text
    assert "srv" not in text and "hf_x" not in text


def test_a_folder_of_this_machine_is_no_name_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "mine" / "pairs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "mine/pairs" not in text_of(made_by(source={"path": "mine/pairs"}))
    editor = {"id": "mine/pairs", "revision": "1", "parameters": {"extra": "/srv/ann/lora"}}
    assert "- Editor: `pairs`, revision `1`, with `extra=…`\n" in text_of(made_by(editor=editor))


def test_reasons_are_cut_short_and_name_no_file():
    failed = Counter({f"editor: a | b `{number}` '/srv/ann/my cat.png'": 30 - number for number in range(25)})
    text = text_of(made_by(), kept=28200, failed=failed)
    assert "| train | failed, editor: a \\| b \\`0\\` '…' | 30 |" in text
    assert text.count("failed, editor") == 20 and "| train | failed, for 5 other reasons | 40 |" in text
