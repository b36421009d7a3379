"""Numbers and tables as a report prints them: scores times 100, intervals behind them, Markdown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Scores by their keys, in the order of a table.
NAMES = {
    "cider": "CIDEr",
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
}
MAIN = ("cider", "bleu_4", "meteor", "rouge_l")  # what published tables have
ABSENT = "–"
# What Markdown would read as something else, were it in a caption or in the name of a file.
MARKS = re.compile(r"([\\`*\[\]<>|#~&$]|(?<!\w)_|_(?!\w))")


def times_100(value: float | None) -> str:
    """A score as papers print it."""
    return ABSENT if value is None else f"{100 * value:.1f}"


def percent(value: float) -> str:
    """A share as `95 %`."""
    return f"{100 * value:.4g} %"


def with_interval(part: Mapping[str, Any], key: str) -> str:
    """A score and its interval, `51.4 (45.8 to 57.0)`; the score alone where there is none."""
    if key not in part:
        return ABSENT
    interval = part.get(f"{key}_interval")
    ends = "" if interval is None else f" ({times_100(interval[0])} to {times_100(interval[1])})"
    return times_100(part[key]) + ends


def name_of(text: str) -> str:
    """A text that stands in Markdown as it is, in one line."""
    return MARKS.sub(r"\\\1", one_line(text))


def one_line(text: str) -> str:
    """A text without line breaks and what else is not seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """
    A Markdown table.

    Args:
        header (`Sequence[str]`): names of the columns.
        rows (`Sequence[Sequence[str]]`): cells, in Markdown.
        left (`int`, *optional*, defaults to 1): columns that are aligned left; the others are numbers.
    """
    marks = ["---" if column < left else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, marks, *rows))


def columns_of(rows: Sequence[Mapping[str, Any]], keys: Sequence[str] = MAIN) -> list[str]:
    """Those of some keys that at least one row has."""
    return [key for key in keys if any(row.get(key) is not None for row in rows)]
