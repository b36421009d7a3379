"""Paraphrases by any chat model of transformers."""

import logging
import math
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..pretrained.devices import pick_device, pick_dtype
from ..pretrained.revisions import first_line, folder_digest
from .prompts import REQUEST, SYSTEM, read_answer, render
from .protocol import Paraphrases
from .rules import judge
from .sampling import GumbelSampling, seed_of

PER_PARAPHRASE = 64  # tokens at most, by default: about 45 words
logger = logging.getLogger(__name__)


class ChatParaphraser:
    """
    Asks a chat model for a list of paraphrases, keeps the good ones by the rules of [`RULES`], and asks again for the
    rest. What it answers depends on the instruction, its seed and the number of the attempt alone, not on the batch.

    Args:
        model (`str`): a name on the Hub, or a folder. It needs a chat template, and weights as safetensors.
        revision (`str`, *optional*): branch, tag or commit on the Hub; of a folder, what it is called instead of a
            digest.
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        dtype (`str`, *optional*): bfloat16 on a GPU, float32 on a CPU, by default.
        batch_size (`int`, *optional*, defaults to 16): instructions at a time; halved when memory does not suffice.
        attempts (`int`, *optional*, defaults to 3): how often the model is asked at most.
        temperature (`float`, *optional*, defaults to 0.7), top_p (`float`, *optional*, defaults to 0.9): of sampling.
        max_new_tokens (`int`, *optional*): of an answer; 64 per paraphrase by default.
        system (`str`, *optional*): in place of [`SYSTEM`]; empty for none.

    Attributes:
        id (`str`): the name on the Hub, or of the folder, without its path.
        parameters (`dict`): what besides instruction and seed decides the result.
        versions (`dict[str, str]`): of the packages that it runs on.

    Raises:
        ValueError: there is no such model or device, or an argument is out of its range.

    Example:
        >>> paraphraser = ChatParaphraser("Qwen/Qwen2.5-7B-Instruct")
        >>> paraphraser.paraphrase(["Add a dog to the lawn"], count=4, seeds=[0])[0].kept
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: Any = None,
        batch_size: int = 16,
        attempts: int = 3,
        temperature: float = 0.7,
        top_p: float = 0.9,
        max_new_tokens: int | None = None,
        system: str | None = None,
    ):
        self.model, self.asked = str(model), revision
        for name, value in {"batch_size": batch_size, "attempts": attempts, "max_new_tokens": max_new_tokens}.items():
            optional = name == "max_new_tokens" and value is None
            if not optional and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r} must be a whole number from 1")
        if not (_is_number(temperature) and temperature > 0):
            raise ValueError(f"temperature={temperature!r} must be above 0: without chance, asking again is in vain")
        if not (_is_number(top_p) and 0 < top_p <= 1):
            raise ValueError(f"top_p={top_p!r} must be above 0 and at most 1")
        if system is not None and not isinstance(system, str):
            raise ValueError(f"system={system!r} must be a text")
        self.batch_size, self.attempts, self.max_new_tokens = batch_size, attempts, max_new_tokens
        self.system = SYSTEM if system is None else system.strip()  # templates strip it
        self.folder = Path(self.model).expanduser()
        self.folder = self.folder.resolve() if self.folder.is_dir() else None
        self.id = self.folder.name if self.folder else self.model
        self._check()
        self.device = pick_device(device)
        self.dtype = pick_dtype(dtype, self.device, "bfloat16")
        self.parameters = {
            "temperature": temperature,
            "top_p": top_p,
            "attempts": attempts,
            "max_new_tokens": max_new_tokens,
            "system": self.system,
            "request": REQUEST,
            "dtype": self.dtype,
        }
        self.versions = {name: version(name) for name in ("torch", "transformers")}

    def _check(self) -> None:
        """Refuses what is no model before anything is loaded or downloaded."""
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        if self.folder:
            if not (self.folder / "config.json").is_file():
                raise ValueError(f"paraphraser {self.model!r}: there is no config.json: not the folder of a model")
            if not any(self.folder.glob("*.safetensors")):
                raise ValueError(f"paraphraser {self.model!r}: there are no safetensors, and only those are loaded")
            return
        try:
            validate_repo_id(self.model)
        except HFValidationError:
            raise ValueError(
                f"paraphraser {self.model!r}: there is no such folder, nor is it a name on the Hub"
            ) from None

    @cached_property
    def revision(self) -> str:
        """The commit on the Hub; of a folder, what was given, or a digest of its files. Fetches no weights."""
        if self.folder:
            return self.asked or folder_digest(self.folder)
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(self.model, "config.json", revision=self.asked)).parent.name
        except (OSError, ValueError) as error:
            raise self._not_had("no such folder, and it cannot be had from the Hub", error) from error

    def load(self) -> None:
        """
        Loads the weights, unless they are there.

        Raises:
            ValueError: the model cannot be had, is no causal language model, or has no chat template.
        """
        _ = self._model

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        tokenizer = self._load(AutoTokenizer, padding_side="left")
        if not tokenizer.chat_template:
            raise ValueError(
                f"paraphraser {self.model!r}: its tokenizer has no chat template: it is no chat model; the tuned "
                "variant of a model, often named -chat or -Instruct, has one"
            )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM, GenerationConfig

        tokenizer = self._tokenizer  # before the weights are read: a model that cannot chat is refused by it
        dtype = getattr(torch, self.dtype)
        model, info = self._load(AutoModelForCausalLM, use_safetensors=True, dtype=dtype, output_loading_info=True)
        if missing := sorted(info["missing_keys"]):
            raise ValueError(
                f"paraphraser {self.model!r}: its files have no weights for {missing[0]} ({len(missing)} are missing)"
            )
        ends = {tokenizer.eos_token_id, *_as_list(model.generation_config.eos_token_id)} - {None}
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
        try:
            return auto.from_pretrained(self.folder or self.model, trust_remote_code=False, **options)
        except (OSError, ValueError, SafetensorError) as error:
            raise self._not_had("cannot be loaded", error) from error

    def _not_had(self, what: str, error: Exception) -> ValueError:
        at = f" at revision {self.asked}" if self.asked and not self.folder else ""
        return ValueError(f"paraphraser {self.model!r}{at}: {what}: {type(error).__name__}: {first_line(error)}")

    def paraphrase(self, instructions: Sequence[str], count: int, seeds: Sequence[int]) -> list[Paraphrases]:
        """
        Says instructions in other words.

        Args:
            instructions (`Sequence[str]`): to be said; for an empty one there is nothing, nor for one so long that
                the model has no room for it and the answer.
            count (`int`): paraphrases of each at most.
            seeds (`Sequence[int]`): one per instruction.

        Returns:
            `list[Paraphrases]`: one per instruction: what was kept, perhaps less than `count`, and what was rejected
            by which rule of [`RULES`].

        Raises:
            ValueError: not as many seeds as instructions, a negative `count`, or what [`load`] raises.
            RuntimeError: memory does not suffice for a single instruction.
        """
        if len(instructions) != len(seeds):
            raise ValueError(f"seeds: there are {len(seeds)} for {len(instructions)} instructions")
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"count={count!r} must be a whole number from 0")
        kept, rejected = [[] for _ in instructions], [[] for _ in instructions]
        asked = [0 for _ in instructions]
        askable = [i for i, text in enumerate(instructions) if count and text.strip() and self._has_room(text, count)]
        for attempt in range(self.attempts):
            open_ones = [i for i in askable if len(kept[i]) < count]
            rows = [(instructions[i], seed_of(instructions[i], seeds[i], attempt)) for i in open_ones]
            for i, (answer, ended) in zip(open_ones, self._ask(rows, count), strict=True):
                asked[i] += 1
                for text, complete in read_answer(answer, ended) or [(answer.strip(), ended)]:
                    mended, broken = judge(text, instructions[i], kept[i], complete)
                    if broken:
                        rejected[i].append((text, broken))
                    elif len(kept[i]) < count:
                        kept[i].append(mended)
        return [Paraphrases(*found) for found in zip(kept, rejected, asked, strict=True)]

    def _has_room(self, instruction: str, count: int) -> bool:
        """Past the positions that a model was trained on, it rambles, and a very long prompt takes all memory."""
        positions = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        prompt = self._tokenizer(render(self._tokenizer, instruction, count, self.system), add_special_tokens=False)
        fits = positions is None or len(prompt["input_ids"]) + self._new_tokens(count) <= positions
        if not fits:
            logger.warning("an instruction of %d characters is too long for %s", len(instruction), self.id)
        return fits

    def _new_tokens(self, count: int) -> int:
        return self.max_new_tokens or PER_PARAPHRASE * count

    def _ask(self, rows: Sequence[tuple[str, int]], count: int) -> list[tuple[str, bool]]:
        """The answers to instructions with their seeds, and whether each has an end."""
        from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

        answers = []
        while len(answers) < len(rows):
            batch = rows[len(answers) : len(answers) + self.batch_size]
            try:
                answers += self._generate(batch, count)
                continue
            except RuntimeError as error:
                if len(batch) == 1 or not should_reduce_batch_size(error):
                    raise
            # Only here, where the exception is gone: it holds on to what was computed with.
            clear_device_cache(garbage_collection=True)
            self.batch_size = len(batch) // 2
            logger.warning("out of memory: %d instructions at a time from here on", self.batch_size)
        return answers

    def _generate(self, rows: Sequence[tuple[str, int]], count: int) -> list[tuple[str, bool]]:
        import torch

        tokenizer, model = self._tokenizer, self._model
        prompts = [render(tokenizer, instruction, count, self.system) for instruction, _ in rows]
        inputs = tokenizer(prompts, padding=True, add_special_tokens=False, return_tensors="pt").to(model.device)
        sampling = GumbelSampling([seed for _, seed in rows], self.parameters["temperature"], self.parameters["top_p"])
        with torch.inference_mode():
            tokens = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=self._new_tokens(count),
                logits_processor=[sampling],
            )
        ends = set(model.generation_config.eos_token_id)
        answers = []
        for row in tokens[:, inputs["input_ids"].shape[1] :].tolist():
            end = next((place for place, token in enumerate(row) if token in ends), None)
            answers.append((tokenizer.decode(row[:end], skip_special_tokens=True), end is not None))
        return answers


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value]
