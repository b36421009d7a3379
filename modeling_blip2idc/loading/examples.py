"""The six bundled pairs, and how they are shown with their captions."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..pipeline_blip2idc import normalize_caption

EXAMPLES = Path(__file__).parents[1] / "examples"


def load_examples(folder: str | Path = EXAMPLES) -> list[dict]:
    """The lines of `references.jsonl` in a folder (`id`, `category`, `changed`, `captions`, images) as rows."""
    folder = Path(folder)
    lines = (folder / "references.jsonl").read_text(encoding="utf-8").splitlines()
    examples = [json.loads(line) for line in lines if line.strip()]
    return [{**example, **{side: str(folder / example[side]) for side in ("before", "after")}} for example in examples]


def caption_examples(pipe: Callable, examples: list[dict], **kwargs) -> Iterator[dict]:
    """
    Caption pairs that have references.

    Args:
        pipe ([`ImageDifferenceCaptioningPipeline`]): the pipeline.
        examples (`list[dict]`): as from [`load_examples`].
        kwargs: for the call of the pipeline, such as `batch_size`.

    Yields:
        `dict`: each example with the pipeline's `generated_text`, `score` and `changed` (the example's own flag then
        is `truly_changed`), and `exact_reference`: the reference that the caption equals, case and punctuation aside,
        or `None`.
    """
    results = pipe(((example["before"], example["after"]) for example in examples), **kwargs)
    for example, (best, *_) in zip(examples, results, strict=True):
        said = normalize_caption(best["generated_text"])
        exact = next((text for text in example["captions"] if normalize_caption(text) == said), None)
        yield {**example, "truly_changed": example["changed"], **best, "exact_reference": exact}


def nearest_reference(row: dict) -> str:
    """The reference that shares most words with the caption: the one worth showing beside it."""

    def words(text: str) -> set[str]:
        return set(text.lower().split())

    said = words(row["generated_text"])
    shared = {text: len(words(text) & said) / max(len(words(text) | said), 1) for text in row["captions"]}
    return row["exact_reference"] or max(shared, key=shared.get)


def table(rows: Iterable[dict]) -> Iterator[str]:
    """Lines of a text table of rows as from [`caption_examples`], each as soon as its pair is captioned."""
    yield f"{'change':<8} {'score':>5}  caption; below it the nearest reference, '=' if it is the same"
    for row in rows:
        yield ""
        yield f"{row['category']:<8} {row['score']:>5.2f}  {row['generated_text']}"
        yield f"{'':<8} {'=' if row['exact_reference'] else '':>5}  {nearest_reference(row)}"
