"""The `image-difference-captioning` pipeline."""

import copy
import os
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .auto_blip2idc import (
    CAPTIONERS,
    AutoModelForImageDifferenceCaptioning,
    leave_out_pipeline,
    own_processor,
    take_adapters_settings,
)
from .configuration_blip2idc import NO_CHANGE_CAPTIONS, Blip2IDCConfig, InstructBlipIDCConfig
from .inputs_blip2idc import Row, as_rows, describe
from .processing_blip2idc import Blip2IDCProcessor, InstructBlipIDCProcessor

TASK = "image-difference-captioning"
_PREPROCESS_ARGUMENTS = ("text", "prompt", "concat_axis", "draft", "size", "on_error")
_LOADING_ARGUMENTS = ("local_files_only",)  # `pipeline()` hands these on after use
_TO_SPACES = str.maketrans(dict.fromkeys(string.punctuation, " "))


def normalize_caption(caption: str) -> str:
    """Lower case, no punctuation, single spaces: the form in which captions are compared."""
    return " ".join(caption.lower().translate(_TO_SPACES).split())


class ImageDifferenceCaptioningPipeline(Pipeline):
    """
    Say in words what changed between two images.

    ```python
    >>> import modeling_blip2idc
    >>> from transformers import pipeline

    >>> idc = pipeline("image-difference-captioning")
    >>> idc("before.png", "after.png")
    [{'generated_text': 'the small red metal sphere turned blue', 'score': 0.93, 'changed': True}]
    >>> for captions in idc(dataset, batch_size=32, num_beams=3):
    ...     print(captions[0]["generated_text"])
    ```

    The model may be a [`Blip2IDCForConditionalGeneration`], an [`InstructBlipIDCForConditionalGeneration`], the stock
    model that one of them extends, or any of these with an adapter (also as a `PeftModel`); the weights are used where
    they are, without a copy.

    Args:
        model (`PreTrainedModel` or `PeftModel`):
            The captioner.
        processor ([`Blip2IDCProcessor`], [`InstructBlipIDCProcessor`] or the stock one):
            The processor; a stock processor gets the canvas of two images put before it, made as the model's folder
            says. For an adapter that `pipeline` loads, one saved beside it wins over that of its base model (without
            this package it does not: pass `config=` the adapter as well).
        kwargs:
            As for `transformers.Pipeline`; and everything that `__call__` takes, as the default of each call.

    Raises:
        ValueError: if the model is neither BLIP-2 nor InstructBLIP, or if the processor is missing or of another kind.
    """

    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False
    # The call's own arguments are merged below; the base class would take some of them out of sight.
    _pipeline_calls_generate = False

    def __init__(self, model, processor=None, **kwargs):
        captioner_of(model)  # refuses other models
        take_adapters_settings(model, processor)
        processor = _pair_processor(own_processor(model, processor), model.config)
        super().__init__(model=model, processor=processor, **kwargs)
        self.model.eval()  # a model fresh from training has dropout on

    def __call__(self, inputs: Any, after: Any = None, **kwargs) -> Any:
        """
        Caption one pair of images, or many.

        Args:
            inputs (`tuple`, `dict`, `list`, `datasets.Dataset`, `torch.utils.data.Dataset` or `Iterable`):
                One pair: `(before, after)`, or a dict with the keys `before` and `after`. An image is a path, URL,
                bytes, PIL image, numpy array or torch tensor. Many pairs: a list of them, a dataset with the columns
                `before` and `after` (others are not read), or any iterable, of which no more is read than the batch
                at work.
            after (*optional*):
                The second image, when `inputs` is the first one.
            batch_size (`int`, *optional*, defaults to 1):
                Pairs at a time. A pair's caption does not depend on it.
            text (`str`, *optional*):
                Start of the caption, to be continued, or InstructBLIP's instruction; by default the processor's own.
            concat_axis (`str`, *optional*), draft (`bool`, *optional*), size (`dict`, *optional*):
                The canvas, as for [`Blip2IDCProcessor`]; by default as the processor has it.
            on_error (`str`, *optional*, defaults to `"raise"`):
                What a pair that cannot be read does: `"raise"` ends the run with an error that names the row;
                `"return"` makes `[{"error": "row 3: ..."}]` its result and keeps the others.
            no_change_captions (`list[str]`, *optional*):
                Captions that mean "nothing changed", by default `model.config.no_change_captions`. Case and
                punctuation do not count.
            generate_kwargs:
                Any argument of `generate`, such as `max_new_tokens`, `num_beams`, `do_sample`,
                `num_return_sequences`. They win over a `generation_config` given beside them.

        Returns:
            For one pair, a list of `num_return_sequences` dicts, of beams the best first; for a list, a list of such
            lists; for a dataset or an iterable, an iterator over them. The keys:

            - **generated_text** (`str`): the caption, without the prompt.
            - **score** (`float`): `exp` of the mean log-probability of the caption's tokens, stop token included, in
              (0, 1].
            - **changed** (`bool`): whether the caption reports a change.

        Raises:
            ValueError: for a pair that cannot be read (with its row, in a batch), and for a list of bare images.
            TypeError: for something that is neither a pair nor many.
        """
        rows = as_rows(inputs if after is None else (inputs, after))
        if rows == []:
            return []
        return super().__call__(rows, **kwargs)

    def _sanitize_parameters(self, no_change_captions: Iterable[str] | None = None, **kwargs):
        for name in _LOADING_ARGUMENTS:
            kwargs.pop(name, None)
        preprocess = {name: kwargs.pop(name) for name in _PREPROCESS_ARGUMENTS if name in kwargs}
        if preprocess.get("on_error", "raise") not in ("raise", "return"):
            raise ValueError(f"on_error is 'raise' or 'return', got {preprocess['on_error']!r}")
        if isinstance(no_change_captions, str):
            raise TypeError("no_change_captions is a list of captions, got one string")
        postprocess = {} if no_change_captions is None else {"no_change_captions": tuple(no_change_captions)}
        return preprocess, kwargs, postprocess

    def preprocess(self, row: Row, on_error: str = "raise", **processor_kwargs) -> dict:
        error = row.error
        if error is None:
            try:
                return {**self._read(row, **processor_kwargs), "error": None}
            except Exception as exception:
                if row.index is None and on_error == "raise":
                    raise
                error = describe(exception)
        error = error if row.index is None else f"row {row.index}: {error}"
        if on_error == "raise":
            raise ValueError(error)
        # A batch needs one shape throughout: a blank pair stands in, and is left out again before `generate`.
        blank = Image.new("RGB", (8, 8))
        return {**self._read(Row(None, (blank, blank)), **processor_kwargs), "error": error}

    def _read(self, row: Row, **processor_kwargs) -> dict[str, torch.Tensor]:
        # pixel_values (1, 3, H, W), input_ids and attention_mask (1, L), for InstructBLIP also those of the Q-Former
        images = row.value if row.index is None else [row.value]
        return dict(self.processor(images=images, return_tensors="pt", **processor_kwargs))

    def _forward(self, model_inputs: dict, generation_config=None, **generate_kwargs) -> dict:
        error = model_inputs.pop("error")
        errors = error if isinstance(error, list) else [error]
        good = torch.tensor([i for i, message in enumerate(errors) if message is None], dtype=torch.long)
        if not len(good):
            empty = torch.zeros(len(errors), 1, 1)
            return {"generated_ids": empty.long(), "scores": empty[..., 0], "error": error}
        captioner = captioner_of(self.model)
        options = dict(generate_kwargs, return_dict_in_generate=True, output_logits=True)
        if generation_config is not None:
            # `generate` deprecates a configuration with arguments beside it
            generation_config = copy.deepcopy(generation_config)
            options = {"generation_config": generation_config, **generation_config.update(**options)}
        if options.get("eos_token_id", getattr(generation_config, "eos_token_id", None)) is None:
            options["eos_token_id"] = self._stop_token_ids()
        inputs = {name: tensor[good.to(tensor.device)] for name, tensor in model_inputs.items()}
        output = captioner.generate(**inputs, **options)
        ids = output.sequences
        if not captioner.config.text_config.is_encoder_decoder:
            ids = ids[:, inputs["input_ids"].shape[1] :]  # (n R, T) new tokens
        scores = captioner.sequence_confidence(output).float().to(ids.device)
        each = len(ids) // len(good)
        good = good.to(ids.device)
        # back to the places in the batch: (N, R, T) and (N, R)
        generated = ids.new_full((len(errors), each, ids.shape[1]), self.tokenizer.pad_token_id)
        generated[good] = ids.view(len(good), each, -1)
        confidence = scores.new_zeros(len(errors), each)
        confidence[good] = scores.view(len(good), each)
        return {"generated_ids": generated, "scores": confidence, "error": error}

    def _stop_token_ids(self) -> list[int]:
        # The model's own, and what the processor ends captions with: they differ in plain BLIP-2 folders, and a
        # caption that is not stopped runs on to the limit.
        own = self.model.generation_config.eos_token_id
        own = own if isinstance(own, list) else [own]
        return sorted({token for token in (*own, self.processor.stop_token_id) if token is not None})

    def postprocess(self, model_outputs: dict, no_change_captions: tuple[str, ...] | None = None) -> list[dict]:
        if model_outputs["error"] is not None:
            return [{"error": model_outputs["error"]}]
        if no_change_captions is None:
            no_change_captions = getattr(self.model.config, "no_change_captions", NO_CHANGE_CAPTIONS)
        unchanged = {normalize_caption(caption) for caption in no_change_captions}
        texts = self.processor.post_process_captions(model_outputs["generated_ids"][0])
        return [
            {"generated_text": text, "score": score, "changed": normalize_caption(text) not in unchanged}
            for text, score in zip(texts, model_outputs["scores"][0].tolist(), strict=True)
        ]

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs) -> None:
        """
        Save the model, the processor and the code of the pipeline, so that
        `pipeline("image-difference-captioning", model=save_directory, trust_remote_code=True)` works anywhere. Of a
        model with an adapter, the adapter is saved.

        Args:
            save_directory (`str` or `os.PathLike`):
                The folder; it is made if there is none.
            kwargs:
                As for `PreTrainedModel.save_pretrained`.
        """
        config = self.model.config
        had = getattr(config, "custom_pipelines", None)
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory)
        # else a later `model.save_pretrained` would promise a pipeline whose code it does not write
        if had is None and hasattr(config, "custom_pipelines"):
            del config.custom_pipelines


