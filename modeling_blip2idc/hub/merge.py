"""Taking a model out: an adapter merged into its base, and a checkpoint of stock transformers."""

import copy
import json
import os
from pathlib import Path

import numpy as np
import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
)

from ..loading.load import load_idc, merge_adapter, public_name
from .model_card import write_merged_card
from .saving import fresh_folder, without_code

# By our model type. What our configurations have beside the fields of the stock ones is dropped.
STOCK = {
    "blip2idc": (Blip2Config, Blip2ForConditionalGeneration, Blip2Processor),
    "instructblipidc": (InstructBlipConfig, InstructBlipForConditionalGeneration, InstructBlipProcessor),
}
NOT_STOCK = ("model_type", "no_change_captions", "auto_map", "custom_pipelines", "architectures")
# A stock processor does not read these and `load_idc` does, so that a merged model comes back with its canvas.
CANVAS_OPTIONS = ("concat_axis", "draft", "stop_token", "prompt")
# The largest difference of a logit, in standard deviations of the logits, that is put down to rounding. Measured in
# float32 with random models of 2 and 16 layers: 1e-6 to 6e-4 of a merge of LoRA and DoRA (6e-6 at the size of
# OPT-2.7b), 3.8e-3 and more where one lora_B was lost. In bfloat16 a merge makes 0.01 to 1.5, which hides a loss.
TOLERANCE = 1e-3

