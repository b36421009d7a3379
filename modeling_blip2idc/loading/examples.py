"""`blip2idc demo`: the six bundled pairs, captioned."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def load_examples(folder: str | Path = EXAMPLES) -> list[dict]:
    """
    Pairs with their references.

    Args:
        folder (`str` or `Path`, *optional*, defaults to the bundled examples):
            Holds `references.jsonl`, a line per pair with `id`, `category`, `changed`, `before` and `after` (file
            names in the folder) and `captions`, and the images.

    Returns:
        `list[dict]`: the lines, with `before` and `after` as paths.
    """
    folder = Path(folder)
    lines = (folder / "references.jsonl").read_text(encoding="utf-8").splitlines()
    examples = [json.loads(line) for line in lines if line.strip()]
    return [{**example, **{side: str(folder / example[side]) for side in ("before", "after")}} for example in examples]


def caption_examples(pipe: Callable, examples: list[dict], **kwargs) -> Iterator[dict]:
    """
    Caption pairs that have references.

    Args:
        pipe ([`ImageDifferenceCaptioningPipeline`]):
            The pipeline.
        examples (`list[dict]`):
            As from [`load_examples`].
        kwargs:
            For each call of the pipeline, such as `batch_size`.

    Yields:
        `dict`: each example with the pipeline's `generated_text`, `score` and `changed` (the example's own flag then
        stands under `truly_changed`), and `exact_reference`: the reference that the caption equals, case and
        punctuation aside, or `None`.
    """
    from ..pipeline_blip2idc import normalize_caption

    results = pipe(((example["before"], example["after"]) for example in examples), **kwargs)
    for example, captions in zip(examples, results, strict=True):
        best = captions[0]
        said = normalize_caption(best["generated_text"])
        exact = next((text for text in example["captions"] if normalize_caption(text) == said), None)
        yield {**example, "truly_changed": example["changed"], **best, "exact_reference": exact}


def nearest_reference(row: dict) -> str:
    """The reference that shares most words with the caption: the one worth showing beside it."""
    said = set(row["generated_text"].lower().split())

    def overlap(reference: str) -> float:
        words = set(reference.lower().split())
        return len(words & said) / max(len(words | said), 1)

    return row["exact_reference"] or max(row["captions"], key=overlap)


def table(rows: Iterable[dict]) -> Iterator[str]:
    """
    Lines of a text table, each pair's as soon as it is captioned.

    Args:
        rows (`Iterable[dict]`):
            As from [`caption_examples`].

    Yields:
        `str`: a heading; then, for each pair, a line with the kind of change, the score and the caption, and one with
        the nearest reference.
    """
    yield f"{'change':<8} {'score':>5}  caption; below it the nearest reference, '=' if it is the same"
    for row in rows:
        yield ""
        yield f"{row['category']:<8} {row['score']:>5.2f}  {row['generated_text']}"
        yield f"{'':<8} {'=' if row['exact_reference'] else '':>5}  {nearest_reference(row)}"
