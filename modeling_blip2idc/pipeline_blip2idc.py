"""The `image-difference-captioning` pipeline."""

import copy
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, Pipeline

from .checkpoints_blip2idc import add_image_token, refuse_learned_prompt, take_adapter_settings
from .configuration_blip2idc import NO_CHANGE_CAPTIONS, normalize_caption
from .image_files_blip2idc import ImageLoadError, is_image_error
from .image_processing_blip2idc import as_pair
from .modeling_blip2idc import Blip2IDCForConditionalGeneration, InstructBlipIDCForConditionalGeneration
from .processing_blip2idc import Blip2IDCProcessor, InstructBlipIDCProcessor

TASK = "image-difference-captioning"
# Model and processor by the `model_type` of a config.json, stock and ours.
CAPTIONERS = {
    **dict.fromkeys(("blip-2", "blip2idc"), (Blip2IDCForConditionalGeneration, Blip2IDCProcessor)),
    **dict.fromkeys(
        ("instructblip", "instructblipidc"), (InstructBlipIDCForConditionalGeneration, InstructBlipIDCProcessor)
    ),
}


class ImageDifferenceCaptioningPipeline(Pipeline):
    """
    Say in words what changed between two images.

    ```python
    >>> idc = pipeline("image-difference-captioning")
    >>> idc("before.png", "after.png")
    [{'generated_text': 'the small red metal sphere turned blue', 'score': 0.93, 'changed': True}]
    >>> for captions in idc(dataset, batch_size=32, num_beams=3):
    ...     print(captions[0]["generated_text"])
    ```

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            One of our models, or the stock model that it extends, which is used as one of ours over the same weights.
        processor (`ProcessorMixin`, *optional*):
            One of ours, or a stock one, which is extended by the canvas that the model's folder describes. Of a model
            that `pipeline` loads, by default the one saved with it.
        kwargs: as for `transformers.Pipeline`; and what `__call__` takes, as the default of each call.

    Raises:
        `ValueError`: if the model is neither BLIP-2 nor InstructBLIP, or the processor is missing or of another kind.
    """

    _load_processor = True
    _load_image_processor = _load_feature_extractor = _load_tokenizer = False
    # The call's own arguments are merged below; the base class would take some of them out of sight.
    _pipeline_calls_generate = False

    def __init__(self, model, processor=None, **kwargs):
        if not isinstance(model, torch.nn.Module):  # with this package, a function that loads model and processor
            model, saved = model()
            processor = saved if processor is None else processor
        given, model = model, as_captioner(model)
        processor = as_pair_processor(processor, model)
        if model is not given and getattr(model, "_hf_peft_config_loaded", False):
            take_adapter_settings(model, processor.tokenizer.name_or_path)
        add_image_token(model, processor)
        super().__init__(model=model, processor=processor, **kwargs)
        self.model.eval()  # a model fresh from training has dropout on

    def __call__(self, inputs: Any = None, after: Any = None, *, before: Any = None, **kwargs) -> Any:
        """
        Caption one pair of images, or many.

        Args:
            inputs (`tuple`, `dict`, `list`, `datasets.Dataset`, `torch.utils.data.Dataset` or `Iterable`):
                One pair: `(before, after)`, or a dict with these keys, of anything that `load_image` takes. Many: a
                list of pairs, a dataset with these columns, or any iterable, of which no more is read than the batch
                at work. A dict, or a row of a dataset, may have a `prompt` of its own.
            before, after (*optional*):
                The images of one pair; `pipe(before, after)` works, too.
            text (`str` or `list[str]`, *optional*):
                The prompt, or one for each pair: the start of the caption, or InstructBLIP's instruction. It wins over
                a row's `prompt`, which wins over the processor's.
            batch_size (`int`, *optional*, defaults to 1): pairs at a time, on which their captions do not depend.
            concat_axis (`str`, *optional*), draft (`bool`, *optional*), size (`dict`, *optional*):
                The canvas, as for [`Blip2IDCProcessor`]; by default as the processor has it.
            on_error (`str`, *optional*, defaults to `"raise"`):
                What to do about images that cannot be read: `"raise"` ends the run with an error that names the row;
                `"return"` makes `[{"error": "row 3: ..."}]` its result. Every other error ends the run.
            no_change_captions (`list[str]`, *optional*):
                What means "nothing changed", by default `model.config.no_change_captions`; case and punctuation aside.
            generate_kwargs (`dict`, *optional*):
                Arguments of `generate`, such as `num_beams`, which may also be given one by one. They win over a
                `generation_config` given beside them.

        Returns:
            For one pair, a list of `num_return_sequences` dicts, of beams the best first; for a list, a list of such
            lists; for a dataset or an iterable, an iterator over them. The keys: `generated_text` (`str`), the caption
            without the prompt; `score` (`float`), `exp` of the mean log-probability of the caption's tokens, stop
            token included, in (0, 1]; `changed` (`bool`), whether the caption reports a change;
            and of a model with `config.not_sure_below` `sure` (`bool`), whether the score, which is the model's own
            also for beams and samples, is not below that.

        Raises:
            `ImageLoadError`: a `ValueError`, for images that cannot be read.
            `ValueError`, `TypeError`: for something that is neither a pair nor many, or too few or many prompts.
            `FloatingPointError`: if the model's logits are not finite.
        """
        if before is not None or after is not None:
            inputs = (inputs if before is None else before, after)
        results = super().__call__(as_rows(inputs, kwargs.pop("text", None)), **kwargs)
        return list(results) if isinstance(inputs, Sequence) and not isinstance(inputs, tuple) else results

    def _sanitize_parameters(self, no_change_captions=None, generate_kwargs=None, local_files_only=None, **kwargs):
        if "prompt" in kwargs:
            raise TypeError("prompt= is not an argument of the pipeline: give the prompt as text=")
        kwargs = {**(generate_kwargs or {}), **kwargs}
        preprocess = {n: kwargs.pop(n) for n in ("text", "concat_axis", "draft", "size", "on_error") if n in kwargs}
        if preprocess.get("on_error", "raise") not in ("raise", "return"):
            raise ValueError(f"on_error is 'raise' or 'return', got {preprocess['on_error']!r}")
        if isinstance(no_change_captions, str):
            raise TypeError("no_change_captions is a list of captions, got one string")
        postprocess = {} if no_change_captions is None else {"no_change_captions": tuple(no_change_captions)}
        return preprocess, kwargs, postprocess

    def preprocess(self, row: "Row", on_error: str = "raise", **processor_kwargs) -> dict:
        try:
            if row.error is not None:
                raise row.error
            return {**self._read(row, **processor_kwargs), "error": None}
        except Exception as error:
            if not is_image_error(error) or (row.index is None and on_error == "raise"):
                raise
            message = " ".join(str(error).split()) or type(error).__name__
            message = message if row.index is None else f"row {row.index}: {message}"
            if on_error == "raise":
                raise ImageLoadError(message) from error
        blank = Image.new("RGB", (8, 8))  # stands in, as a batch needs one shape throughout
        return {**self._read(Row(None, (blank, blank)), **processor_kwargs), "error": message}

    def _read(self, row: "Row", **processor_kwargs) -> dict[str, torch.Tensor]:
        # pixel_values (1, 3, H, W), input_ids and attention_mask (1, L), for InstructBLIP also those of the Q-Former
        prompt = row.pair.get("prompt") if row.prompt is None and isinstance(row.pair, Mapping) else row.prompt
        processor_kwargs |= {} if prompt is None else {"text": prompt}
        return dict(self.processor(images=as_pair(row.pair, "pair"), return_tensors="pt", **processor_kwargs))

    def _forward(self, model_inputs: dict, generation_config=None, **generate_kwargs) -> dict:
        error = model_inputs.pop("error")
        options = dict(generate_kwargs, return_dict_in_generate=True, output_logits=True)
        if generation_config is not None:
            generation_config = copy.deepcopy(generation_config)  # `generate` deprecates arguments beside it
            options = {"generation_config": generation_config, **generation_config.update(**options)}
        if options.get("eos_token_id", getattr(generation_config, "eos_token_id", None)) is None:
            # The model's own, and what the processor ends captions with: they differ in plain BLIP-2 folders, and a
            # caption that is not stopped runs on to the limit.
            own = self.model.generation_config.eos_token_id
            tokens = {*(own if isinstance(own, list) else [own]), self.processor.stop_token_id}
            options["eos_token_id"] = sorted(tokens - {None})
        # Padded on the tokenizer's side; a decoder goes on from the right end, the Q-Former counts from the left.
        for prefix, tokens_first in (("", False), ("qformer_", True)):
            if (mask := model_inputs.get(f"{prefix}attention_mask")) is not None:
                order = mask.argsort(dim=1, stable=True, descending=tokens_first)
                names = (f"{prefix}input_ids", f"{prefix}attention_mask")
                model_inputs |= {name: model_inputs[name].gather(1, order) for name in names}
        output = self.model.generate(**model_inputs, **options)
        ids = output.sequences  # (N R, T), with R return sequences
        if not self.model.config.text_config.is_encoder_decoder:
            ids = ids[:, model_inputs["input_ids"].shape[1] :]  # without the prompt
        scores, pairs = self.model.sequence_confidence(output), len(model_inputs["input_ids"])
        return {"generated_ids": ids.view(pairs, -1, ids.shape[1]), "scores": scores.view(pairs, -1), "error": error}

    def postprocess(self, model_outputs: dict, no_change_captions: tuple[str, ...] | None = None) -> list[dict]:
        if model_outputs["error"] is not None:
            return [{"error": model_outputs["error"]}]
        if no_change_captions is None:
            no_change_captions = getattr(self.model.config, "no_change_captions", NO_CHANGE_CAPTIONS)
        unchanged = {normalize_caption(caption) for caption in no_change_captions}
        texts = self.processor.post_process_captions(model_outputs["generated_ids"][0])
        least = getattr(self.model.config, "not_sure_below", None)
        return [
            {"generated_text": text, "score": score, "changed": normalize_caption(text) not in unchanged}
            | ({} if least is None else {"sure": score >= least})
            for text, score in zip(texts, model_outputs["scores"][0].tolist(), strict=True)
        ]

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs) -> None:
        """
        Save the model (of one with an adapter, the adapter), the processor and the code of the pipeline, so that
        `pipeline(model=save_directory, trust_remote_code=True)` works anywhere. Arguments as for
        `PreTrainedModel.save_pretrained`.
        """
        had = getattr(self.model.config, "custom_pipelines", None)
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory)
        if not had:  # else a later `model.save_pretrained` would promise a pipeline whose code it does not write
            del self.model.config.custom_pipelines


