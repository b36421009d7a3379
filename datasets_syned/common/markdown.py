"""Texts of others in the Markdown of a card."""

import re
from typing import Any

SHOWN_CHARACTERS = 300


def plain(text: str) -> str:
    """A text in which Markdown and HTML see nothing of theirs."""
    return re.sub(r"([\\`*_{}\[\]<>|#$~&])", r"\\\1", _short(text))


def code(value: Any) -> str:
    """A value in the type of code, that ends no cell of a table."""
    return f"`{_short(str(value)).replace('`', chr(39)).replace('|', '¦')}`"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
