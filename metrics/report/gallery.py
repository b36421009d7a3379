"""The pairs behind a report, to look at: one HTML file that needs nothing else."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .figures import percent, times_100
from .thumbnails import data_uri

PAGE = Path(__file__).with_name("gallery_page.html")
CARD = Template("""\
<article data-score="$score" data-place="$place" data-category="$category">
<button class="images" style="--ratio:$before_width/$before_height" aria-label="Compare the images of $id">
<img src="$before" alt="before" width="$before_width" height="$before_height" loading="lazy" decoding="async">
<img src="$after" alt="after" width="$after_width" height="$after_height" loading="lazy" decoding="async">
</button>
<div class="text">
<div class="facts">
<span class="score" style="--part:$part">CIDEr <b>$shown</b></span>$chip<span class="id">$id</span>
</div>
<h2>$caption</h2>
<ul>
$references
</ul>
</div>
</article>""")


def gallery_page(report: Mapping[str, Any], rows: Any, most: int = 200) -> str:
    """
    The page. It follows the reader's light or dark setting, works without a mouse and on a phone, and loads nothing.
    Without JavaScript it shows the same pairs, lowest CIDEr first.

    Args:
        report (`dict`): of [`build_report`].
        rows: the pairs in the report's order, as for [`write_report`].
        most (`int`, *optional*, defaults to 200): how many pairs to show at most.

    Raises:
        ValueError: `rows` are not as many as the pairs; an image cannot be read.
    """
    pairs = report["pairs"]
    if len(rows) != len(pairs):
        raise ValueError(f"rows has {len(rows)} pairs and the report {len(pairs)}; give those that were scored")
    places = shown_places([pair["cider"] for pair in pairs], most)
    categories = sorted({pairs[place]["category"] for place in places if pairs[place].get("category")})
    top = max(pairs[place]["cider"] for place in places)
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(f"Captions of {report['benchmark'] or 'image differences'}"),
        about=escape(_about(report)),
        shown=escape(_shown(len(places), len(pairs))),
        histogram=_histogram([pair["cider"] for pair in pairs]),
        categories="".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in categories),
        one_category=" hidden" if len(categories) < 2 else "",
        cards="\n".join(_card(pairs[place], rows[place], place, top) for place in places),
    )


def shown_places(scores: Sequence[float], most: int) -> list[int]:
    """
    Places of the pairs to show, lowest score first: all of them, or the lower and the upper end in equal parts (the
    lower one has one more where `most` is odd). Equal scores are in their order.
    """
    order = sorted(range(len(scores)), key=scores.__getitem__)
    if len(order) <= most:
        return order
    return order[: most - most // 2] + order[len(order) - most // 2 :]


def _about(report):
    about, scores, ends = report["about"], report["scores"], ""
    if scores["cider_interval"]:
        low, high = map(times_100, scores["cider_interval"])
        ends = f" ({percent(report['confidence'])} interval {low} to {high})"
    by = f", captioned by {about['model']}" if about.get("model") else ""
    by = f", captions from {about['predictions']}" if about.get("predictions") else by
    pairs = f"{report['count']:,} pair{'s' if report['count'] != 1 else ''}"
    return f"{pairs}{by}: CIDEr {times_100(scores['cider'])}{ends}."


def _shown(count, total):
    if count == total:
        return "Shown are all pairs."
    low = count - count // 2
    high = f" and the {count // 2:,} with the highest" if count > 1 else ""
    return f"Shown are {count:,} of them: the {low:,} with the lowest CIDEr{high}."


def _card(pair, row, place, top):
    sides = {}
    for side in ("before", "after"):
        try:
            sides[side], sides[f"{side}_width"], sides[f"{side}_height"] = data_uri(row[side])
        except MemoryError:
            raise
        except Exception as error:  # Pillow's decoders raise nearly anything
            raise ValueError(f"pair {pair['id']!r}: the image {side!r} cannot be read: {error}") from error
    category = escape(pair.get("category") or "")
    return CARD.substitute(
        sides,
        id=escape(pair["id"]),
        place=place,
        score=f"{pair['cider']:.6f}",
        shown=times_100(pair["cider"]),
        part=f"{pair['cider'] / top if top else 0:.3f}",
        category=category,
        chip=f'<span class="chip">{category}</span>' if category else "",
        caption=_caption(pair["caption"], pair["references"]),
        references="\n".join(f"<li>{escape(one) or '<i>empty</i>'}</li>" for one in pair["references"]),
    )


def _caption(caption, references):
    """The caption, with those words marked that no reference has."""
    known = {word.lower() for reference in references for word in re.findall(r"\w+", reference)}
    parts = re.split(r"(\w+)", caption)  # every second one is a word
    marked = (
        f"<u>{escape(part)}</u>" if number % 2 and part.lower() not in known else escape(part)
        for number, part in enumerate(parts)
    )
    return "".join(marked) if caption.strip() else "<i>empty</i>"


BINS, WIDTH, HEIGHT = 40, 400, 44


def _histogram(scores):
    """How CIDEr is spread over all pairs, as SVG; decoration, for its numbers are in words beside it."""
    top = max(scores) or 1.0
    counts = [0] * BINS
    for score in scores:
        counts[min(BINS - 1, int(BINS * score / top))] += 1
    step, most = WIDTH / BINS, max(counts)
    bars = "".join(
        f'<rect x="{step * place:.1f}" y="{HEIGHT - tall:.1f}" width="{step - 1.5:.1f}" height="{tall:.1f}" rx="1"/>'
        for place, count in enumerate(counts)
        if count and (tall := max(2.0, HEIGHT * count / most))
    )
    middle = times_100(sorted(scores)[len(scores) // 2])
    label = f"Of {len(scores):,} pairs, half have a CIDEr below {middle}; the highest is {times_100(top)}."
    return (
        f'<figure class="spread"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" '
        f'preserveAspectRatio="none">{bars}</svg><figcaption><span>0</span><span>CIDEr of all pairs, median {middle}'
        f"</span><span>{times_100(top)}</span></figcaption></figure>"
    )