# What `save_pretrained` writes to config.json: a class that transformers has, and no default model.
ImageDifferenceCaptioningPipeline._registered_impl = {
    TASK: {"impl": ImageDifferenceCaptioningPipeline, "pt": (AutoModelForImageTextToText,), "type": "multimodal"}
}


def as_captioner(model: torch.nn.Module) -> torch.nn.Module:
    """The model as one of our classes, or as a `PeftModel` over one, with the same weights."""
    if hasattr(model, "get_base_model"):
        refuse_learned_prompt(model.active_peft_config)
    if hasattr(model, "sequence_confidence"):
        return model
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type not in CAPTIONERS:
        raise ValueError(
            f"{TASK} needs a BLIP-2 model; got a {type(model).__name__} (model type {model_type!r}, which is none of "
            f"{', '.join(CAPTIONERS)})"
        )
    return CAPTIONERS[model_type][0].from_stock(model)


def as_pair_processor(processor, model) -> Any:
    """A processor of our class. A stock one, which does not know the canvas, gets that of the model's folder."""
    if isinstance(processor, str):
        processor = AutoProcessor.from_pretrained(processor)
    if hasattr(processor, "post_process_captions"):
        return processor
    if not (hasattr(processor, "image_processor") and hasattr(processor, "tokenizer")):
        raise ValueError(f"{TASK} needs processor=, the BLIP-2 processor of the model; got {type(processor).__name__}")
    processor_class = CAPTIONERS[model.config.model_type][1]
    parts = {name: getattr(processor, name) for name in processor_class.get_attributes()}
    try:
        saved = processor_class.from_pretrained(model.name_or_path)
        options = {name: getattr(saved, name) for name in ("concat_axis", "draft", "stop_token", "prompt")}
    except OSError:  # a model that was made here, or whose folder is gone
        options = {}
    options["is_encoder_decoder"] = model.config.text_config.is_encoder_decoder
    return processor_class(**parts, num_query_tokens=processor.num_query_tokens, **options)


