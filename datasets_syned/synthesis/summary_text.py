"""What a run came to, for a terminal."""

from collections.abc import Mapping
from os import PathLike

from .run import Summary
from .tally import kind_of

SHOWN = 5  # reasons of failed rows


def summary_text(summary: Summary, out: str | PathLike) -> str:
    """Some lines about a run: what was kept, dropped and why, what failed and why, what is missing."""
    lines = []
    for split, tally in summary.splits.items():
        lines.append(f"{out}, {split}: {tally.kept:,} of {tally.rows:,} rows kept")
        if tally.dropped:
            lines.append(f"  dropped: {', '.join(f'{name} {count:,}' for name, count in tally.dropped.items())}")
        if said := tally.paraphrases:
            rejected = sum(said["rejected"].values())
            lines.append(f"  paraphrases: {said['kept']:,} of {said['asked']:,}; {rejected:,} rejected")
        lines += _failed(tally.failed)
    for stage, count in summary.missing.items():
        lines.append(
            f"{count:,} results of stage {stage} are missing: other processes are at it, or run the same command again"
        )
    if summary.failed:
        lines.append("select/*.parquet names each row; --retry_failed makes them again")
    elif any(tally.kept for tally in summary.splits.values()):
        lines.append(f'load_dataset("syned", "synthetic", data_dir="{out}")')
    elif summary.splits:
        lines.append("no row was kept; select/*.parquet says why of each")
    return "\n".join(lines) or f"{out}: all results of these stages are there"


def _failed(reasons: Mapping[str, int]) -> list[str]:
    lines = []
    for why, count in list(reasons.items())[:SHOWN]:
        example = ", such as" if count > 1 and kind_of(why) != why else ""
        lines.append(f"  failed: {count:,} rows{example}: {why}")
    if len(reasons) > SHOWN:
        lines.append(f"  failed: {sum(reasons.values()):,} rows in all, for {len(reasons)} reasons")
    return lines
