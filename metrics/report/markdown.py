"""A report for people: report.md."""

from collections.abc import Mapping
from typing import Any

from .figures import ABSENT, MAIN, NAMES, columns_of, name_of, one_line, percent, table, times_100, with_interval
from .grammar_section import grammar_markdown
from .seeds import seeds_markdown

# What of `about` is shown; the rest is in report.json.
FACTS = (
    "model",
    "base",
    "predictions",
    "revision",
    "commit",
    "split",
    "limit",
    "options",
    "dtype",
    "autocast",
    "decoding",
)
READING = """\
## How to read this

- All scores are times 100. CIDEr is CIDEr-D as pycocoevalcap computes it, with document frequencies of the references
  of these {count} pairs: it cannot be compared with a score on other pairs, nor averaged over parts.
- In parentheses: the {confidence} interval of a bootstrap over pairs ({resamples} samples, document frequencies held
  fixed). It says how much the choice of test pairs matters; how much the seed of the training matters it does not say.
- Two systems on the same pairs are compared by the paired test (`evaluate_idc.py --against`), which is much sharper
  than asking whether two intervals overlap.
- *The best single sentence* is the one reference that, said of every pair, scores highest: what a system reaches that
  does not look. *A reference against the others* is each reference in turn, scored against the other references of
  its pair: people, where people wrote the references. Who describes a pair is scored against one reference less there,
  which costs BLEU, METEOR and ROUGE-L a little, but not CIDEr.
- By category, CIDEr is there twice: weighed with the whole split, where categories average to the whole; and weighed
  with the category alone, as the field's tables have it, where they cannot be compared with each other or with the
  whole.
- No score of a caption is changed because it says that nothing changed; that is counted by itself.
"""


def report_markdown(report: Mapping[str, Any]) -> str:
    """
    Args:
        report (`dict`): of [`build_report`].

    Returns:
        `str`: Markdown.
    """
    parts = [f"# {_title(report)}", _about(report), _main_table(report), _sources(report)]
    if report["notes"]:
        parts.append("\n".join(["**Mind:**", "", *(f"- {note}" for note in report["notes"])]))
    parts += [_all_scores(report), *_against(report)]
    if "seeds" in report:
        parts.append(seeds_markdown(report["seeds"]))
    parts += [_by_category(report), _no_change(report)]
    for name in ("scenes", "photos"):
        if name in report:
            parts.append(grammar_markdown(name.capitalize(), report[name], report.get("oracle_cider")))
    reading = READING.format(
        count=f"{report['count']:,}", confidence=percent(report["confidence"]), resamples=f"{report['resamples']:,}"
    )
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return "\n\n".join(part.rstrip() for part in [*parts, reading, f"Made with {versions}."] if part) + "\n"


def _title(report):
    return f"Captions of {name_of(report['benchmark'] or 'image differences')}, scored"


def _about(report):
    about, mean = report["about"], report["references"] / report["count"]
    facts = {name: about.get(name) for name in FACTS}
    lines = [f"- {name}: {_value(value)}" for name, value in facts.items() if value not in (None, {}, "")]
    per_pair = f"{mean:.1f} references each" if mean != 1 else "one reference each"
    return "\n".join([*lines, f"- pairs: {report['count']:,}, {per_pair}"])


def _value(value):
    if isinstance(value, Mapping):
        return ", ".join(f"{name_of(name)} {name_of(one)}" for name, one in value.items() if one is not None)
    return f"`{one_line(value).replace('`', chr(39))}`" if isinstance(value, str) else name_of(value)


def _main_table(report):
    people = report["leave_one_out"]
    own = [("**these captions**", report["scores"])]
    own.append(("the best single sentence, said of every pair", report["constant_caption"]))
    if people:
        pairs = "all pairs" if people["count"] == report["count"] else f"{people['count']:,} pairs with several"
        own.append((f"a reference against the others ({pairs})", people))
    columns = columns_of([part for _, part in own] + [row["scores"] for row in report["published"]])
    rows = [[label, *(with_interval(part, key) for key in columns)] for label, part in own]
    for number, row in enumerate(report["published"], 1):
        if row["scores"]:
            cells = [_published_cell(row["scores"].get(key)) for key in columns]
            rows.append([f"{name_of(row['method'])} [{number}]", *cells])
    sentence = f'The best single sentence is "{name_of(report["constant_caption"]["caption"])}".'
    if report["meteor_missing"]:
        sentence += f" There is no METEOR: {report['meteor_missing'].rstrip('.')}."
    return f"{table(['×100', *(NAMES[key] for key in columns)], rows)}\n\n{sentence}"


