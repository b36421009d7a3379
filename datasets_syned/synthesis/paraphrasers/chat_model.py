"""Texts by any chat model of transformers, with or without eyes."""

from collections.abc import Sequence
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

from ...common.ranges import check_whole
from ..pretrained.devices import in_batches, pick_device, pick_dtype
from ..pretrained.weights import Pretrained
from .asking import AskedModel
from .prompts import Request


class ChatModel(AskedModel):
    """
    A chat model that runs here.

    Args:
        model (`str`): a name on the Hub, or a folder. It needs a chat template, and weights as safetensors or GGUF.
        revision (`str`, *optional*): of it, see [`Pretrained`].
        gguf_file (`str`, *optional*): name of a GGUF file in it, which holds the weights and all else; needs the
            package `gguf`.
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        dtype (`str`, *optional*): bfloat16 on a GPU, float32 on a CPU, by default.
        batch_size (`int`, *optional*, defaults to 16): rows at a time; halved when memory does not suffice.
        asking: what [`AskedModel`] takes.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        gguf_file: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 16,
        **asking: Any,
    ):
        super().__init__(**asking)
        check_whole("batch_size", batch_size, 1)
        self.weights, self.batch_size, self.device = Pretrained(model, revision), batch_size, pick_device(device)
        self.id = self.weights.id
        self.gguf = {"gguf_file": gguf_file} if gguf_file else {}
        self.dtype = pick_dtype(dtype, self.device, "bfloat16")
        self.versions = {name: version(name) for name in ("torch", "transformers")}

    @property
    def parameters(self) -> dict[str, Any]:
        """See [`AskedModel`]."""
        return {**super().parameters, "dtype": self.dtype, **self.gguf}

    @property
    def revision(self) -> str:
        """The commit on the Hub; of a folder, what was given, or a digest of its files. Fetches no weights."""
        return self.weights.revision

    def load(self) -> None:
        """Loads the weights, unless they are there. Raises a `ValueError` if it is no chat model, or not to be had."""
        _ = self._model

    @cached_property
    def _reader(self) -> Any:
        """The tokenizer, or the processor of a model that takes images."""
        from transformers import AutoProcessor, AutoTokenizer

        reader = self.weights.load(AutoProcessor if self.from_images else AutoTokenizer, **self.gguf)
        tokenizer = getattr(reader, "tokenizer", reader)
        if not (reader.chat_template or tokenizer.chat_template):
            raise ValueError(
                f"paraphraser {self.id!r}: its tokenizer has no chat template: it is not a chat model; the tuned "
                "variant of a model, often named -chat or -Instruct, has one"
            )
        tokenizer.padding_side = "left"
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        return reader

    @cached_property
    def _knows_system(self) -> bool:
        """Whether the template has a place for a system's turn: some refuse it, some leave it out."""
        turns = Request("user", system="system's text").messages()
        try:
            return turns[0]["content"] in self._reader.apply_chat_template(turns, tokenize=False)
        except Exception:  # what a template raises is its own
            return False

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, GenerationConfig

        # Before the weights are read: a model that cannot chat is refused by it.
        tokenizer = getattr(self._reader, "tokenizer", self._reader)
        auto = AutoModelForImageTextToText if self.from_images else AutoModelForCausalLM
        options = {**self.gguf, "use_safetensors": None} if self.gguf else {}
        model = self.weights.load_model(auto, self.device, self.dtype, **options)
        ends = model.generation_config.eos_token_id
        ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        # In place of what the model comes with: its sampling, and penalties that would see the padding of a batch.
        model.generation_config = GenerationConfig(
            do_sample=False,  # the noise of the processor is the chance
            eos_token_id=sorted(ends),
            pad_token_id=tokenizer.pad_token_id,
        )
        return model

    def _ask(self, rows: Sequence[tuple[Request, int]], max_new_tokens: int) -> list[tuple[str, bool]]:
        generate = partial(self._generate, max_new_tokens=max_new_tokens)
        answers, self.batch_size = in_batches(generate, rows, self.batch_size)
        return answers

    def _generate(self, rows: Sequence[tuple[Request, int]], max_new_tokens: int) -> list[tuple[str, bool]]:
        import torch

        inputs = self._reader.apply_chat_template(
            [request.messages(roles=self._knows_system) for request, _ in rows],
            add_generation_prompt=True,
            enable_thinking=False,  # templates of models that cannot think do not look at it
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            padding=True,
        ).to(self.device)
        inputs.pop("token_type_ids", None)  # which many tokenizers give and many models refuse
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        sampling = GumbelSampling([seed for _, seed in rows], self.temperature, self.top_p)
        with torch.inference_mode():
            tokens = self._model.generate(**inputs, max_new_tokens=max_new_tokens, logits_processor=[sampling])
        ends = set(self._model.generation_config.eos_token_id)
        answers = []
        for row in tokens[:, inputs["input_ids"].shape[1] :].tolist():
            end = next((place for place, token in enumerate(row) if token in ends), None)
            answers.append((self._reader.decode(row[:end], skip_special_tokens=True), end is not None))
        return answers


class GumbelSampling:
    """
    A logits processor after which the largest score is a sample: it adds noise of the Gumbel distribution to the
    scaled logits (Gumbel, 1954; "Gumbel-max trick"). `generate(do_sample=True)` draws all rows of a batch from one
    generator, and a row then depends on its neighbours; here each has its own, on the CPU, whatever the device.

    Args:
        seeds (`Sequence[int]`): one per row.
        temperature (`float`): logits are divided by it.
        top_p (`float`): tokens are drawn from the fewest that have this probability together.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float):
        import torch
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.warpers = TemperatureLogitsWarper(float(temperature)), TopPLogitsWarper(float(top_p))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Noisy scores of shape `(rows, vocabulary)` in float32, `-inf` for tokens outside of `top_p`."""
        import torch

        scores = scores.float()
        for warper in self.warpers:
            scores = warper(input_ids, scores)
        # The logarithm of an exponential variable is Gumbel noise with the sign turned.
        waits = [torch.empty(scores.shape[1]).exponential_(generator=each) for each in self.generators]
        return scores - torch.stack(waits).log().to(scores.device)
