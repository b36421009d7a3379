"""When a model says that it is not sure: below the score at which it is wrong more often than right."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..loading.load import load_idc
from ..pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline


def find_threshold(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """
    The score where isotonic regression of `right` on `scores` crosses one half. Below it fewer than half of the pairs
    are right, and no other threshold tells right from wrong for more pairs; of several the lowest. It lies halfway
    between the scores of two pairs. `None` if there is none, as for a model that is right at least half of the time
    however low its score.
    """
    order = np.argsort(scores, kind="stable")
    ranked = np.asarray(scores, float)[order]
    gained = np.cumsum(1 - 2 * np.asarray(right, int)[order])  # by not being sure of the first 1, 2, ... pairs
    gained[:-1][ranked[:-1] == ranked[1:]] = 0  # equal scores cannot be told apart
    last = int(gained.argmax()) if len(gained) else 0
    if not len(gained) or gained[last] <= 0:
        return None
    return float((ranked[last] + [*ranked, 1.0][last + 1]) / 2)


def calibrate(folder: Path, scores: Sequence[float], right: Sequence[bool]) -> None:
    """Writes the threshold that pairs of an evaluation split give into the `config.json` of a saved model."""
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) | {"not_sure_below": find_threshold(scores, right)}
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def sureness(threshold: float | None, scores: Sequence[float], right: Sequence[bool]) -> dict[str, Any]:
    """How often a model is right where it is sure and where it is not, as `report.json` has it; empty without both."""
    if threshold is None or not scores:
        return {}
    sure, right = np.asarray(scores) >= threshold, np.asarray(right)
    shares = {"right_below": right[~sure], "right_above": right[sure]}
    found = {name: float(part.mean()) if part.size else None for name, part in shares.items()}
    return {"sureness": {"not_sure_below": threshold, "pairs_below": int((~sure).sum()), **found}}


def sureness_of(folder: Path, judged: Callable) -> dict[str, Any]:
    """[`sureness`] of a saved model on pairs that `judged` returns, which is not called without a threshold."""
    threshold = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("not_sure_below")
    return {} if threshold is None else sureness(threshold, *judged())


def judge(folder: Path, rows: Any, is_right: Callable, device: Any = None) -> tuple[list[float], list[bool]]:
    """
    The pipeline's scores of the captions of rows, and which captions are right, as `is_right(captions, rows)` says;
    nothing of rows for which it returns nothing.
    """
    pipe = ImageDifferenceCaptioningPipeline(*load_idc(folder), task=TASK, device=device)
    said = [best for best, *_ in pipe(((row["before"], row["after"]) for row in rows), batch_size=32)]
    right = is_right([best["generated_text"] for best in said], rows)
    return ([best["score"] for best in said], right) if right else ([], [])


__all__ = ["calibrate", "find_threshold", "judge", "sureness", "sureness_of"]