@dataclass
class Row:
    """A pair, its place among many (`None` for one alone), its prompt, and why it could not be read."""

    index: int | None
    pair: Any
    prompt: str | None = None
    error: Exception | None = None


class RowDataset(torch.utils.data.Dataset):
    """Pairs that have a length as [`Row`]s. The row of an image that their dataset cannot decode has the `error`."""

    def __init__(self, pairs, text: str | list[str] | None):
        self.pairs, self.prompts = pairs, prompt_per_pair(text, len(pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Row:
        try:
            return Row(index, self.pairs[index], self.prompts[index])
        except Exception as error:
            if not is_image_error(error):
                raise
            return Row(index, None, error=error)


def as_rows(inputs: Any, text: str | list[str] | None = None) -> Row | RowDataset | Iterator[Row]:
    """One pair becomes a [`Row`], many with a length a [`RowDataset`], others a generator."""
    if isinstance(inputs, tuple | Mapping):
        return Row(None, inputs, *prompt_per_pair(text, 1))
    is_list = isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes | bytearray)
    if is_list and inputs and not any(isinstance(pair, tuple | list | Mapping) or pair is None for pair in inputs):
        hint = "for one pair, use a tuple: (before, after)" if len(inputs) == 2 else "each must be (before, after)"
        raise ValueError(f"a list is taken for many pairs, but this one holds {len(inputs)} bare images; {hint}")
    if hasattr(inputs, "select_columns"):  # a `datasets.Dataset`; its other images would be decoded for nothing
        prompt = ["prompt"] if "prompt" in (inputs.column_names or ()) else []
        inputs = inputs.select_columns(["before", "after", *prompt])
    has_length = hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__")
    if is_list or has_length and (hasattr(inputs, "column_names") or isinstance(inputs, torch.utils.data.Dataset)):
        return RowDataset(inputs, text)
    if isinstance(inputs, Iterable) and not has_length:
        one = text is None or isinstance(text, str)
        rows = zip(inputs, itertools.repeat(text) if one else text, strict=not one)
        return (Row(index, *row) for index, row in enumerate(rows))
    raise TypeError(
        f"got one {type(inputs).__name__}; give a pair as (before, after), or a list, generator or dataset of pairs"
    )


def prompt_per_pair(text: str | list[str] | None, count: int) -> list[str | None]:
    """The prompt of each of `count` pairs."""
    prompts = [text] * count if text is None or isinstance(text, str) else list(text)
    if len(prompts) != count:
        raise ValueError(f"text has {len(prompts)} prompts for {count} pairs; give one prompt, or one for each pair")
    return prompts
