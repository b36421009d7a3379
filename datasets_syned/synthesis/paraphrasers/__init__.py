"""Paraphrasers: what says an instruction in other words, for further captions of its pair."""

import inspect
from typing import Any

from .protocol import Paraphraser, Paraphrases
from .rules import RULES, judge

__all__ = ["RULES", "Paraphraser", "Paraphrases", "judge", "load_paraphraser"]


def load_paraphraser(name: str, **options: Any) -> Paraphraser:
    """
    Makes a paraphraser ready to tell what it is; weights are loaded by its first paraphrase.

    Args:
        name (`str`): a chat model of transformers: its name on the Hub, or a folder ([`ChatParaphraser`]).
        options (`Any`): of the paraphraser.

    Raises:
        ValueError: there is no such model, or it does not take these options.

    Example:
        >>> paraphraser = load_paraphraser("meta-llama/Llama-2-7b-chat-hf", attempts=5)
        >>> paraphraser.paraphrase(["Add a dog to the lawn"], count=4, seeds=[0])[0].kept
    """
    from .chat_model import ChatParaphraser

    known = [option for option in inspect.signature(ChatParaphraser).parameters if option != "model"]
    unknown = ", ".join(option for option in options if option not in known)
    if unknown:
        raise ValueError(f"paraphraser {name!r} takes no option {unknown}; it takes {', '.join(known)}")
    return ChatParaphraser(name, **options)
