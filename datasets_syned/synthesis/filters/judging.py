"""From scores to verdicts."""

from collections.abc import Mapping, Sequence

from .protocol import Filter, Score


def judge(
    filters: Sequence[Filter], scores: Mapping[int, Mapping[str, Score]]
) -> dict[int, tuple[dict[str, float], str | None, str | None]]:
    """
    Judges the variants of one source by the limits of the filters.

    Args:
        filters (`Sequence[Filter]`): in order; the first that drops a variant is named.
        scores (`dict[int, dict[str, float | list[float]]]`): by variant and by name of the filter.

    Returns:
        `dict[int, tuple]`: by variant: its scores as numbers, and the filter that drops it and the reason, both `None`
        if it stays.
    """
    stay, found = [], {}
    for variant, measured in sorted(scores.items()):
        numbers, by, reason = {}, None, None
        for one in filters:
            score = measured[one.name]
            if isinstance(score, list):  # compared with the variants that stay
                score = min((score[other] for other in stay), default=1.0)
            numbers[one.name] = score
            verdict = one.verdict(score)
            if verdict is not True and by is None:
                by, reason = one.name, verdict[1]
        if by is None:
            stay.append(variant)
        found[variant] = numbers, by, reason
    return found
