"""What the command writes: a file as a whole or not at all, the canvas of a pair, and where it changed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoImageProcessor
from transformers.utils import has_file
from transformers.utils.peft_utils import find_adapter_config_file

from ..attribution.overlay import overlay
from ..attribution.relevance import relevance_maps
from ..image_processing_blip2idc import make_canvas
from ..image_utils_blip2idc import load_image
from ..loading.load import base_of, check_folder, plain_errors
from ..processing_blip2idc import Blip2IDCProcessor
from .pairs import WrongUse

GAP = 4  # pixels between the two images of a heat map


def check_outputs(files: dict[str, str | None], pictures: tuple[str, ...] = ()) -> None:
    """
    Refuse what cannot be written before the work begins.

    Args:
        files (`dict[str, str]`): what the options name, by option.
        pictures (`tuple[str, ...]`, *optional*): the options that name a picture.
    """
    for option, name in files.items():
        if name is None:
            continue
        path = Path(name)
        if path.is_dir():
            raise WrongUse(f"{option} {name} is a folder: name a file")
        if not path.parent.is_dir():
            raise WrongUse(f"{option} {name}: there is no folder {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise WrongUse(f"{option} {name}: you may not write there")
        if option in pictures and Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
            raise WrongUse(f"{option} {name} is not the name of a picture, such as {path.stem}.png")


@contextmanager
def replacing(path: str | os.PathLike, keep: bool = False) -> Iterator[Path]:
    """A file beside `path` to write to, which replaces it at the end; after an error it stays only with `keep`."""
    path = Path(path)
    if path.exists() and not path.is_file():  # a device or a pipe
        yield path
        return
    path = path.resolve()
    beside = path.with_stem(f"{path.stem}.partial")
    try:
        yield beside
        beside.replace(path)
    except BaseException:
        if not keep:
            beside.unlink(missing_ok=True)
        raise


def write_canvas(
    before: Any,
    after: Any,
    out: str | os.PathLike,
    model_id: str | os.PathLike | None = None,
    revision: str | None = None,
) -> tuple[Image.Image, str]:
    """
    Write the canvas of two images as a PNG. Its pixels are those that the model's own processor rescales and
    normalises: a stock BLIP-2 processor, which finds nothing to resize, makes the same `pixel_values` of it.

    Args:
        before, after (image): anything that `load_image` reads.
        out (`str` or `os.PathLike`): the picture, a `.png`.
        model_id (`str` or `os.PathLike`, *optional*):
            Hub id or folder of the model or adapter whose canvas it is, by default the embedded model's. Its weights
            are not read.
        revision (`str`, *optional*): branch, tag or commit on the Hub.

    Returns:
        `tuple`: the canvas, and its axis, `"vertical"` or `"horizontal"`.
    """
    if Path(out).suffix.lower() != ".png":
        raise WrongUse(f"{out}: the canvas is written as a .png; other formats would change its pixels.")
    check_outputs({"OUT.png": os.fspath(out)})
    model_id = check_folder(model_id)
    with plain_errors(model_id):
        adapter_file = find_adapter_config_file(model_id, revision=revision)
        if adapter_file is not None and not has_file(model_id, "processor_config.json", revision):
            model_id, revision = base_of(model_id, adapter_file)
        image_processor = AutoImageProcessor.from_pretrained(model_id, revision=revision or "main")
        options, _ = Blip2IDCProcessor.get_processor_dict(model_id, revision=revision or "main")
    axis, draft = options.get("concat_axis", "vertical"), options.get("draft", False)
    canvas, _ = make_canvas(before, after, image_processor.size, axis, draft, image_processor.resample)
    with replacing(out) as beside:
        canvas.save(beside)
    return canvas, axis


def write_heatmap(pipe: Any, before: Any, after: Any, said: dict[str, Any], out: str | os.PathLike) -> None:
    """
    Draw where it changed: both images side by side under their relevance maps. Where the caption says that nothing
    did, the images are drawn as they are: a map has a highest point even where next to nothing is relevant.
    """
    images = tuple(load_image(image) for image in (before, after))
    if said["changed"]:
        (maps,) = relevance_maps(pipe.model, pipe.processor, images, captions=[said["generated_text"]])
        images = [overlay(*each) for each in zip(images, (maps.before, maps.after), strict=True)]
    width, height = sum(image.width for image in images) + GAP, max(image.height for image in images)
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(images[0])
    sheet.paste(images[1], (images[0].width + GAP, 0))
    with replacing(out) as beside:
        sheet.save(beside)
