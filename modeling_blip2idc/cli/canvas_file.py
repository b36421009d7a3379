"""The canvas as a picture: what a client sends to a server that knows nothing of pairs."""

import os
from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor
from transformers.utils import has_file
from transformers.utils.peft_utils import find_adapter_config_file

from ..image_processing_blip2idc import CanvasGeometry, make_canvas
from ..loading.load import EMBEDDED, base_of, check_folder
from ..processing_blip2idc import Blip2IDCProcessor


def write_canvas(
    before: Any,
    after: Any,
    out: str | os.PathLike,
    model_id: str | os.PathLike | None = None,
    revision: str | None = None,
) -> CanvasGeometry:
    """
    Writes the canvas of two images as a PNG. Its pixels are those that the model's own processor rescales and
    normalises: a stock BLIP-2 processor, which finds nothing to resize, makes the same `pixel_values` of it.

    Args:
        before, after (image):
            Anything that `load_image` reads.
        out (`str` or `os.PathLike`):
            The picture, `.png`; one that is there is replaced.
        model_id (`str` or `os.PathLike`, *optional*):
            Hub id or folder of the model or adapter whose canvas it is, by default the embedded model's. Its weights
            are not read.
        revision (`str`, *optional*):
            Of it on the Hub.

    Returns:
        [`CanvasGeometry`]: where the two images lie.

    Raises:
        `ValueError`: if `out` is no `.png`; an [`ImageLoadError`] if an image cannot be used.
        `OSError`: if there is no such model, or `out` cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise ValueError(f"{out}: the canvas is written as a .png; other formats would change its pixels.")
    model_id = os.fspath(EMBEDDED if model_id is None else model_id)
    check_folder(model_id)
    adapter_file = find_adapter_config_file(model_id, revision=revision)
    if adapter_file is not None and not has_file(model_id, "processor_config.json", revision):
        model_id, revision = base_of(model_id, adapter_file)
    image_processor = AutoImageProcessor.from_pretrained(model_id, revision=revision or "main")
    options, _ = Blip2IDCProcessor.get_processor_dict(model_id, revision=revision or "main")
    axis, draft = options.get("concat_axis", "vertical"), options.get("draft", False)
    canvas, geometry = make_canvas(before, after, image_processor.size, axis, draft, image_processor.resample)
    canvas.save(out)
    return geometry


__all__ = ["write_canvas"]
