"""What an audit found, as plain text for a terminal and as a page; both say the same."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

MOST = 6  # entries of a histogram that are shown


def text(report: Mapping[str, Any], title: str) -> str:
    """The report of [`audit`] as tables, under a first line with the title."""
    lines = [[f"{name}:", " ".join(line.split())] for name, line in facts(report)]
    shown = _rendered("report.txt", report, title, facts=lines)
    # without what a terminal would take for a command
    return "".join(letter if letter == "\n" or letter.isprintable() else " " for letter in shown)


def page(report: Mapping[str, Any], title: str) -> str:
    """
    The report of [`audit`] as an HTML file that needs nothing else: a table of the splits, then a section for each
    kind of finding with its samples, if there are thumbnails the two images side by side above their captions.
    """
    return _rendered("page.html", report, title, facts=list(facts(report)))


def _rendered(template: str, report: Mapping[str, Any], title: str, **fields: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    templates = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=templates, autoescape=select_autoescape(), undefined=StrictUndefined)
    return environment.get_template(template).render(
        report=report,
        title=title,
        verdict=verdict(report),
        splits=split_rows(report),
        across=across_rows(report),
        found={name: kind for name, kind in report["findings"].items() if kind["count"]},
        **fields,
        **{function.__name__: function for function in (aligned, number, units, where)},
    )


def verdict(report: Mapping[str, Any]) -> str:
    """The last line."""
    found = [kind["title"].lower() for kind in report["findings"].values() if kind["problem"] and kind["count"]]
    return f"{units(len(found), 'kinds')} of problems: {', '.join(found)}" if found else "No problems found."


def split_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Header and rows of the table of splits, without columns that nothing is known of."""
    header = ["split", "pairs", "published", "left out before", "changed", "captions", "per pair"]
    rows = [
        [name, number(s["rows"]), number(s["published"]), counted(s["dropped"]), number(s["changed"])]
        + [number(s["references"]["total"]), f"{s['references']['mean']:.2f}"]
        for name, s in report["splits"].items()
    ]
    missing = [[name, "0", number(count)] for name, count in report["published"].items()]
    rows += [[*row, *[""] * 4] for row in missing if row[0] not in report["splits"]]
    columns = [column for column in zip(header, *rows, strict=True) if any(column[1:])]
    return list(map(list, zip(*columns, strict=True)))


def across_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Header and rows of the table of what splits share; none where there is one split only."""
    header = ["in both", "pairs", "rows of them", "source images", "rows of them", "captions", "share of them"]
    rows = []
    for shared in report["across"].values():
        cells = [" and ".join(shared["pairs"]["times"])]
        for what in ("pairs", "sources"):
            cells += [number(shared[what]["shared"]), " and ".join(map(number, shared[what]["times"].values()))]
        shares = [f"{share:.1%}" for share in shared["captions"]["share"].values()]
        rows.append([*cells, number(shared["captions"]["shared"]), " and ".join(shares)])
    return [header, *rows] if rows else []


def facts(report: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What else is counted: a name and a line."""
    for name, split in report["splits"].items():
        yield f"captions per pair, {name}", histogram(split["references"]["histogram"])
        yield f"categories, {name}", histogram(split["categories"])
        if split["notes"]:
            yield f"done before, {name}", counted(split["notes"])
    for what, counts in report["images"].items():
        yield f"image {what}", histogram(counts)
    words = report["vocabulary"]
    yield "vocabulary", f"{units(words['words'], 'words')}, {number(words['once'])} of them seen once"
    for name, unseen in words["unseen_in_train"].items():
        some = f": {', '.join(unseen['most_frequent'])}" if unseen["words"] else ""
        yield f"not in train, {name}", f"{units(unseen['words'], 'words')}, {unseen['share']:.1%} of the text{some}"


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def units(count: int, name: str) -> str:
    """ "1 row", "2 rows" """
    return f"{number(count)} {name.removesuffix('s') if count == 1 else name}"


def counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{number(count)} ({reason})" for reason, count in reasons.items())


def histogram(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name}: {number(count)}" for name, count in list(counts.items())[:MOST])
    rest = list(counts.values())[MOST:]
    return f"{shown}, {len(rest)} others: {number(sum(rest))}" if rest else shown or "none"


def where(sample: Mapping[str, Any]) -> str:
    return f"{sample['split']} row {sample['row']} (id {sample['id']})"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table: texts to the left, and what is behind the first column of several to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = 1 if len(widths) > 2 else 2
    lines = [
        [cell.ljust(width) for cell, width in zip(row[:left], widths[:left], strict=True)]
        + [cell.rjust(width) for cell, width in zip(row[left:], widths[left:], strict=True)]
        for row in rows
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in lines)
