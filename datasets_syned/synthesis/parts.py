"""Makes a part of a split: reads its sources, edits, filters, paraphrases."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from PIL import Image

from ..common.paths_in_text import without_paths
from .editors.protocol import EditError, Editor
from .filters.candidate import Candidate
from .filters.protocol import Filter
from .images import as_rgb, encoded, opened
from .paraphrasers.protocol import Paraphraser
from .reasons import count_reasons
from .rows import DROPPED, FAILED, KEPT, Maker, Outcome, part_file
from .seeds import seed_of
from .settings import Settings
from .sources import Source, SourceError

PARAPHRASE = "paraphrase"  # in place of a variant, in a seed


class PartMaker:
    """
    Makes parts, one at a time. What goes wrong with a row is noted in it; the others of the part go on.

    Args:
        settings ([`Settings`]): of the run.
        sources (`dict[str, Source]`): by split.
        editor ([`Editor`], *optional*), paraphraser ([`Paraphraser`], *optional*), filters (`Sequence[Filter]`):
            what the settings name, loaded.
        package (`str`): version of this package, for the provenance.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Mapping[str, Source],
        editor: Editor | None = None,
        paraphraser: Paraphraser | None = None,
        filters: Sequence[Filter] = (),
        package: str = "",
    ):
        self.settings, self.sources, self.package = settings, sources, package
        self.editor, self.paraphraser, self.filters = editor, paraphraser, filters

    def make(self, split: str, planned: Sequence[Mapping[str, Any]]) -> tuple[Callable[[], bytes], dict[str, Any]]:
        """
        Makes the rows of a part. Encoding the images needs no model: it is left for another thread to do while the
        next part is edited.

        Args:
            split (`str`): which split.
            planned (`Sequence[dict]`): rows of the plan.

        Returns:
            `tuple[Callable, dict]`: what gives the Parquet file, see [`part_file`]; and what there is to say of it:
            how many rows were kept, dropped, failed and by what, rejected paraphrases, seconds that the
            editor took.
        """
        outcomes = [Outcome(row) for row in planned]
        befores = self._read(split, outcomes)
        afters, seconds = self._edit(split, outcomes, befores)
        candidates = self._candidates(outcomes, befores, afters)
        self._filter(candidates)
        said = self._paraphrase(split, outcomes)
        failed = Counter()  # without paths; each row's own reason has them
        reasons = Counter(f"{one.by}: {without_paths(one.reason)}" for one in outcomes if one.status == FAILED)
        count_reasons(failed, reasons)
        stats = {
            "rows": len(outcomes),
            KEPT: sum(one.status == KEPT for one in outcomes),
            DROPPED: dict(Counter(one.by for one in outcomes if one.status == DROPPED)),
            FAILED: dict(failed),
            "edited": sum(one.planned["variant"] is not None and one.planned["id"] in afters for one in outcomes),
            "editor_seconds": round(seconds, 3),
            "paraphrases": said,
        }
        kept = {name: value for name, value in stats.items() if name != "editor_seconds"}  # the same every time

        def pack() -> bytes:
            for one in outcomes:
                image = afters.get(one.planned["id"])
                if image is not None and one.after is None:
                    one.after = encoded(image, self.settings.image_format)
            return part_file(outcomes, self._maker(), kept)

        return pack, stats

    def _maker(self) -> Maker | None:
        if self.editor is None:
            return None
        given = {name: self.editor.parameters.get(name) for name in ("steps", "guidance", "image_guidance")}
        versions = {**self.editor.versions, "blip2idc": self.package}
        return Maker(self.editor.id, self.editor.revision, **given, versions=versions)

    def _read(self, split: str, outcomes: Sequence[Outcome]) -> dict[int, Image.Image]:
        """The images before the change, by place in the source: one object for all variants."""
        read: dict[int, tuple[Image.Image, bytes] | SourceError] = {}
        for one in outcomes:
            index = one.planned["source_index"]
            if index not in read:
                try:
                    read[index] = opened(self.sources[split].read(index))
                except SourceError as error:
                    read[index] = error
            if isinstance(read[index], SourceError):
                one.end(FAILED, "source", str(read[index]))
            else:
                one.before = read[index][1]
        return {index: found[0] for index, found in read.items() if not isinstance(found, SourceError)}

    def _edit(
        self, split: str, outcomes: Sequence[Outcome], befores: Mapping[int, Image.Image]
    ) -> tuple[dict[str, Image.Image], float]:
        """The images after the change, by id, and the seconds that the editor took."""
        afters, edited = {}, []
        for one in outcomes:
            if one.status == KEPT and one.planned["variant"] is not None:
                edited.append(one)
            elif one.status == KEPT:
                try:
                    afters[one.planned["id"]], one.after = opened(
                        self.sources[split].read(one.planned["source_index"], edited=True)
                    )
                except SourceError as error:
                    one.end(FAILED, "source", f"after the change: {error}")
        begin, rest = time.perf_counter(), iter(edited)
        while edited and (batch := list(islice(rest, self.editor.batch_size))):
            for one, image in zip(batch, self._edited(batch, befores), strict=True):
                try:
                    afters[one.planned["id"]] = _made(image)
                except Exception as error:  # of the editor, or of an image that it has not read yet
                    one.end(FAILED, "editor", str(error) if isinstance(error, EditError) else error)
        return afters, time.perf_counter() - begin

    def _edited(
        self, batch: Sequence[Outcome], befores: Mapping[int, Image.Image]
    ) -> Iterable[Image.Image | Exception]:
        """Edits a batch; where that fails as a whole, each of its rows."""

        def edit(rows: Sequence[Outcome]) -> list[Image.Image | EditError]:
            planned = [one.planned for one in rows]
            images = [befores[row["source_index"]] for row in planned]
            return self.editor.edit(images, [row["instruction"] for row in planned], [row["seed"] for row in planned])

        return _one_by_one(edit, batch)

    def _candidates(
        self, outcomes: Sequence[Outcome], befores: Mapping[int, Image.Image], afters: Mapping[str, Image.Image]
    ) -> list[tuple[Outcome, Candidate]]:
        """What filters look at. The source's own pairs are not for them to judge."""
        if not self.filters:
            return []
        found = []
        for one in outcomes:
            row = one.planned
            if one.status == KEPT and row["variant"] is not None:
                captions = (row["before_caption"], row["after_caption"])
                found.append(
                    (
                        one,
                        Candidate(
                            row["source_id"],
                            row["variant"],
                            befores[row["source_index"]],
                            afters[row["id"]],
                            row["instruction"],
                            captions if all(captions) else None,
                            one.scores,
                        ),
                    )
                )
        return found

    def _filter(self, candidates: list[tuple[Outcome, Candidate]]) -> None:
        for judge in self.filters:
            if not candidates:
                return
            verdicts = _one_by_one(judge.keep_batch, [candidate for _, candidate in candidates])
            for (one, _), verdict in zip(candidates, verdicts, strict=True):
                if isinstance(verdict, Exception):
                    one.end(FAILED, judge.name, verdict)
                elif isinstance(verdict, tuple):
                    one.end(DROPPED, judge.name, verdict[1])
                elif verdict is not True:
                    one.end(FAILED, judge.name, f"{verdict!r} is no verdict: it must be True, or False with a reason")
            candidates = [each for each in candidates if each[0].status == KEPT]

    def _paraphrase(self, split: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Gives the rows that are left their captions; returns what became of the paraphrases."""
        count, rows = self.settings.splits[split].paraphrases, {}
        for one in outcomes:
            one.captions = [one.planned["instruction"]]
            if one.status == KEPT and count:
                rows.setdefault(one.planned["source_id"], []).append(one)
        if not rows:
            return {}

        def ask(sources: Sequence[str]) -> list:
            instructions = [rows[source][0].planned["instruction"] for source in sources]
            seeds = [seed_of(self.settings.seed, source, PARAPHRASE) for source in sources]
            return self.paraphraser.paraphrase(instructions, count, seeds)

        said = {"asked": 0, "kept": 0, "attempts": 0, "rejected": []}
        for source, found in zip(rows, _one_by_one(ask, list(rows)), strict=True):
            if isinstance(found, Exception):
                for one in rows[source]:
                    one.end(FAILED, "paraphraser", found)
                continue
            for one in rows[source]:
                one.captions += found.kept
            said["asked"] += count
            said["kept"] += len(found.kept)
            said["attempts"] += found.attempts
            said["rejected"] += [{"source_id": source, "text": text, "rule": rule} for text, rule in found.rejected]
        return said


def _made(result: Any) -> Image.Image:
    """An editor's result as an image that can be judged and written. Raises what is wrong with it."""
    if isinstance(result, Exception):
        raise result
    if not isinstance(result, Image.Image):
        raise EditError(f"it gave back no image but {type(result).__name__}")
    result.load()
    if 0 in result.size:
        raise EditError(f"it gave back an image of {result.width}x{result.height} pixels")
    return result if result.mode == "RGB" else as_rgb(result)


def _one_by_one(ask: Callable[[Sequence], Sequence], batch: Sequence) -> list:
    """What is answered to a batch; if that raises, to each of it, or what was raised of it alone."""
    try:
        answers = list(ask(batch))
        if len(answers) != len(batch):
            raise ValueError(f"it gave back {len(answers)} answers, not {len(batch)}")
        return answers
    except Exception as error:
        if len(batch) == 1:
            return [error]
    return [answer for each in batch for answer in _one_by_one(ask, [each])]
