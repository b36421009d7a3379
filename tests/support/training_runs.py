"""What the tests of `train_trainer.py` share: small recipes on the rendered scenes, and looks at what runs leave."""

import json
import re
from pathlib import Path

from datasets import load_dataset
from transformers import pipeline

import train_trainer
from modeling_blip2idc import load_idc
from train_arguments import parse

SIZE = {"width": 48, "height": 32}
STEPS = {
    "max_steps": 6,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 5,
    "learning_rate": 1e-3,
    "eval_strategy": "steps",
    "eval_steps": 3,
    "save_strategy": "steps",
    "save_steps": 2,
    "logging_steps": 1,
    "use_cpu": True,
    "disable_tqdm": True,
}


def scenes_in(cache):
    """A function that makes the spec of rows of one split, in a cache folder."""

    def spec(split, rows, **options):
        sizes = {"train": 0, "validation": 0, "test": 0, split: rows}
        return {"path": "syned", "name": "scenes", "split": split, "cache_dir": str(cache), **sizes, **SIZE, **options}

    return spec


def toy_recipe(scenes):
    """recipes/embedded.yaml at the smallest size."""
    masks = {"masks": True, "references": 6}
    return {
        **STEPS,
        "scratch": {"canvas_size": 32, "patch_size": 8, "width": 32, "heads": 2, "vision_layers": 1,
                    "qformer_layers": 1, "text_layers": 1, "num_query_tokens": 4},
        "train_data": [scenes("train", 18, **masks), scenes("train", 12, seed=1, jitter=0.0, **masks)],
        "eval_data": scenes("validation", 6),
        "test_data": scenes("test", 12, masks=True),
        "dense_supervision": True,
        "curriculum": [[0.3, [1]], [1.0, [0, 1]]],
        "muon_lr": 3e-3,
        "weight_decay": 0.05,
        "adam_beta2": 0.98,
        "warmup_steps": 2,
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": {"num_decay_steps": 2, "decay_type": "linear"},
        "save_total_limit": 2,
    }  # fmt: skip


def lora_recipe(scenes):
    """LoRA over whatever model is named."""
    return {
        **STEPS,
        "train_data": [scenes("train", 10)],
        "eval_data": scenes("validation", 6),
        "test_data": scenes("test", 6),
        "per_device_train_batch_size": 2,  # five steps per epoch
        "max_steps": 8,
        "save_steps": 3,
        "eval_steps": 4,
        "learning_rate": 1e-2,
        "augment": True,
    }


def train(*words):
    """`train_trainer.py` with these words, in this process. Returns the report."""
    return train_trainer.main(*parse([str(word) for word in words]))


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def captions_everywhere(folder, scenes, rows):
    """Captions of the test split: as evaluated, by the pipeline, and by `load_idc` and `generate`."""
    data = load_dataset(**scenes("test", rows))
    pipe = pipeline("image-difference-captioning", model=str(folder / "final"))
    model, processor = load_idc(folder / "final")
    inputs = processor(images=[(row["before"], row["after"]) for row in data])
    ids = model.generate(**inputs)
    if not processor.is_encoder_decoder:
        ids = ids[:, inputs["input_ids"].shape[1] :]
    evaluated = lines_of(folder / "predictions.jsonl")
    assert [line["id"] for line in evaluated] == list(data["id"])
    assert [line["references"] for line in evaluated] == list(data["captions"])
    return (
        [line["caption"] for line in evaluated],
        [result[0]["generated_text"] for result in pipe(data, batch_size=4)],
        processor.post_process_captions(ids),
    )


def assert_nothing_of_this_machine(folder):
    for path in [*folder.glob("*.json"), *folder.glob("*.md")]:
        found = re.findall(r"(?<![\w.~:/])/(?:tmp|home|root|work|private|Users)/\S+", path.read_text(encoding="utf-8"))
        assert found == [], path.name
    assert not list(folder.glob("*.bin")) + list(folder.glob("*.pt")) + list(folder.glob("*.pth"))
