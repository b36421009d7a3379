"""What a reader of a report should be warned of, in sentences."""

from collections.abc import Mapping
from typing import Any

from .figures import name_of, percent, times_100

FEW_PAIRS = 200  # below, the bootstrap knows too little of how captions scatter
FEW_OF_A_CATEGORY = 30


def notes(report: Mapping[str, Any]) -> list[str]:
    """
    Args:
        report (`dict`): of [`build_report`], all but its `notes`.

    Returns:
        `list[str]`: sentences, in Markdown.
    """
    found = [_few(report), _small_categories(report), _below_the_floor(report), _above_people(report)]
    found += [_within(report), _lead(report), _unseen_answers(report), _not_the_test_split(report)]
    return [note for note in found if note]


def _few(report):
    if report["count"] < FEW_PAIRS:
        return (
            f"{report['count']} pairs are few: intervals from so small a sample are too narrow, and CIDEr itself "
            "depends on how many pairs are scored together."
        )


def _small_categories(report):
    small = {name: part["count"] for name, part in (report["by_category"] or {}).items()}
    small = [f"{name_of(name)} ({count})" for name, count in small.items() if count < FEW_OF_A_CATEGORY]
    if small and report["count"] >= FEW_PAIRS:
        return f"Categories with fewer than {FEW_OF_A_CATEGORY} pairs say little: {', '.join(small)}."


def _below_the_floor(report):
    own, floor = report["scores"], report["constant_caption"]
    low = own["cider_interval"][0] if own["cider_interval"] else own["cider"]
    if low <= floor["cider"]:
        return (
            f'The best single sentence, "{floor["caption"]}", said of every pair, has a CIDEr of '
            f"{times_100(floor['cider'])}: these captions are not clearly above it."
        )


def _above_people(report):
    people = report["leave_one_out"]
    if people and report["scores"]["cider"] > people["cider"]:
        return (
            f"CIDEr is above what one reference has against the others ({times_100(people['cider'])}): beyond that "
            "it measures how well the references' way of writing was learned, not how much is seen."
        )


def _with_cider(report):
    rows = [row for row in report["published"] if row["scores"].get("cider") is not None]
    return sorted(rows, key=lambda row: -row["scores"]["cider"])


def _within(report):
    interval = report["scores"]["cider_interval"]
    if interval is None:
        return None
    low, high = (100 * end for end in interval)
    close = [row for row in _with_cider(report) if low <= row["scores"]["cider"] <= high]
    if close:
        named = ", ".join(f"{name_of(row['method'])} ({row['scores']['cider']:.1f})" for row in close)
        return (
            f"Inside the {percent(report['confidence'])} interval of this CIDEr ({low:.1f} to {high:.1f}) are the "
            f"published rows of {named}: from these numbers alone, none of them can be told from this one."
        )


def _lead(report):
    rows, interval = _with_cider(report), report["scores"]["cider_interval"]
    if len(rows) < 2 or report["count"] < FEW_PAIRS:
        return None
    (first, best), (second, next_best) = ((name_of(row["method"]), row["scores"]["cider"]) for row in rows[:2])
    half = 50 * (interval[1] - interval[0])
    if 0 < best - next_best < half:
        return (
            f"The published lead of {first} over {second} is {best - next_best:.1f} points of CIDEr, less than half "
            f"the width of the interval here (±{half:.1f}): without a paired test, that order may be chance."
        )


def _unseen_answers(report):
    part = report["no_change"]
    if not part["unchanged"] and part["said"]:
        return f"{part['said']} captions say that nothing changed, though every pair has a change."
    if part["untold"]:
        return (
            f"{part['untold']} unchanged pairs have no reference that counts as saying so; a caption like theirs "
            "does not count either."
        )
    if part["unchanged"] and not part["said"]:
        return f"No caption says that nothing changed, though {part['unchanged']} pairs are unchanged."


def _not_the_test_split(report):
    about = report["about"]
    reasons = []
    if (about.get("split") or "test") != "test":
        reasons.append(f"this is the split {name_of(about['split'])}")
    if about.get("limit") is not None:
        reasons.append(f"only the first {about['limit']} pairs were scored")
    if report["benchmark"] is not None and reasons:
        return f"Published rows are left out: {' and '.join(reasons)}."
