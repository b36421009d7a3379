"""Short training runs of tiny models, for the tests of the Trainer."""

import torch
from transformers import Seq2SeqTrainingArguments

from datasets_syned import IDCCollator
from modeling_blip2idc.training.trainer import IDCTrainer
from tests.support.tiny_blip2 import CAPTIONS, random_pairs

OURS = ("muon_lr", "auxiliary_weights", "callbacks", "compute_metrics", "compute_loss_func", "eval_dataset")


def rows_of(count, captions=CAPTIONS):
    """Rows of noise, `row-0` and so on, with one reference each."""
    return [
        {"id": f"row-{i}", "before": before, "after": after, "captions": [captions[i % len(captions)]]}
        for i, (before, after) in enumerate(random_pairs(count))
    ]


def arguments(folder, **kwargs):
    options = {"max_steps": 4, "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "save_steps": 2}
    options |= {"logging_steps": 1, "learning_rate": 1e-3, "use_cpu": True, "report_to": "none", "disable_tqdm": True}
    options |= {"remove_unused_columns": False, "predict_with_generate": True, "dataloader_pin_memory": False}
    return Seq2SeqTrainingArguments(str(folder), **{**options, **kwargs})


def trainer_of(model, processor, folder, rows=None, collator=None, **kwargs):
    """An `IDCTrainer` of `rows`, by default of 6 rows."""
    ours = {name: kwargs.pop(name) for name in OURS if name in kwargs}
    plain = IDCCollator(processor)
    return IDCTrainer(
        model, arguments(folder, **kwargs), data_collator=collator or plain, eval_collator=plain.for_evaluation(),
        train_dataset=rows_of(6) if rows is None else rows, processing_class=processor, **ours,
    )  # fmt: skip


def weights_of(model):
    """All weights in one row."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])
