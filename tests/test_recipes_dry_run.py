"""Every recipe, with `--dry_run`, on a tiny model of its class and a small benchmark in the layout of its authors."""

import json

import pytest
import yaml

import datasets_syned
from datasets_syned.benchmarks import references
from tests.support import layouts
from tests.support.own_pairs import write_pairs
from tests.support.photo_material import draw_objects, draw_photographs
from tests.support.source_tree import ROOT
from tests.support.training_runs import SIZE, train

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPES = sorted(path for path in (ROOT / "recipes").glob("*.yaml") if path.stem != "defaults")
SIZES = {"train": 5, "val": 3, "test": 4}


def std(root):
    records = {
        split: [{"img_id": f"{split}{i}", "sentences": ["a car left", f"{i} people came"]} for i in range(count)]
        for split, count in SIZES.items()
    }
    return layouts.spot_the_diff(root, records)


def ier(root):
    names = {"train": "train", "val": "valid", "test": "test"}
    records = {
        names[split]: [
            {"img0": f"{split}{i}a.jpg", "img1": f"{split}{i}b.jpg", "sents": ["crop it"], "uid": f"{split}{i}"}
            for i in range(count)
        ]
        for split, count in SIZES.items()
    }
    return layouts.image_editing_request(root, records)


def clevr(root):
    splits = {"train": [0, 1, 2, 3, 4], "val": [5, 6], "test": [7, 8]}
    return layouts.clevr_change(root, splits, {scene: "color" for scene in range(9)})


def dc(root):
    names = [f"{i:06d}" for i in range(9)]
    splits = {"train": names[:5], "val": names[5:7], "test": names[7:]}
    return layouts.clevr_dc(root, {name: ["the ball moved", "the ball is elsewhere"] for name in names}, splits)


def emu_edit(root):
    rows = [(i, f"paint item {i}", "color") for i in range(20)]
    layouts.emu_edit(root, {"validation": rows, "test": rows[:4]})
    layouts.write(root / references.PARAPHRASES, {"0": ["Put paint on item 0"]})
    return root


def syned(root):
    rows = []
    for i in range(6):
        images = {side: layouts.image(layouts.png(layouts.color_of(i, side))) for side in ("before", "after")}
        rows.append({"id": f"train-{i}", "captions": [f"add dog {i}"], "category": "add", "changed": True, **images})
        rows[-1]["provenance"] = None
    layouts.parquet(root, "train", rows, datasets_syned.FEATURES, files=1)
    return root


BENCHMARKS = {"spot_the_diff": std, "image_editing_request": ier, "clevr_change": clevr, "clevr_dc": dc}
BENCHMARKS |= {"emu_edit": emu_edit, "syned": syned, "folder": write_pairs}


def fewer(specs, root):
    """Rendered scenes or composed photographs, not as many and smaller."""
    if isinstance(specs, list):
        return [fewer(spec, root) for spec in specs]
    rows = {split: min(4, specs[split]) for split in ("train", "validation", "test") if split in specs}
    if specs["name"] == "photos":
        material = {"photographs": draw_photographs(root / "photographs"), "objects": draw_objects(root / "objects")}
        return {**specs, **rows, **{name: str(folder) for name, folder in material.items()}, "num_proc": None}
    return {**specs, **rows, **SIZE, "num_proc": None}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_dry_run(recipe, tiny_model_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    words = ["--dry_run", "true", "--use_cpu", "true", "--disable_tqdm", "true", "--output_dir", tmp_path / "run"]
    words += ["--per_device_train_batch_size", 2]
    values = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    if not values.get("dataloader_persistent_workers"):
        words += ["--dataloader_num_workers", 0]
    if recipe.stem in ("mini", "embedded", "embedded_photos"):
        for name in ("train_data", "eval_data", "test_data"):
            words += [f"--{name}", json.dumps(fewer(values[name], tmp_path))]
    else:
        names = {spec["name"] for spec in (*values["train_data"], values["test_data"])}
        words += ["--data_dir", *(f"{name}={BENCHMARKS[name](tmp_path / name)}" for name in sorted(names))]
    if "scratch" not in values:
        words += ["--model", tiny_model_dir]
    result = train(recipe, *words)
    assert result["steps"] > 0 and result["step_samples"] == 2 and result["captions"]
    assert result["trainable_parameters"]["vit"] and result["trainable_parameters"]["qformer"]
    assert "2 pairs a step, canvas " in capsys.readouterr().out and not (tmp_path / "run").exists()
