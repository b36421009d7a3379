"""Taking a model out: a checkpoint of stock transformers, which needs nothing of this package."""

import copy
import json
import os
from pathlib import Path

import torch
from huggingface_hub import ModelCard, ModelCardData
from tokenizers.processors import TemplateProcessing
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
)

from ..configuration_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig
from ..loading.load import load_idc, public_name
from .card_text import seal
from .compact import CODE_KEYS
from .fresh_folder import fresh_folder

# By our model type; what our configurations have beside the stock ones' fields is dropped.
STOCK = {
    Blip2IDCConfig.model_type: (Blip2Config, Blip2ForConditionalGeneration, Blip2Processor),
    InstructBlipIDCConfig.model_type: (
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
    ),
}
NOT_STOCK = ("model_type", "no_change_captions", "auto_map", "custom_pipelines", "architectures")
# What a stock processor does not read and `load_idc` does, so that a merged model comes back with its canvas.
CANVAS_OPTIONS = ("concat_axis", "draft", "stop_token", "prompt")

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

CARD = """
# {title}

A stock `{model}`: it loads without the package that made it and without `trust_remote_code`.
It says what changed between two images, which are one image to it: a **canvas of {width}x{height} pixels (width x
height)** with both on it, {layout}, each resized to its half.
`blip2idc canvas before.png after.png canvas.png --model <this repository>` makes it.

```python
from PIL import Image
from transformers import {model}, {processor}

model = {model}.from_pretrained("<this repository>")
processor = {processor}.from_pretrained("<this repository>")
inputs = processor(images=Image.open("canvas.png"), text={prompt!r}, return_tensors="pt")
ids = model.generate(**inputs, generation_config=model.generation_config{interpolate})
print(processor.batch_decode(ids{new}, skip_special_tokens=True)[0].strip())
```

`generation_config` is passed because `generate` of this class ignores the model's own in transformers 5.23.{server}

## How it was made

`blip2idc merge`, from {source}: {how}. They are in {dtype}. Nothing was trained, and it was not scored again.

## Limits

Those of the model that it was made from; its card has them.
"""
FITS = (
    "\n\nBy its source, vLLM serves such a model, one canvas per request and no text, with `chat_template.jinja`; it "
    "was not tried."
)
MISFITS = (
    "\n\nvLLM takes {size}x{size} pixels only, for which the position embeddings are: it cannot serve this model with "
    "this canvas."
)


def merge(
    model_id: str | os.PathLike,
    out: str | os.PathLike,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
) -> Path:
    """
    Writes a model as plain `Blip2ForConditionalGeneration` (or InstructBLIP) and its processor, an adapter merged into
    its base, with a card. `out` is complete or not there.

    The merge is computed in the base's dtype, on the CPU and in memory (15 GB for the released OPT-2.7b).

    Args:
        model_id (`str` or `os.PathLike`):
            Hub id or folder of an adapter or a full model, as for [`load_idc`].
        out (`str` or `os.PathLike`):
            The new folder; it must not be there, or be empty.
        dtype (`torch.dtype`, *optional*):
            Of the new weights, by default that of the base.
        revision (`str`, *optional*):
            Of `model_id` on the Hub.

    Returns:
        `pathlib.Path`: `out`.

    Raises:
        `FileExistsError`: if `out` is there and not empty.
        `OSError`, `ValueError`: as [`load_idc`] does; if weights are not finite once merged or in `dtype`; if disk is
            full.
    """
    with fresh_folder(out) as partial:
        # a wider dtype has to be there before the merge, a narrower one is for its result
        model, processor = load_idc(model_id, revision=revision, dtype=dtype if dtype == torch.float32 else None)
        base = None
        if hasattr(model, "merge_and_unload"):
            base = model.peft_config["default"].base_model_name_or_path
            base = Path(base).name if base.startswith(".") else public_name(base)  # from the adapter's folder
            model = model.merge_and_unload(safe_merge=True)
        if dtype is not None:
            model = model.to(dtype)
        if bad := [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]:
            raise ValueError(f"{len(bad)} weights are not finite in {model.dtype}, such as {bad[0]!r}.")
        plain = _stock_model(model, processor)
        plain.save_pretrained(partial)
        _stock_processor(processor, type(plain)).save_pretrained(partial)
        _finish_processor(partial, processor)
        _write_card(partial, plain, processor, public_name(os.fspath(model_id)), base)
    return Path(out)


