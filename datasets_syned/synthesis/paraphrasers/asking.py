"""How any chat model, here or on a server, is brought to a list of good texts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ...common.ranges import check_number, check_whole
from ...common.seeds import seed_of
from .prompts import DESCRIBE, REQUEST, SUGGEST, SYSTEM, Request, read_answer
from .protocol import Paraphrases
from .rules import RULE_SETS, judge

SAMPLING = ("temperature", "top_p", "attempts", "rules", "max_new_tokens")
PER_TEXT = 64  # tokens at most, by default: about 45 words


@dataclass(kw_only=True, eq=False, repr=False)
class AskedModel(ABC):
    """
    Asks a model for a list of texts, keeps the good ones by a set of [`RULES`], and asks again for the rest. What it
    answers depends on the request, its seed and the number of the attempt alone, not on the batch.

    Args:
        rules (`str`, *optional*, defaults to `"format"`): which texts are taken: with "none" all, as in the paper;
            with "format" all that can be a caption (no refusals, announcements, repeats, ...); with "strict" those of
            them that say exactly what the instruction says, judged word by word, in English.
        from_images (`bool`, *optional*, defaults to `False`): write captions from the two images, and do not only
            reword the instruction. The model must take images.
        attempts (`int`, *optional*, defaults to 3): how often the model is asked at most.
        temperature (`float`, *optional*, defaults to 0.7), top_p (`float`, *optional*, defaults to 0.9): of sampling.
        max_new_tokens (`int`, *optional*): of an answer; 64 per text by default.

    Raises:
        ValueError: an argument is out of its range.
    """

    rules: str = "format"
    from_images: bool = False
    attempts: int = 3
    temperature: float = 0.7
    top_p: float = 0.9
    max_new_tokens: int | None = None

    def __post_init__(self):
        if self.rules not in RULE_SETS:
            raise ValueError(f"rules={self.rules!r} must be one of {', '.join(RULE_SETS)}")
        check_whole("attempts", self.attempts, 1)
        check_whole("max_new_tokens", 1 if self.max_new_tokens is None else self.max_new_tokens, 1)
        check_number("temperature", self.temperature, 0, 100, above=True)  # without chance, asking again is in vain
        check_number("top_p", self.top_p, 0, 1, above=True)

    @property
    def parameters(self) -> dict[str, Any]:
        """What besides instruction, images and seed decides the answers, for a JSON file."""
        values = {name: getattr(self, name) for name in SAMPLING}
        system, request = ("", DESCRIBE) if self.from_images else (SYSTEM, REQUEST)
        return {**values, "system": system, "request": request}

    def paraphrase(
        self, instructions: Sequence[str], count: int, seeds: Sequence[int]
    ) -> list[Paraphrases | Exception]:
        """See [`Paraphraser.paraphrase`]."""
        requests = [Request(REQUEST.format(count=count, instruction=text), system=SYSTEM) for text in instructions]
        return self._collect(requests, instructions, count, seeds, self.rules)

    def describe(
        self,
        pairs: Sequence[tuple[Image.Image, Image.Image]],
        instructions: Sequence[str],
        count: int,
        seeds: Sequence[int],
    ) -> list[Paraphrases | Exception]:
        """See [`Paraphraser.describe`]. "strict" rules judge what an instruction says: "format" takes their place."""
        requests = [
            Request(DESCRIBE.format(count=count, instruction=text), tuple(pair))
            for pair, text in zip(pairs, instructions, strict=True)
        ]
        return self._collect(requests, instructions, count, seeds, self.rules.replace("strict", "format"))

    def suggest(
        self, images: Sequence[Image.Image], count: int, seeds: Sequence[int]
    ) -> list[Paraphrases | Exception]:
        """Writes instructions for edits that fit images, `count` for each at most; otherwise as [`describe`]."""
        requests = [Request(SUGGEST.format(count=count), (image,)) for image in images]
        return self._collect(requests, [""] * len(requests), count, seeds, self.rules.replace("strict", "format"))

    def _collect(
        self, requests: Sequence[Request], instructions: Sequence[str], count: int, seeds: Sequence[int], rules: str
    ) -> list[Paraphrases | Exception]:
        found: list[Paraphrases | Exception] = [Paraphrases() for _ in requests]
        most = self.max_new_tokens or PER_TEXT * count
        rows = list(zip(requests, instructions, seeds, strict=True))
        open_ones = [i for i, (request, text, _) in enumerate(rows) if count and (text.strip() or request.images)]
        for attempt in range(self.attempts):
            asked = [(rows[i][0], seed_of(rows[i][2], rows[i][1], attempt)) for i in open_ones]
            for i, answer in zip(open_ones, self._ask(asked, most), strict=True):
                if isinstance(answer, Exception):
                    found[i] = answer
                    continue
                kept, rejected = found[i].kept, found[i].rejected
                for text, complete in read_answer(*answer) or [(answer[0].strip(), answer[1])]:
                    mended, broken = judge(text, instructions[i], kept, complete, rules)
                    if broken:
                        rejected.append((text, broken))
                    elif len(kept) < count:
                        kept.append(mended)
                found[i] = Paraphrases(kept, rejected, attempt + 1)
            open_ones = [i for i in open_ones if not isinstance(found[i], Exception) and len(found[i].kept) < count]
        return found

    @abstractmethod
    def _ask(self, rows: Sequence[tuple[Request, int]], max_new_tokens: int) -> list[tuple[str, bool] | Exception]:
        """The answers to requests with their seeds, and whether each has an end; or why there is none."""
