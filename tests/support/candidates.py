"""Pairs for filters to look at: rendered scenes, and plain colours."""

from collections.abc import Sequence

from PIL import Image

from datasets_syned.scenes import make_pair
from datasets_syned.synthesis.filters import Filter, Verdict, judge
from datasets_syned.synthesis.filters.protocol import DIGITS, Candidate

VARIANTS = 8


def scene(index: int, captions: bool = True, **options) -> Candidate:
    """A rendered pair as a candidate; the source's captions are made up from the objects."""
    pair = make_pair(0, "train", index, **options)
    sides = pair.before_objects, pair.after_objects
    said = tuple(", ".join(f"{thing['color']} {thing['shape']}" for thing in side) for side in sides)
    images = Image.fromarray(pair.before), Image.fromarray(pair.after)
    return Candidate(pair.id, 0, *images, pair.captions[0], said if captions else None)


def variants(index: int, count: int = VARIANTS) -> list[Candidate]:
    """`count` edits of one source, that share the image before."""
    first = scene(index)
    others = [scene(100 + i) for i in range(count)]
    return [
        Candidate(first.source_id, i, first.before, other.after, other.instruction, (first.captions[0], f"{i} red"))
        for i, other in enumerate(others)
    ]


def solid(color, size=(64, 48), mode="RGB") -> Image.Image:
    return Image.new("RGB", size, color).convert(mode)


def with_patch(image: Image.Image, box: tuple[int, int, int, int], color="red") -> Image.Image:
    image = image.copy()
    image.paste(color, box)
    return image


def keep_batch(one: Filter, rows: Sequence[Candidate]) -> list[Verdict]:
    """The verdicts of one filter; leaves the score of each row, as a number, in `row.scores`."""
    sources, verdicts = {}, {}
    for row, score in zip(rows, one.measure(rows), strict=True):
        score = score if isinstance(score, list) else round(score, DIGITS)
        sources.setdefault(row.source_id, {})[row.variant] = {one.name: score}
    for name, scores in sources.items():
        verdicts |= {(name, variant): found for variant, found in judge([one], scores).items()}
    for row in rows:
        row.scores = getattr(row, "scores", {}) | verdicts[row.source_id, row.variant][0]
    found = [verdicts[row.source_id, row.variant] for row in rows]
    return [True if by is None else (False, why) for _, by, why in found]


def keep(one: Filter, row: Candidate) -> Verdict:
    return keep_batch(one, [row])[0]