def _stock_model(model, processor):
    """The model as one of the stock class, over the same parameters."""
    config_class, model_class, _ = STOCK[model.config.model_type]
    values = {key: value for key, value in model.config.to_dict().items() if key not in NOT_STOCK}
    plain = copy.copy(model)
    plain.__class__, plain.config = model_class, config_class.from_dict(values)
    if not plain.config.text_config.is_encoder_decoder:
        # stock `generate` and old servers stop by this one; a stock processor's reader takes the first
        eos = model.generation_config.eos_token_id
        eos = eos if isinstance(eos, list) else [eos]
        stops = [processor.stop_token_id, *(token for token in eos if token != processor.stop_token_id)]
        plain.config.text_config.eos_token_id = stops if len(stops) > 1 else stops[0]
    return plain


def _stock_processor(processor, model_class: type):
    stock = next(kind for _, model, kind in STOCK.values() if model is model_class)
    tokenizer = copy.deepcopy(processor.tokenizer)
    if not processor.is_encoder_decoder:
        _begin_with_bos(tokenizer)
    parts = [processor.image_processor, tokenizer]
    if stock is InstructBlipProcessor:
        parts.append(processor.qformer_tokenizer)
    elif not processor.is_encoder_decoder:
        tokenizer.chat_template = CHAT_TEMPLATE
    return stock(*parts, num_query_tokens=processor.num_query_tokens)


def _begin_with_bos(tokenizer) -> None:
    """Our processor puts BOS before the text itself; a stock one leaves that to the tokenizer, which need not."""
    bos = tokenizer.bos_token_id
    if tokenizer("")["input_ids"] != [bos]:
        named = [(tokenizer.bos_token, bos)]
        template = TemplateProcessing(single=f"{tokenizer.bos_token} $A", special_tokens=named)
        tokenizer.backend_tokenizer.post_processor = template


def _finish_processor(folder: Path, processor) -> None:
    """What is not stock goes, down to the parts of the processor; how the canvas is made stays."""

    def clean(values):
        return {k: clean(v) if isinstance(v, dict) else v for k, v in values.items() if k not in CODE_KEYS}

    for file in (folder / "processor_config.json", *folder.rglob("tokenizer_config.json")):
        values = clean(json.loads(file.read_text(encoding="utf-8")))
        if file.name == "processor_config.json":
            values.update({name: getattr(processor, name) for name in CANVAS_OPTIONS})
        file.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_card(folder: Path, plain, processor, source: str, base: str | None) -> None:
    height, width = (processor.image_processor.size[side] for side in ("height", "width"))
    size = plain.config.vision_config.image_size
    square = (height, width) == (size, size)
    served = isinstance(plain, Blip2ForConditionalGeneration) and not processor.is_encoder_decoder
    prompt_length = "[:, inputs['input_ids'].shape[1] :]"
    card = CARD.format(
        title=f"{source}, as stock transformers has it" if base is None else f"{source}, merged",
        model=type(plain).__name__,
        processor=type(plain).__name__.replace("ForConditionalGeneration", "Processor"),
        width=width,
        height=height,
        layout="before above after" if processor.concat_axis == "vertical" else "before to the left of after",
        prompt=processor.prompt or "",
        interpolate="" if square else ", interpolate_pos_encoding=True",
        new="" if processor.is_encoder_decoder else prompt_length,
        source=f"`{source}`",
        how="the weights are the same" if base is None else f"the adapter was added to the weights of `{base}`",
        dtype=str(plain.dtype).removeprefix("torch."),
        server="" if not served else FITS if square else MISFITS.format(size=size),
    )
    data = ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag="image-to-text",
        tags=["image-difference-captioning", "change-captioning", plain.config.model_type],
        base_model=source if "/" in source else None,
    )
    file = folder / "README.md"
    file.write_text(seal(f"---\n{data.to_yaml()}\n---\n{card}"), encoding="utf-8")
    ModelCard.load(file)  # its header parses


__all__ = ["merge"]
