"""Several trainings of one recipe that differ in their seed: mean and spread of their scores."""

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from .figures import NAMES, columns_of, name_of, table, times_100

RATES = {"precision": "precision of no change", "recall": "recall of no change", "f1": "F1 of no change"}


def summarize_seeds(reports: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """
    What the scores of several seeds are on average, and how much they scatter.

    Args:
        reports (`Mapping[int, dict]`): by seed, reports of [`build_report`] of the same pairs.

    Returns:
        `dict`, for JSON: `seeds` (`list[int]`); `scores`, by key `mean`, `std` (with n - 1 in the denominator; `None`
        for one seed), `min`, `max` and `values` in the order of `seeds`; `by_category`, `cider` of each category in
        the same form (`None` without categories); `no_change`, `precision`, `recall` and `f1` likewise (`None` without
        unchanged pairs). Scores are scaled as in the reports; those that not all seeds have are left out.

    Raises:
        ValueError: there is no report, or they are not of the same number of pairs or of the same categories.
    """
    if not reports:
        raise ValueError("there is no report to summarize; give one for each seed")
    seeds, all_of = list(reports), list(reports.values())
    first = all_of[0]
    for seed, report in reports.items():
        if report["count"] != first["count"] or set(report["by_category"] or ()) != set(first["by_category"] or ()):
            raise ValueError(
                f"seed {seed} was scored on {report['count']} pairs, {_named(report)}, and seed {seeds[0]} on "
                f"{first['count']}, {_named(first)}; only scores of the same pairs have a mean"
            )
    return {
        "seeds": seeds,
        "scores": _spreads([report["scores"] for report in all_of], NAMES),
        "by_category": first["by_category"]
        and {
            name: _spreads([report["by_category"][name] for report in all_of], ("cider",))
            for name in first["by_category"]
        },
        "no_change": _spreads([report["no_change"] for report in all_of], RATES) or None,
    }


def _named(report):
    return f"categories {', '.join(report['by_category'])}" if report["by_category"] else "without categories"


def _spreads(parts, keys):
    values = {key: [part.get(key) for part in parts] for key in keys}
    return {key: _spread(found) for key, found in values.items() if None not in found}


def _spread(values):
    std = stdev(values) if len(values) > 1 else None
    return {"mean": mean(values), "std": std, "min": min(values), "max": max(values), "values": values}


def seeds_markdown(summary: Mapping[str, Any]) -> str:
    """
    The section of several seeds in a report.

    Args:
        summary (`dict`): of [`summarize_seeds`].

    Returns:
        `str`: Markdown, with its heading.
    """
    seeds, scores = summary["seeds"], summary["scores"]
    keys = columns_of([scores], tuple(NAMES))
    rows = [
        [name, *(times_100(scores[key][part]) for key in keys)]
        for name, part in (("**mean**", "mean"), ("standard deviation", "std"), ("lowest", "min"), ("highest", "max"))
    ]
    rows += [
        [f"seed {seed}", *(times_100(scores[key]["values"][place]) for key in keys)]
        for place, seed in enumerate(seeds)
    ]
    parts = [
        f"## {len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        _reading(len(seeds)),
        table(["×100", *(NAMES[key] for key in keys)], rows),
    ]
    lines = [(name_of(name), part["cider"]) for name, part in (summary["by_category"] or {}).items()]
    lines = [(f"CIDEr of {name}", spread) for name, spread in lines]
    lines += [(RATES[key], spread) for key, spread in (summary["no_change"] or {}).items()]
    if lines:
        header = ["×100", "mean", "standard deviation", "lowest", "highest"]
        shown = [
            [name, *(times_100(spread[part]) for part in ("mean", "std", "min", "max"))] for name, spread in lines
        ]
        parts.append(table(header, shown))
    return "\n\n".join(parts)


def _reading(count):
    if count == 1:
        return "One training: how much the seed matters is not known. Train more of them."
    return (
        f"The same recipe, trained {count} times. This spread comes on top of the intervals above, which say how much "
        "depends on the choice of test pairs, not on the training."
    )
