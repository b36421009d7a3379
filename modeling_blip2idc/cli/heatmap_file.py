"""Where it changed, as a picture: both images side by side under their relevance maps."""

import os
from pathlib import Path
from typing import Any

from PIL import Image

from ..attribution.overlay import overlay
from ..attribution.relevance import relevance_maps
from ..image_utils_blip2idc import load_image

GAP = 4  # pixels between the two
FORMATS = (".png", ".jpg", ".jpeg", ".webp")


def write_heatmap(pipe: Any, before: Any, after: Any, out: str | os.PathLike) -> dict[str, Any]:
    """
    Captions a pair and draws where it changed. Where the caption says that nothing did, the images are drawn as they
    are: a map has a highest point even where next to nothing is relevant.

    Args:
        pipe ([`ImageDifferenceCaptioningPipeline`]):
            With the model.
        before, after (image):
            Anything that `load_image` reads.
        out (`str` or `os.PathLike`):
            The picture: .png, .jpg or .webp.

    Returns:
        `dict`: what the pipeline says of the pair: `generated_text`, `score`, `changed`.

    Raises:
        `ValueError`: if `out` is no picture; an [`ImageLoadError`] if an image cannot be used.
        `OSError`: if `out` cannot be written.
    """
    if Path(out).suffix.lower() not in FORMATS:
        raise ValueError(f"{os.fspath(out)}: a heat map is written as one of {', '.join(FORMATS)}")
    (said,) = pipe((before, after))
    images = tuple(load_image(image) for image in (before, after))
    if said["changed"]:
        (maps,) = relevance_maps(pipe.model, pipe.processor, images, captions=[said["generated_text"]])
        images = [overlay(*each) for each in zip(images, (maps.before, maps.after), strict=True)]
    width, height = sum(image.width for image in images) + GAP, max(image.height for image in images)
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(images[0], (0, 0))
    sheet.paste(images[1], (images[0].width + GAP, 0))
    sheet.save(out)
    return said


__all__ = ["write_heatmap"]
