"""Paraphrasers: what writes further captions of a pair, from its instruction or its images."""

from typing import Any

from .grammar import GRAMMAR
from .protocol import Paraphraser, Paraphrases
from .rules import RULE_SETS, RULES, judge

__all__ = ["GRAMMAR", "RULES", "RULE_SETS", "Paraphraser", "Paraphrases", "judge", "load_paraphraser"]


def load_paraphraser(name: str, **options: Any) -> Paraphraser:
    """
    Makes a paraphraser ready to tell what it is; weights are loaded by its first answer.

    Args:
        name (`str`): "grammar" ([`Grammar`]); a chat model of transformers: its name on the Hub, or a folder
            ([`ChatModel`]); with `base_url` or `provider`, the name of a model on that server ([`ServerModel`]).
        options (`Any`): of the paraphraser.

    Raises:
        ValueError: it does not take these options.

    Example:
        >>> paraphraser = load_paraphraser("meta-llama/Llama-2-7b-chat-hf", attempts=5)
        >>> paraphraser.paraphrase(["Add a dog to the lawn"], count=4, seeds=[0])[0].kept
        >>> load_paraphraser("gpt-4.1-mini", base_url="https://api.openai.com/v1")
    """
    if name == GRAMMAR:
        from .grammar import Grammar as Model
    elif options.get("base_url") or options.get("provider"):
        from .server import ServerModel as Model
    else:
        from .chat_model import ChatModel as Model

    try:
        return Model(**options) if name == GRAMMAR else Model(name, **options)
    except TypeError as error:
        raise ValueError(f"paraphraser {name!r}: {error}") from error
