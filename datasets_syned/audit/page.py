"""What an audit found, as one HTML file that needs nothing else: images are in it, light and dark, any width."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .text import across_rows, facts, number, split_rows, units, verdict, where

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5d6673; --line: #dde1e7; --page: #f6f7f9; --card: #fff;
  --bad: #b3261e; --note: #8a6100; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #9aa3b0; --line: #333a45; --page: #14171c;
  --card: #1d2128; --bad: #ff8a80; --note: #f0c060; --good: #7bd8a0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.5rem; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 40px 0 4px; }
p { margin: 0 0 12px; color: var(--soft); }
a { color: inherit; }
td.bad, td.note { white-space: nowrap; }
.bad { color: var(--bad); } .note { color: var(--note); } .good { color: var(--good); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; border-top: 1px solid var(--line); text-align: right; vertical-align: top; }
tr:first-child > * { border-top: 0; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
th:first-child, td:first-child, .facts td { text-align: left; }
.facts td { overflow-wrap: anywhere; } .facts th { text-align: left; vertical-align: top; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); gap: 14px; }
.pair { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 2px; background: var(--line);
  border-bottom: 1px solid var(--line); }
.sides > * { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: var(--page); display: block; }
.sides .small { image-rendering: pixelated; }
.none { display: grid; place-items: center; color: var(--bad); font-size: .85rem; }
.text { padding: 10px 14px 12px; font-size: .9rem; overflow-wrap: anywhere; }
.text small { color: var(--soft); display: block; }
.text ul { margin: 6px 0 0; padding-left: 18px; } .text li { white-space: pre-wrap; }
@media (max-width: 600px) { .facts, .facts tbody, .facts tr, .facts th, .facts td { display: block; border: 0; }
  .facts tr { border-top: 1px solid var(--line); padding: 6px 0; } .facts tr:first-child { border-top: 0; }
  .facts th, .facts td { padding: 1px 12px; white-space: normal; } }
"""
SMALL = 100  # pixels of a thumbnail that is shown with hard edges


def page(report: Mapping[str, Any], title: str) -> str:
    """
    The report as a page: a table of the splits, then a section for each kind of finding with its samples, the two
    images side by side above their captions.

    Args:
        report (`dict`): of [`audit`] with `thumbnails=True`; without them there are no images.
        title (`str`): heading of the page.
    """
    found = {name: kind for name, kind in report["findings"].items() if kind["count"]}
    contents = "".join(
        f'<tr><td><a href="#{name}">{escape(kind["title"])}</a></td><td class="{_color(kind)}">'
        f"{units(kind['count'], kind['unit'])}</td></tr>"
        for name, kind in found.items()
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="{"bad" if report["problems"] else "good"}">{escape(verdict(report))}</p>',
        _table(split_rows(report)),
        f'<h2>Findings</h2><div class="scroll"><table>{contents}</table></div>' if found else "",
        *(_section(name, kind) for name, kind in found.items()),
        f"<h2>In two splits</h2>{_table(across_rows(report))}" if report["across"] else "",
        "<h2>Counted</h2>",
        f'<div class="scroll"><table class="facts">{"".join(_fact(*fact) for fact in facts(report))}</table></div>',
        f"<h2>First pairs</h2>{_pairs(report['examples'])}" if report["examples"] else "",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(filter(None, parts))
        + "\n</main></body></html>\n"
    )


def _color(kind: Mapping[str, Any]) -> str:
    return "bad" if kind["problem"] else "note"


def _section(name: str, kind: Mapping[str, Any]) -> str:
    splits = ", ".join(f"{split} {number(count)}" for split, count in kind["by_split"].items())
    heading = f'{escape(kind["title"])} <span class="{_color(kind)}">{number(kind["count"])}</span>'
    about = f"{escape(kind['about'])} {kind['unit'].capitalize()}: {escape(splits)}."
    return f'<h2 id="{name}">{heading}</h2><p>{about}</p>{_pairs(kind["samples"])}'


def _pairs(samples: Iterable[Mapping[str, Any]]) -> str:
    return f'<div class="pairs">{"".join(map(_pair, samples))}</div>' if samples else ""


def _pair(sample: Mapping[str, Any]) -> str:
    images = ""
    if "thumbnails" in sample:
        sides = zip(("before", "after"), sample["thumbnails"], strict=True)
        images = f'<div class="sides">{"".join(_image(side, thumbnail) for side, thumbnail in sides)}</div>'
    what = f"<strong>{escape(sample['what'])}</strong>" if sample["what"] else ""
    captions = "".join(
        f"<li>{escape(caption) if caption.strip() else '<em>empty</em>'}</li>" for caption in sample["captions"]
    )
    changed = f"{sample['category']}{'' if sample['changed'] else ', unchanged'}"
    small = f"<small>{escape(where(sample))}, {escape(changed)}</small>"
    return f'<div class="pair">{images}<div class="text">{small}{what}<ul>{captions}</ul></div></div>'


def _image(side: str, thumbnail: Mapping[str, Any] | None) -> str:
    if thumbnail is None:
        return f'<div class="none">{side}: not readable</div>'
    small = ' class="small"' if max(thumbnail["width"], thumbnail["height"]) < SMALL else ""
    return f'<img{small} src="{thumbnail["uri"]}" alt="{side}">'


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *others = rows
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in others)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _fact(name: str, line: str) -> str:
    return f"<tr><th>{escape(name)}</th><td>{escape(line)}</td></tr>"
