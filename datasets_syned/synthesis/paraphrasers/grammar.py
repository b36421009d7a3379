"""Captions of composed photographs, from the grammar: no model is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...photos.captions import captions
from ...photos.instructions import read_instruction
from .protocol import Paraphrases

GRAMMAR = "grammar"


class Grammar:
    """Says what was done of an instruction for composed photographs: "an apple was added" of "add an apple"."""

    id, revision = GRAMMAR, "1"
    parameters: Mapping[str, Any] = {}
    versions: Mapping[str, str] = {}

    def load(self) -> None:
        """Nothing is to be loaded."""

    def paraphrase(
        self, instructions: Sequence[str], count: int, seeds: Sequence[int]
    ) -> list[Paraphrases | Exception]:
        """See [`Paraphraser.paraphrase`]. The grammar has six captions of each edit."""
        found = []
        for text, seed in zip(instructions, seeds, strict=True):
            if (edit := read_instruction(text)) is None:
                found.append(ValueError(f"{text!r} is no instruction of the grammar of composed photographs"))
                continue
            said = captions(edit)
            order = np.random.default_rng(seed).permutation(len(said))[:count]
            found.append(Paraphrases([said[place] for place in order], attempts=1))
        return found
