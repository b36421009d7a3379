"""Reports of captions that were scored: numbers, tables to read, and a gallery of the pairs."""

from .build import build_report
from .curves import draw_curves
from .predictions import match_predictions, read_predictions, write_predictions
from .seeds import seeds_markdown, summarize_seeds
from .write import write_report

__all__ = [
    "build_report",
    "draw_curves",
    "match_predictions",
    "read_predictions",
    "seeds_markdown",
    "summarize_seeds",
    "write_predictions",
    "write_report",
]
