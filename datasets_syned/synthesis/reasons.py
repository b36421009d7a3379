"""Reasons why rows failed, counted by kind: what differs in a number or a name is one."""

import re
from collections import Counter
from collections.abc import Mapping

# names of files, with or without quotes, and words with a digit: numbers, addresses, digests
DETAIL = re.compile(
    r"""(['"])[^'"]*\.[A-Za-z]\w{1,4}\1|[^\s'"()\[\],;:]*(?:\d|\.[A-Za-z]\w{1,4}\b)[^\s'"()\[\],;:]*"""
)


def kind_of(reason: str) -> str:
    """
    A reason with "…" in place of each number and each name of a file.

    Example:
        >>> kind_of("OSError: cat_17.png is truncated (12 bytes)")
        'OSError: … is truncated (… bytes)'
    """
    return DETAIL.sub("…", reason)


def count_reasons(counts: Counter, more: Mapping[str, int]) -> None:
    """Adds to counts by reason; all of one kind are counted under the first of them, which stands as an example."""
    examples = {kind_of(reason): reason for reason in counts}
    for reason, count in more.items():
        counts[examples.setdefault(kind_of(reason), reason)] += count
