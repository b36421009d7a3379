"""What a run would make and cost."""

import time
from collections.abc import Mapping
from datetime import timedelta

from ..common.row import NO_CHANGE
from ..common.seeds import seed_of
from .editors import EditError, load_editor
from .images import opened
from .plan import plan_parts
from .settings import Settings
from .sources import SceneSource, Source, load_source

MEASURED = 2  # calls of the editor; the first one warms up
SIDE = 512  # pixels of an image to measure with, where the source has none at hand


def dry_run(settings: Settings, rate: float | None = None) -> str:
    """
    Plans a run and says what it costs. Nothing is written; of the models, the editor is loaded if the rate is to be
    measured and it can be had.

    Args:
        settings ([`Settings`]): of the run.
        rate (`float`, *optional*): images per second of one process. By default two calls are measured.

    Returns:
        `str`: lines for a terminal.

    Raises:
        ValueError: a source cannot be had.
    """
    lines, sources, images, same, asked = [], {}, 0, 0, 0
    for name, split in settings.splits.items():
        known = split.published is not None and not split.source.get("data_dir")  # they might be gigabytes to download
        if known:
            planned = min(split.published, split.limit or split.published)
        else:
            sources[name] = load_source(split.source)
            rows = [row for part in plan_parts(settings, name, sources[name]) for row in part]
            planned = len({row["source_id"] for row in rows})
            same += sum(row["category"] == NO_CHANGE and row["variant"] is not None for row in rows)
        made, references = planned * split.variants, planned * max(1, split.variants) * (1 + split.paraphrases)
        what = f"{planned:,} images x {split.variants} variants = {made:,} pairs"
        what = what if split.variants else f"{planned:,} pairs of the source"
        what += f", x (1 + {split.paraphrases}) = {references:,} references" if split.paraphrases else ""
        lines.append(f"{name}: {what}")
        if known:
            lines.append("  (as published; --data_dir counts the files)")
        elif split.published not in (None, planned) and split.limit is None:
            lines.append(f"  ({split.published:,} were published; {planned:,} are there)")
        images, asked = images + made, asked + planned * split.paraphrases
    images -= same
    lines.append(f"to make: {images:,} images with {settings.editor}" if images else "to make: no image")
    lines += [f"to move a little: {same:,} unchanged images"] if same else []
    lines += [f"to ask for: {asked:,} paraphrases of {settings.paraphraser}"] if asked else []
    lines += [_time(settings, sources, images, rate)] if images else []
    return "\n".join(lines)


def _time(settings: Settings, sources: Mapping[str, Source], images: int, rate: float | None) -> str:
    said = "as given"
    if rate is None:
        try:
            rate, said = _measured(settings, sources), "as measured here"
        except (ValueError, RuntimeError) as error:
            return f"time: not known, the rate was not measured ({' '.join(str(error).split())[:200]}); give --rate"
    if not rate > 0:
        raise ValueError(f"rate={rate!r} must be a number of images per second above 0")
    took = timedelta(seconds=round(images / rate))
    return f"time: {took} hours for one process, at {rate:.3g} images per second {said}"


def _measured(settings: Settings, sources: Mapping[str, Source]) -> float:
    """Images per second of the editor: variants of one image, the source's first or else a rendered one."""
    split = next(name for name, one in settings.splits.items() if one.variants)
    source = sources.get(split) or SceneSource(width=SIDE, height=SIDE)
    editor = load_editor(settings.editor, **settings.editor_options)
    editor.load()
    row = next(iter(source.rows()))
    image, _ = opened(source.read(row.index))
    count = min(settings.splits[split].variants, editor.batch_size)
    for _ in range(MEASURED):
        begin = time.perf_counter()
        found = editor.edit([image] * count, [row.instruction] * count, [seed_of(0, row.id, k) for k in range(count)])
        seconds = time.perf_counter() - begin
    if all(isinstance(one, EditError) for one in found):
        raise ValueError(f"the editor made nothing: {found[0]}")
    return count / seconds
