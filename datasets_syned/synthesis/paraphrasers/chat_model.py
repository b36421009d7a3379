"""Texts by any chat model of transformers, with or without eyes."""

import logging
from collections.abc import Sequence
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...common.ranges import check_whole
from ..pretrained.devices import in_batches, pick_device, pick_dtype
from ..pretrained.revisions import find_folder, first_line, folder_digest
from .asking import AskedModel
from .prompts import Request, render
from .sampling import GumbelSampling

logger = logging.getLogger(__name__)


class ChatModel(AskedModel):
    """
    A chat model that runs here.

    Args:
        model (`str`): a name on the Hub, or a folder. It needs a chat template, and weights as safetensors or GGUF.
        revision (`str`, *optional*): branch, tag or commit on the Hub; of a folder, what it is called instead of a
            digest.
        gguf_file (`str`, *optional*): name of a GGUF file in it, which holds the weights and all else; needs the
            package `gguf`.
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        dtype (`str`, *optional*): bfloat16 on a GPU, float32 on a CPU, by default.
        batch_size (`int`, *optional*, defaults to 16): rows at a time; halved when memory does not suffice.
        asking: what [`AskedModel`] takes.

    Attributes:
        id (`str`): the name on the Hub, or of the folder, without its path.
        parameters (`dict`): what besides instruction and seed decides the result.
        versions (`dict[str, str]`): of the packages that it runs on.

    Raises:
        ValueError: there is no such model or device, or an argument is out of its range.

    Example:
        >>> paraphraser = ChatModel("Qwen/Qwen2.5-7B-Instruct")
        >>> paraphraser.paraphrase(["Add a dog to the lawn"], count=4, seeds=[0])[0].kept
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        gguf_file: str | None = None,
        device: str | None = None,
        dtype: Any = None,
        batch_size: int = 16,
        **asking: Any,
    ):
        super().__init__(model, **asking)
        check_whole("batch_size", batch_size, 1)
        self.asked, self.gguf_file, self.batch_size = revision, gguf_file, batch_size
        folder = Path(self.model).expanduser()
        self.folder = folder.resolve() if folder.is_dir() else None
        self.id = self.folder.name if self.folder else self.model
        if self.folder:
            needed = gguf_file or "config.json"
            if not (self.folder / needed).is_file():
                raise ValueError(f"paraphraser {self.model!r}: there is no {needed}: not the folder of a model")
            if not gguf_file and not any(self.folder.glob("*.safetensors")):
                raise ValueError(f"paraphraser {self.model!r}: there are no safetensors, and only those are loaded")
        self.device = pick_device(device)
        self.dtype = pick_dtype(dtype, self.device, "bfloat16")
        self.parameters |= {"dtype": self.dtype} | ({"gguf_file": gguf_file} if gguf_file else {})
        self.versions = {name: version(name) for name in ("torch", "transformers")}

    @cached_property
    def revision(self) -> str:
        """The commit on the Hub; of a folder, what was given, or a digest of its files. Fetches no weights."""
        if self.folder:
            return self.asked or folder_digest(self.folder)
        try:
            return find_folder(self.model, self.asked, ["config.json"]).name
        except ValueError as error:
            raise ValueError(f"paraphraser {self.model!r}: {error}") from error

    def load(self) -> None:
        """
        Loads the weights, unless they are there.

        Raises:
            ValueError: the model cannot be had, is not a chat model, or has no chat template.
        """
        _ = self._weights

    @cached_property
    def _reader(self) -> Any:
        """The tokenizer, or the processor of a model that takes images."""
        from transformers import AutoProcessor, AutoTokenizer

        reader = self._load(AutoProcessor if self.from_images else AutoTokenizer)
        tokenizer = getattr(reader, "tokenizer", reader)
        if not (reader.chat_template or tokenizer.chat_template):
            raise ValueError(
                f"paraphraser {self.model!r}: its tokenizer has no chat template: it is not a chat model; the tuned "
                "variant of a model, often named -chat or -Instruct, has one"
            )
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return reader

    @cached_property
    def _weights(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, GenerationConfig

        # Before the weights are read: a model that cannot chat is refused by it.
        tokenizer = getattr(self._reader, "tokenizer", self._reader)
        auto = AutoModelForImageTextToText if self.from_images else AutoModelForCausalLM
        options = {"dtype": getattr(torch, self.dtype), "output_loading_info": True}
        model, info = self._load(auto, use_safetensors=None if self.gguf_file else True, **options)
        if missing := sorted(info["missing_keys"]):
            raise ValueError(
                f"paraphraser {self.model!r}: its files have no weights for {missing[0]} ({len(missing)} are missing)"
            )
        ends = model.generation_config.eos_token_id
        ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        # In place of what the model comes with: its sampling, and penalties that would see the padding of a batch.
        model.generation_config = GenerationConfig(
            do_sample=False,  # the noise of the processor is the chance
            eos_token_id=sorted(ends),
            pad_token_id=tokenizer.pad_token_id,
        )
        return model.to(self.device).eval()

    def _load(self, auto: Any, **options: Any) -> Any:
        from safetensors import SafetensorError

        options |= {} if self.folder else {"revision": self.revision}
        options |= {"gguf_file": self.gguf_file} if self.gguf_file else {}
        try:
            return auto.from_pretrained(self.folder or self.model, trust_remote_code=False, **options)
        except (OSError, ValueError, ImportError, SafetensorError) as error:
            at = f" at revision {self.asked}" if self.asked and not self.folder else ""
            why = f"{type(error).__name__}: {first_line(error)}"
            raise ValueError(f"paraphraser {self.model!r}{at}: cannot be loaded: {why}") from error

    def _has_room(self, request: Request, max_new_tokens: int) -> bool:
        """Past the positions that a model was trained on, it rambles, and a very long prompt takes all memory."""
        positions = getattr(self._weights.config.get_text_config(), "max_position_embeddings", None)
        tokenizer = getattr(self._reader, "tokenizer", self._reader)
        prompt = tokenizer(render(self._reader, request), add_special_tokens=False)["input_ids"]
        fits = positions is None or len(prompt) + max_new_tokens <= positions
        if not fits:
            logger.warning("a request of %d characters is too long for %s", len(request.text), self.id)
        return fits

    def _ask(self, rows: Sequence[tuple[Request, int]], max_new_tokens: int) -> list[tuple[str, bool]]:
        generate = partial(self._generate, max_new_tokens=max_new_tokens)
        answers, self.batch_size = in_batches(generate, rows, self.batch_size)
        return answers

    def _generate(self, rows: Sequence[tuple[Request, int]], max_new_tokens: int) -> list[tuple[str, bool]]:
        import torch

        reader, model = self._reader, self._weights
        tokenizer = getattr(reader, "tokenizer", reader)
        given = {"text": [render(reader, request) for request, _ in rows]}
        if self.from_images:
            given["images"] = [list(request.images) for request, _ in rows]
        inputs = reader(**given, padding=True, add_special_tokens=False, return_tensors="pt").to(model.device)
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        if not self.from_images:
            inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        sampling = GumbelSampling([seed for _, seed in rows], self.temperature, self.top_p)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=max_new_tokens, logits_processor=[sampling])
        ends = set(model.generation_config.eos_token_id)
        answers = []
        for row in tokens[:, inputs["input_ids"].shape[1] :].tolist():
            end = next((place for place, token in enumerate(row) if token in ends), None)
            answers.append((tokenizer.decode(row[:end], skip_special_tokens=True), end is not None))
        return answers
