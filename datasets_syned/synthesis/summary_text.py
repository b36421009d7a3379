"""What a run came to, for a terminal."""

from os import PathLike

from .reasons import kind_of
from .run import Summary

SHOWN = 5  # reasons of failed rows


def summary_text(summary: Summary, out: str | PathLike) -> str:
    """Some lines about a run: what was kept, dropped and why, what failed and why, what is missing."""
    lines = []
    for split, tally in summary.splits.items():
        lines.append(f"{out}, {split}: {tally.kept:,} of {tally.rows:,} rows kept")
        if tally.dropped:
            lines.append(f"  dropped: {', '.join(f'{name} {count:,}' for name, count in tally.dropped.most_common())}")
        if said := tally.paraphrases:
            lines.append(f"  paraphrases: {said['kept']:,} of {said['asked']:,}; {tally.rules.total():,} rejected")
        lines += _failed(tally.failed)
    if summary.lost.failed:
        lines += ["not written:", *_failed(summary.lost.failed)]
    if summary.images_per_second:
        lines.append(f"editor: {summary.images_per_second:.3g} images per second")
    if summary.missing:
        lines.append(f"{summary.missing:,} rows are missing: other processes are at it, or run the same command again")
    elif summary.failed:
        lines.append("exclusions.jsonl names each row; --retry_failed makes them again")
    elif not any(tally.kept for tally in summary.splits.values()):
        lines.append("no row was kept; exclusions.jsonl says why of each")
    else:
        lines.append(f'load_dataset("syned", "synthetic", data_dir="{out}")')
    return "\n".join(lines)


def _failed(reasons) -> list[str]:
    lines = []
    for why, count in reasons.most_common(SHOWN):
        example = ", such as" if count > 1 and kind_of(why) != why else ""
        lines.append(f"  failed: {count:,} rows{example}: {why}")
    if len(reasons) > SHOWN:
        lines.append(f"  failed: {sum(reasons.values()):,} rows in all, for {len(reasons)} reasons")
    return lines