# For servers that speak chat: BOS and what the user wrote, which is nothing. (Theirs for BLIP-2 writes
# "Question: ... Answer:", on which these models were not trained.) Image tokens come from the processor.
CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages if message['role'] == 'user' -%}
{%- if message['content'] is string -%}{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] if part['type'] == 'text' -%}{{- part['text'] -}}{%- endfor -%}
{%- endif -%}
{%- endfor -%}"""


def merge(
    model_id: str | os.PathLike,
    out: str | os.PathLike,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
) -> Path:
    """
    Writes a model as plain `Blip2ForConditionalGeneration` (or InstructBLIP) and its processor, an adapter merged into
    its base, with a card. Then reads it back with the stock class, and compares the logits of one fixed input with
    those from before. `out` is complete or not there.

    All is computed on the CPU in float32 (22 GB of memory for OPT-2.7b), and rounded to `dtype` at the end.

    Args:
        model_id (`str` or `os.PathLike`):
            Hub id or folder of an adapter or a full model, as for [`load_idc`].
        out (`str` or `os.PathLike`):
            The new folder. It must not exist, or be empty.
        dtype (`torch.dtype`, *optional*):
            Of the new weights, by default that of the base.
        revision (`str`, *optional*):
            Of `model_id` on the Hub.

    Returns:
        `pathlib.Path`: `out`.

    Raises:
        `FileExistsError`: `out` exists and is not empty.
        `OSError`: as [`load_idc`] does; the disk is full.
        `ValueError`: as [`load_idc`] does; the adapter cannot be merged; weights are not finite once merged or in
            `dtype`; the logits are others than before.
    """
    with fresh_folder(out) as partial:
        model, processor, base = load_merged(model_id, dtype, revision=revision)
        stock = _stock_model(model, processor)
        stock.save_pretrained(partial)
        _save_stock_processor(processor, type(stock), partial)
        write_merged_card(partial, stock, processor, public_name(os.fspath(model_id)), base)
        expected, stock_class = probe_logits(model, processor), type(stock)
        del model, stock  # there may not be room for two
        check_logits(expected, stock_class.from_pretrained(partial).eval(), processor, "the saved model")
    return Path(out)


def load_merged(model_id: str | os.PathLike, dtype: torch.dtype | None = None, **kwargs):
    """
    Loads a model as [`load_idc`] does, an adapter merged into its base in float32. Returns the model, of our class, in
    `dtype` (by default that of the base); its processor; and the name of the base, `None` without an adapter. Raises a
    `ValueError` if it cannot be merged, weights are not finite, or the logits of one fixed input are others than
    before.
    """
    model, processor = load_idc(model_id, **kwargs)
    base, dtype = None, dtype or model.dtype
    if hasattr(model, "peft_config"):
        config = model.peft_config["default"]
        base = config.base_model_name_or_path
        base = Path(base).name if base.startswith(".") else public_name(base)  # "." begins a path from the adapter's
        expected = probe_logits(model, processor)
        model = merge_adapter(model)
        check_logits(expected, model, processor, "the merged model")
    if dtype != model.dtype:
        model = model.to(dtype)
    if bad := [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]:
        raise ValueError(f"{len(bad)} weights are not finite in {model.dtype}, such as {bad[0]!r}")
    return model, processor, base


@torch.no_grad()
def probe_logits(model, processor) -> torch.Tensor:
    """
    Logits, of shape `(1, sequence_length, vocab_size)`, of one fixed input: a pair of noise images, and tokens from
    all over the vocabulary. The model, ours or a stock one, is widened to float32.
    """
    model.to(torch.promote_types(model.dtype, torch.float32))
    rng = np.random.default_rng(0)
    pair = tuple(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    inputs = processor(images=[pair])
    inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    words = torch.linspace(0, model.config.text_config.vocab_size - 1, 32).long()[None]
    words = words[words != model.config.image_token_index][None]
    if model.config.text_config.is_encoder_decoder:
        inputs["decoder_input_ids"] = words
    else:
        inputs["input_ids"] = torch.cat([inputs["input_ids"], words], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return model(**inputs, interpolate_pos_encoding=True).logits


def check_logits(expected: torch.Tensor, model, processor, what: str) -> None:
    """Raises a `ValueError` if the logits of a model differ from the expected ones by more than rounding explains."""
    gap = ((probe_logits(model, processor) - expected).abs().max() / expected.std()).item()
    if not gap <= TOLERANCE:
        raise ValueError(
            f"{what} has other logits than the model that it was made from: they differ by up to {gap:.2g} standard "
            f"deviations, where rounding explains {TOLERANCE:g}. Nothing was written"
        )


def _stock_model(model, processor):
    """A stock model with the parts of ours."""
    config_class, model_class, _ = STOCK[model.config.model_type]
    values = {key: value for key, value in model.config.to_dict().items() if key not in NOT_STOCK}
    config = config_class.from_dict(values)
    if not config.text_config.is_encoder_decoder:
        # stock `generate` and old servers stop by this one; a stock processor's reader takes the first
        eos = model.generation_config.eos_token_id
        eos = eos if isinstance(eos, list) else [eos]
        stops = [processor.stop_token_id, *(token for token in eos if token != processor.stop_token_id)]
        config.text_config.eos_token_id = stops if len(stops) > 1 else stops[0]
    with torch.device("meta"):
        stock = model_class(config)
    for name, part in model.named_children():
        setattr(stock, name, part)
    stock.query_tokens, stock.generation_config = model.query_tokens, model.generation_config
    return stock


def _save_stock_processor(processor, model_class: type, folder: Path) -> None:
    """Our processor as a stock one. How the canvas is made stays in its file, which stock classes do not read."""
    processor_class = next(kind for _, model, kind in STOCK.values() if model is model_class)
    tokenizer = copy.deepcopy(processor.tokenizer)
    bos = tokenizer.bos_token_id
    if not processor.is_encoder_decoder and tokenizer("")["input_ids"] != [bos]:
        # our processor puts BOS before the text itself; a stock one leaves that to the tokenizer, which need not
        template = {"single": f"{tokenizer.bos_token} $A", "special_tokens": [(tokenizer.bos_token, bos)]}
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(**template)
    parts = [processor.image_processor, tokenizer]
    if processor_class is InstructBlipProcessor:
        parts.append(processor.qformer_tokenizer)
    elif not processor.is_encoder_decoder:
        tokenizer.chat_template = CHAT_TEMPLATE
    processor_class(*parts, num_query_tokens=processor.num_query_tokens).save_pretrained(folder)
    for file in (folder / "processor_config.json", *folder.rglob("tokenizer_config.json")):
        values = without_code(json.loads(file.read_text(encoding="utf-8")))
        if file.name == "processor_config.json":
            values.update({name: getattr(processor, name) for name in CANVAS_OPTIONS})
        file.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


__all__ = ["load_merged", "merge"]
