"""The card of an imported adapter: what is known of it, and what is not."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from .card import PHOTOGRAPHS
from .card_text import loading, seal

# Folders below code_release/weights of github.com/gautierevn/BLIP2IDC.
RELEASED = {
    "training_clevr_DC_5e-5_8LoraRank_8.bin.opt": "clevr_dc",
    "clevr_change_loraRank16_1e-4.bin.opt.16": "clevr_sota",
    "ier_seed_1234.bin.opt": "ier",
    "spot_1e-4_rank_8_seed_1234__8_15.bin.opt": "spot_sota",
    "syned_full_lora_32_lr_4e-5_32.bin.opt": "syned_sota",
}
TEXT = """
# An imported adapter: {name}

Two images in, the difference in a sentence out. A LoRA of [BLIP2IDC](https://arxiv.org/abs/2412.15939)'s kind,
converted by `blip2idc import-adapter`; nothing was trained.

{loading}

## Where it is from

The folder `{name}`, whose `{file}` has the SHA-256 `{sha256}`.{released}
Who trained it, on what and under which licence was not read from its files: ask its authors before you pass it on.

## What it is

- Base: {base}{revision}.
- LoRA of rank {rank}, alpha {lora_alpha}, dropout {lora_dropout:g}: {parameters:,} parameters on {count} modules
  ({vit} of the ViT, {qformer} of the Q-Former, {language} of the language model).
- Target modules: {targets}.
- Weights: {dtypes}.
- A caption ends with {stop_token}; `generation_config.json` also stops where the base does.

Names and shapes were checked against the base's architecture. It was not scored.

## Limits

{limits}
"""


def write_import_card(folder: Path, facts: Mapping[str, Any]) -> None:
    """
    Writes `README.md` beside an imported adapter.

    Args:
        folder (`pathlib.Path`):
            Of the adapter.
        facts (`dict`):
            As [`import_adapter`] returns them.
    """
    data = ModelCardData(
        license="unknown",
        language="en",
        library_name="peft",
        pipeline_tag="image-to-text",
        tags=["image-difference-captioning", "change-captioning", "blip-2", "lora"],
        base_model=facts["base"] if facts["hub"] else None,
    )
    old, new = facts["dtypes"]
    targets = facts["targets"]
    below = RELEASED.get(facts["name"])
    released = "" if below is None else (
        f" A folder of this name is in `code_release/weights/{below}` of "
        "[gautierevn/BLIP2IDC](https://github.com/gautierevn/BLIP2IDC); the name is all that says that it is this one."
    )  # fmt: skip
    shown = dict(
        facts,
        loading=loading(adapter=True),
        released=released,
        revision=f", revision {facts['revision']}" if facts["revision"] else "",
        count=sum(facts["modules"].values()),
        **facts["modules"],
        targets=f"`{targets}`" if isinstance(targets, str) else _listed(targets),
        dtypes=f"{new}, as they were" if old == new else f"{new}, converted from {old}",
        stop_token=f"`{facts['stop_token']!r}`",
        limits=PHOTOGRAPHS,
    )
    file = folder / "README.md"
    file.write_text(seal(f"---\n{data.to_yaml()}\n---\n{TEXT.format(**shown)}"), encoding="utf-8")
    ModelCard.load(file)  # its header parses


def _listed(targets: list[str]) -> str:
    """The names, those that differ by a layer's number as one."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name in targets))


__all__ = ["write_import_card"]
