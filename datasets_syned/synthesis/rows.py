"""Rows of a part as they lie on disk: those of the result, those that were dropped, those that failed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.paths_in_text import OBJECT
from ..common.row import FEATURES

KEPT, DROPPED, FAILED = "kept", "dropped", "failed"
COLUMNS = FEATURES.arrow_schema.remove_metadata()
MADE = pa.struct(
    {"source_id": pa.string(), "variant": pa.int32(), "status": pa.string(), "by": pa.string(), "reason": pa.string()}
)
SCHEMA = COLUMNS.append(pa.field("made", MADE))
ROWS_TOGETHER = 16  # of a row group: Arrow reads no more than 2 GiB of images of one
STATS = b"synthesis"  # key of what a part's file says of it


@dataclass
class Outcome:
    """
    What became of a planned row.

    Args:
        planned (`dict`): its row of the plan.
        before, after (`bytes`, *optional*): image files; there may be none of a row that failed.
        captions (`list[str]`): the instruction and its paraphrases.
        scores (`dict[str, float]`): of the filters.
        status (`str`): kept, dropped or failed.
        by (`str`, *optional*): the filter that dropped it, or what failed: "source", "editor", a filter's name or
            "paraphraser".
        reason (`str`, *optional*): why.
    """

    planned: Mapping[str, Any]
    before: bytes | None = None
    after: bytes | None = None
    captions: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    status: str = KEPT
    by: str | None = None
    reason: str | None = None

    def end(self, status: str, by: str, reason: object) -> None:
        """Notes that nothing more is done for it."""
        self.status, self.by = status, by
        text = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}".rstrip(": ")
        self.reason = OBJECT.sub("", " ".join(text.split()))[:500]


@dataclass(frozen=True)
class Maker:
    """What provenance says of every edited row of a run: the editor, its settings, the versions of packages."""

    editor: str
    revision: str
    steps: int | None
    guidance: float | None
    image_guidance: float | None
    versions: Mapping[str, str]

    def of(self, outcome: Outcome) -> dict[str, Any]:
        """The provenance of a row."""
        planned = outcome.planned
        return {
            "editor": self.editor,
            "revision": self.revision,
            "seed": planned["seed"],
            "steps": self.steps,
            "guidance": self.guidance,
            "image_guidance": self.image_guidance,
            "instruction": planned["instruction"],
            "scores": [{"name": name, "value": float(value)} for name, value in outcome.scores.items()],
            "versions": [{"name": name, "version": version} for name, version in sorted(self.versions.items())],
        }


def part_file(outcomes: Sequence[Outcome], maker: Maker | None, stats: Mapping[str, Any]) -> bytes:
    """
    A Parquet file of all rows of a part.

    Args:
        outcomes (`Sequence[Outcome]`): in the order of the plan.
        maker ([`Maker`], *optional*): of the edited rows.
        stats (`dict`): what else there is to say of the part; read back by [`stats_of`].
    """
    rows = [
        {
            "id": one.planned["id"],
            "before": one.before and {"bytes": one.before, "path": None},
            "after": one.after and {"bytes": one.after, "path": None},
            "captions": one.captions,
            "category": one.planned["category"],
            "changed": True,
            "provenance": maker.of(one) if maker and one.planned["variant"] is not None else None,
            "made": {
                **{name: one.planned[name] for name in ("source_id", "variant")},
                **{name: getattr(one, name) for name in ("status", "by", "reason")},
            },
        }
        for one in outcomes
    ]
    schema = SCHEMA.with_metadata({STATS: json.dumps(stats).encode()})
    buffer = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer, row_group_size=ROWS_TOGETHER)
    return buffer.getvalue()


def stats_of(schema: pa.Schema) -> dict[str, Any]:
    """What a part's file says of the part."""
    return json.loads(schema.metadata[STATS])
