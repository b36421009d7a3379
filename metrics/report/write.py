"""A report as files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .gallery import gallery_page
from .markdown import report_markdown


def write_report(folder: str | os.PathLike, report: Mapping[str, Any], rows: Any = None, gallery: int = 200) -> None:
    """
    Writes report.json, report.md and, with images, gallery.html.

    Args:
        folder (`str` or `os.PathLike`): where; it is made if there is none. Files of that name are replaced.
        report (`dict`): of [`build_report`]. With the key `seeds` (of [`summarize_seeds`]), report.md has their
            section. `pairs` go into the gallery, not into report.json.
        rows (*optional*): the pairs in the report's order: anything with `rows[i]` a dict that has `before` and
            `after` (`PIL.Image.Image`), such as a `datasets.Dataset`. Without them, or with `gallery=0`, there is no
            gallery.html, and one of an earlier report is removed.
        gallery (`int`, *optional*, defaults to 200): how many pairs the gallery shows at most: half of them those of
            the lowest CIDEr, half those of the highest.

    Raises:
        ValueError: `rows` are not as many as the pairs; an image cannot be read.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {name: value for name, value in report.items() if name != "pairs"}
    _replace(folder / "report.json", json.dumps(numbers, indent=1, ensure_ascii=False) + "\n")
    _replace(folder / "report.md", report_markdown(report))
    if rows is not None and gallery > 0:
        _replace(folder / "gallery.html", gallery_page(report, rows, gallery))
    else:
        (folder / "gallery.html").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    partial = Path(f"{path}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