def _sources(report):
    lines = []
    for number, row in enumerate(report["published"], 1):
        note = f"; {row['note']}" if row["note"] else ""
        lines.append(f"- [{number}] {name_of(row['method'])}: {row['source']}{note}")
    return "\n".join(["Published rows, as printed; nothing was run again:", "", *lines]) if lines else ""


def _all_scores(report):
    keys = columns_of([report["scores"]], tuple(NAMES))
    rows = [[NAMES[key], *_score_and_ends(report["scores"], key)] for key in keys]
    header = ["×100", "score", f"{percent(report['confidence'])} interval"]
    return f"## Scores\n\n{table(header, rows)}"


def _score_and_ends(part, key):
    interval = part.get(f"{key}_interval")
    return times_100(
        part[key]
    ), ABSENT if interval is None else f"{times_100(interval[0])} to {times_100(interval[1])}"


def _groups_table(parts):
    keys = ("cider", "cider_idf_category", *MAIN[1:])
    columns = columns_of(parts.values(), keys)
    names = {**NAMES, "cider": "CIDEr, weighed with the whole", "cider_idf_category": "CIDEr, weighed with it alone"}
    shown = {"cider", "cider_idf_category"}
    rows = [
        [
            name_of(name),
            f"{part['count']:,}",
            *(with_interval(part, key) if key in shown else times_100(part[key]) for key in columns),
        ]
        for name, part in parts.items()
    ]
    return table(["×100", "pairs", *(names[key] for key in columns)], rows)


def _by_category(report):
    if not report["by_category"]:
        return ""
    parts = ["## By category", _groups_table(report["by_category"])]
    rows = [(number, row) for number, row in enumerate(report["published"], 1) if row["categories"]]
    if rows:
        names = list(dict.fromkeys(name for _, row in rows for name in row["categories"]))
        cells = [
            [f"{name_of(row['method'])} [{number}]", *(_published_cell(row["categories"].get(name)) for name in names)]
            for number, row in rows
        ]
        parts.append("Published CIDEr by category, as printed (BLIP2IDC's code weighs each with the category alone):")
        parts.append(table(["", *map(name_of, names)], cells))
    return "\n\n".join(parts)


def _published_cell(value):
    return ABSENT if value is None else f"{value:.1f}"


def _no_change(report):
    part, count = report["no_change"], report["count"]
    if not part["unchanged"]:
        said = f"{part['said']:,} captions say" if part["said"] != 1 else "1 caption says"
        return f"## Nothing changed\n\nEvery pair has a change; {said} that nothing changed."
    sentence = (
        f"{part['unchanged']:,} of {count:,} pairs are unchanged; {part['said']:,} captions say that nothing changed. "
        f"Precision {times_100(part['precision'])}, recall {times_100(part['recall'])}, F1 {times_100(part['f1'])}."
    )
    if not part["captions"]:
        return f"## Nothing changed\n\n{sentence}"
    return (
        f"## Nothing changed\n\n{sentence} A fixed phrase scores well on unchanged pairs, so here are the captions' "
        f"scores without them, and theirs:\n\n{_groups_table(part['captions'])}"
    )


def _against(report):
    for name, result in (report["against"] or {}).items():
        keys = columns_of([result], tuple(NAMES))
        rows = [
            [
                NAMES[key],
                times_100(result[key]["a"]),
                times_100(result[key]["b"]),
                _signed(result[key]["difference"]),
                ABSENT if result[key]["interval"] is None else " to ".join(map(_signed, result[key]["interval"])),
                ABSENT if result[key]["p"] is None else f"{result[key]['p']:.3f}",
            ]
            for key in keys
        ]
        header = [
            "×100",
            "these captions",
            "the others",
            "difference",
            f"{percent(report['confidence'])} interval",
            "p",
        ]
        sentence = against_sentence(name, result["cider"], report)
        yield f"## Against {name_of(name)}\n\n{sentence}\n\n{table(header, rows)}"


def against_sentence(name: str, result: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """What a paired test of CIDEr says, in a sentence."""
    if result["p"] is None:
        return "A single pair cannot show whether a difference is more than chance."
    same = f"On the same {report['count']:,} pairs, these captions"
    if not result["difference"]:
        return f"{same} and {name_of(name)} have the same CIDEr."
    side = "above" if result["difference"] > 0 else "below"
    chance = "which chance hardly explains" if result["p"] < 1 - report["confidence"] else "which chance may explain"
    low, high = map(_signed, result["interval"])
    return (
        f"{same} are {times_100(abs(result['difference']))} points of "
        f"CIDEr {side} {name_of(name)}, {chance} ({percent(report['confidence'])} interval of the difference {low} to "
        f"{high}, p = {result['p']:.3f}, paired bootstrap)."
    )


def _signed(value):
    return f"{100 * value:+.1f}"
