"""
Training runs of a tiny model, listed in a JSON file: in one process, or in each of those that torchrun starts.

    torchrun --nproc_per_node 2 tests/support/distributed_run.py runs.json
"""

import json
import os
import sys
from pathlib import Path

import datasets
import torch
from accelerate.utils import DistributedType
from peft import get_peft_model
from PIL import Image
from transformers import Seq2SeqTrainingArguments, set_seed
from transformers.utils import logging

from datasets_syned import IDCCollator
from datasets_syned.training import training_data
from modeling_blip2idc import load_idc, lora_config
from modeling_blip2idc.from_scratch.build import add_auxiliary
from modeling_blip2idc.training.checkpoints import last_checkpoint
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.tiny_blip2 import CAPTIONS, random_pairs

MORE = ["", " and", " and the red cube", " and the blue sphere was moved", " too"]
STEPS = {
    "max_steps": 4, "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "learning_rate": 1e-2,
    "logging_steps": 1, "use_cpu": True, "report_to": "none", "disable_tqdm": True, "remove_unused_columns": False,
    "predict_with_generate": True, "dataloader_pin_memory": False, "save_strategy": "no",
    "lr_scheduler_type": "constant",
}  # fmt: skip


def rows_of(count: int, seed: int = 0) -> datasets.Dataset:
    """Rows with two references each, of many lengths."""
    rows = []
    for i, pair in enumerate(random_pairs(count, seed)):
        before, after = map(Image.fromarray, pair)
        captions = [CAPTIONS[(i + k) % 4] + MORE[(i + 2 * k) % 5] for k in range(2)]
        rows.append({"id": f"row-{i}", "before": before, "after": after, "captions": captions})
    return datasets.Dataset.from_list(rows)


class Collator(IDCCollator):
    """Writes down what it collates, and can make one image infinite, or add dense labels."""

    def __init__(self, processor, folder, broken=None, dense=False):
        super().__init__(processor)
        self.folder, self.broken, self.dense = folder, broken, dense

    def __call__(self, rows):
        batch = super().__call__(rows)
        with open(Path(self.folder, f"rows-{os.environ.get('RANK', 0)}"), "a", encoding="utf-8") as file:
            file.writelines(f"{row['id']}\n" for row in rows)
        batch["pixel_values"][[row["id"] == self.broken for row in rows]] = torch.inf
        if self.dense:  # the canvas of the tiny model has 4 x 2 patches
            batch["patch_labels"] = torch.ones(len(rows), 8, 1, dtype=torch.long)
            batch["pair_labels"] = torch.full((len(rows), 1), 2)
        return batch


def run(spec: dict) -> None:
    """
    One run, continued if its folder has a checkpoint. The folder gets `model`, what `save_model` writes, and
    `result.json`.

    Args:
        spec (`dict`): `folder`, `model`; `tuning` (lora, by default, full or auxiliary), `lora_dropout` (`float`),
            `rows` (`int`), `stream` (`int`, its shards), `broken` (`str`, a row), `stop` (`int`, a token that ends
            captions); all others are arguments of `Seq2SeqTrainingArguments`.
    """
    spec = dict(spec)
    folder, tuning, stop = spec.pop("folder"), spec.pop("tuning", "lora"), spec.pop("stop", None)
    Path(folder).mkdir(exist_ok=True)
    Path(folder, f"pid-{os.environ.get('RANK', 0)}").write_text(str(os.getpid()))
    model, processor = load_idc(spec.pop("model"), dtype=spec.pop("dtype", None))
    set_seed(0)
    if tuning == "lora":
        model = get_peft_model(model, lora_config(lora_dropout=spec.pop("lora_dropout", 0.0)))
    elif tuning == "auxiliary":
        add_auxiliary(model, {"present": 2}, {"category": 3})
    rows, eval_rows = rows_of(spec.pop("rows", 12)), rows_of(7, seed=1)
    if (shards := spec.pop("stream", None)) is not None:
        rows = training_data.concatenate([rows.to_iterable_dataset(num_shards=shards)], buffer_size=4)
    if spec.get("train_sampling_strategy") == "group_by_length":
        rows = training_data.with_lengths(rows, lambda captions: processor.tokenizer(captions)["input_ids"])
    collator = Collator(processor, folder, spec.pop("broken", None), tuning == "auxiliary")
    args = Seq2SeqTrainingArguments(folder, **{**STEPS, **spec})
    if args.fsdp:  # accelerate shards only where it sees more than one GPU; torch does it on CPUs as well
        args.distributed_state.distributed_type = DistributedType.MULTI_GPU
    trainer = IDCTrainer(
        model, args, data_collator=collator, eval_collator=IDCCollator(processor).for_evaluation(),
        train_dataset=rows, eval_dataset=eval_rows, processing_class=processor,
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    trainer.save_model(str(Path(folder, "model")))
    predicted = trainer.predict(eval_rows, max_new_tokens=12, **({} if stop is None else {"eos_token_id": stop}))
    if trainer.is_world_process_zero():
        history = trainer.state.log_history
        result = {
            "model": type(trainer.model_wrapped).__name__,
            "losses": [entry["loss"] for entry in history if "loss" in entry],
            "norms": [entry["grad_norm"] for entry in history if "loss" in entry],
            "evaluations": [entry["eval_loss"] for entry in history if "eval_loss" in entry],
            "best": trainer.state.best_model_checkpoint,
            "test_loss": predicted.metrics["test_loss"],
            "labels": predicted.label_ids.tolist(),
            "predictions": predicted.predictions.tolist(),
        }
        Path(folder, "result.json").write_text(json.dumps(result))


def main(runs: list[dict]) -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for spec in runs:
        run(spec)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