# What `save_pretrained` writes to config.json. Set here and not only by `register`, so that the copy of this file in
# a saved folder has it too; with a class that transformers has; without the default model, a folder of this machine.
ImageDifferenceCaptioningPipeline._registered_impl = {
    TASK: {"impl": ImageDifferenceCaptioningPipeline, "pt": (AutoModelForImageTextToText,), "type": "multimodal"}
}


def register() -> None:
    """
    Make `pipeline("image-difference-captioning")` known to transformers, with the embedded model as its default, and
    the pipeline of this package the one that is used, also where a repository brings a copy.
    """
    for config_class in (Blip2IDCConfig, InstructBlipIDCConfig):
        leave_out_pipeline(config_class, TASK)
    registered_impl = ImageDifferenceCaptioningPipeline._registered_impl
    PIPELINE_REGISTRY.register_pipeline(
        TASK,
        pipeline_class=ImageDifferenceCaptioningPipeline,
        pt_model=AutoModelForImageDifferenceCaptioning,
        default=(str(Path(__file__).parent / "mini"), None),
        type="multimodal",
    )
    ImageDifferenceCaptioningPipeline._registered_impl = registered_impl


def captioner_of(model) -> Any:
    """
    The model as one with our `generate` and `sequence_confidence`: itself, or, for a stock model (which has the same
    modules), one of our class over the same parameters, adapter layers included.
    """
    if hasattr(model, "sequence_confidence"):
        return model
    model_type = getattr(model.config, "model_type", None)
    if model_type not in CAPTIONERS:
        raise ValueError(
            f"{TASK} needs a BLIP-2 model; got a {type(model).__name__} (model type {model_type!r}, which is none of "
            f"{', '.join(CAPTIONERS)})"
        )
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    captioner = copy.copy(base)  # shares the modules and parameters
    captioner.__class__ = CAPTIONERS[model_type][0]
    return captioner


def _pair_processor(processor, config) -> Any:
    if processor is None:
        raise ValueError(f"{TASK} needs a processor beside a model that is already loaded: pass processor=...")
    if hasattr(processor, "post_process_captions"):
        return processor
    if not (hasattr(processor, "image_processor") and hasattr(processor, "tokenizer")):
        raise ValueError(f"{TASK} needs a BLIP-2 processor; got a {type(processor).__name__}")
    num_query_tokens = processor.num_query_tokens or config.num_query_tokens
    tokenizer, eos = processor.tokenizer, config.text_config.eos_token_id
    if hasattr(processor, "qformer_tokenizer"):
        return InstructBlipIDCProcessor(
            processor.image_processor, tokenizer, processor.qformer_tokenizer, num_query_tokens
        )
    stop_token = tokenizer.decode([eos]) if isinstance(eos, int) and eos < len(tokenizer) else None
    return Blip2IDCProcessor(processor.image_processor, tokenizer, num_query_tokens, stop_token=stop_token)
