"""What the page does with pairs of images, many people's at a time; without gradio."""

import os
import re
import sys
import uuid
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from ..attribution.overlay import overlay
from ..attribution.relevance import RelevanceMaps, relevance_maps
from ..image_utils_blip2idc import ImageLoadError, load_image
from ..loading.load import load_idc, public_name
from ..pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline
from .batches import Batches

EMBEDDED_MODEL = "mini (embedded)"
MAX_BYTES, MAX_PIXELS = 20_000_000, 50_000_000  # of each image
SHOWN = 1024  # longest side in pixels of what is drawn, and of what the model sees
MAX_SCANS = 40
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # Pillow knows others that run programs
SAME_SHAPE = 0.01  # difference of the logarithms of the aspect ratios that nobody sees
JPEG = {"format": "JPEG", "quality": 90, "subsampling": 0}
GROUND = (128, 128, 128)
# Of 50 megapixels with transparency, one image takes 0.8 GB while it is read, and each thread keeps some of that.
_READERS = ThreadPoolExecutor(2, thread_name_prefix="read_image")


class CaptionError(RuntimeError):
    """No caption, because of the model. The message is for the person who asked."""


@dataclass(frozen=True)
class Answer:
    """
    What a model says of a pair.

    Args:
        model (`str`): its name.
        caption (`str`): what changed.
        confidence (`float`): the pipeline's score, in (0, 1].
        changed (`bool`): whether the caption reports a change.
        images (`tuple` of two `PIL.Image.Image`): before and after as they are shown.
        maps ([`~attribution.relevance.RelevanceMaps`], *optional*): where it changed; `None` where nothing did.
    """

    model: str
    caption: str
    confidence: float
    changed: bool
    images: tuple[Image.Image, Image.Image]
    maps: RelevanceMaps | None

    def as_json(self) -> dict[str, Any]:
        """The answer without its pictures."""
        return {key: getattr(self, key) for key in ("caption", "confidence", "changed", "model")}

    def heat(self) -> list[Image.Image]:
        """Both images under their maps; none where nothing changed."""
        if self.maps is None:
            return []
        return [overlay(image, on) for image, on in zip(self.images, (self.maps.before, self.maps.after), strict=True)]


class Captioners:
    """
    The models that the page offers. Each is loaded when somebody first asks for it, and kept. What asks while one is
    at work goes through it together.

    Args:
        models (`Iterable[str]`, *optional*, defaults to `()`):
            Hub ids or folders of models or adapters. The embedded model is offered behind them.
        device (`str`, *optional*):
            Where they run; by default a GPU if there is one.
        max_batch_size (`int`, *optional*, defaults to 32):
            Pairs at a time.
    """

    def __init__(self, models: Iterable[str] = (), device: str | None = None, max_batch_size: int = 32):
        self._device = device
        self._batches: dict[str, Batches] = {}
        for model in (*dict.fromkeys(models), None):
            # of a folder, the page shows the name only
            name = base = EMBEDDED_MODEL if model is None else public_name(model)
            count = 1
            while name in self._batches:
                count += 1
                name = f"{base} ({count})"
            self._batches[name] = Batches(partial(self._answer, name, model, []), max_batch_size)

    @property
    def names(self) -> list[str]:
        """What the models are called, the one that is used by default first."""
        return list(self._batches)

    def __call__(self, before: str | None, after: str | None, name: str | None = None) -> Answer:
        """
        Say what changed; to be called from many threads.

        Args:
            before, after (`str`): paths of the images.
            name (`str`, *optional*): of the model, one of `names`; by default the first.

        Returns:
            [`Answer`]

        Raises:
            `ImageLoadError`: if an image cannot be used; [`CaptionError`] if the model cannot.
        """
        name = name or self.names[0]
        if name not in self._batches:
            raise CaptionError(f"There is no model {name} here, only {', '.join(self.names)}.")
        return self._batches[name]((read_image(before, "before"), read_image(after, "after")))

    def _answer(self, name: str, model: str | None, loaded: list, pairs: list) -> list[Answer | CaptionError]:
        """Answers of one model, in its own thread; `loaded` holds its pipeline from the first time on."""
        try:
            if not loaded:
                loaded.append(_load(model, self._device))
        except Exception as error:  # damaged files make the libraries fail in many ways
            if model is not None and os.path.isdir(model):  # its message may name other places of this machine
                print(f"{model}: {error!r}", file=sys.stderr)
                return [CaptionError(f"The model {name} cannot be loaded; the server's log says why.")] * len(pairs)
            return [CaptionError(f"The model {name} cannot be loaded: {_public(error, model, name)}")] * len(pairs)
        try:
            return describe(loaded[0], pairs, name)
        except RuntimeError as error:  # such as a GPU without memory for so many
            if len(pairs) == 1:
                return [CaptionError(f"The model {name} failed: {_public(error, model, name)}")]
            return [self._answer(name, model, loaded, [pair])[0] for pair in pairs]


def _load(model: str | None, device: str | None) -> Callable:
    captioner, processor = load_idc(model)
    return ImageDifferenceCaptioningPipeline(model=captioner, processor=processor, task=TASK, device=device)


def _public(error: Exception, model: str | None, name: str) -> str:
    """A message on one line, without the folder of the model."""
    message = " ".join(str(error).split())[:500]
    return message.replace(model, name) if model else message


def describe(pipe: Callable, pairs: Sequence[tuple[Image.Image, Image.Image]], name: str) -> list[Answer]:
    """
    Caption pairs, and find where it changed.

    Args:
        pipe ([`ImageDifferenceCaptioningPipeline`]): with the model.
        pairs (`Sequence` of two `PIL.Image.Image` each): go through the model together.
        name (`str`): of the model.

    Returns:
        `list[Answer]`: one per pair.
    """
    said = [best for best, *_ in pipe(list(pairs), batch_size=len(pairs))]
    # a map has a highest point even where next to nothing is relevant
    some = [i for i, best in enumerate(said) if best["changed"] and best["generated_text"].strip()]
    captions = [said[i]["generated_text"] for i in some]
    found = relevance_maps(
        pipe.model, pipe.processor, [pairs[i] for i in some], captions, batch_size=len(pairs), fast=True
    )
    maps = dict(zip(some, found, strict=True))
    return [
        Answer(name, best["generated_text"], round(best["score"], 4), best["changed"], pair, maps.get(i))
        for i, (best, pair) in enumerate(zip(said, pairs, strict=True))
    ]


def read_image(path: str | os.PathLike | None, side: str) -> Image.Image:
    """
    Read an image that somebody sent. Its size is checked before its pixels are decoded.

    Args:
        path (`str` or `os.PathLike`, *optional*): the file.
        side (`str`): what messages call it, `"before"` or `"after"`.

    Returns:
        `PIL.Image.Image`: upright, RGB, and no longer than `SHOWN` pixels on either side.

    Raises:
        `ImageLoadError`: if it is missing, larger than the limits or no image; without the path.
    """
    if not path:
        raise ImageLoadError(f"The {side} image is missing: choose two images.")
    name = f"The {side} image {Path(path).name}"
    return _READERS.submit(_read, path, name).result()


def _read(path: str | os.PathLike, name: str) -> Image.Image:
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise ImageLoadError(f"{name} has {os.path.getsize(path) / 1e6:.2f} MB; {_LIMITS}")
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageLoadError(f"{name} is not there any more: choose it again.") from error
    Image.init()
    formats = [one for one in FORMATS if one in Image.OPEN]
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            opened = Image.open(BytesIO(content), formats=formats)
    except Image.DecompressionBombError as error:
        raise ImageLoadError(f"{name} has far too many pixels; {_LIMITS}") from error
    except Exception as error:  # Pillow's readers raise nearly anything on damaged headers
        raise ImageLoadError(
            f"{name} is damaged, or not an image: choose a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file."
        ) from error
    with opened:
        if opened.width * opened.height > MAX_PIXELS:
            millions = opened.width * opened.height / 1e6
            raise ImageLoadError(f"{name} has {opened.width} x {opened.height} = {millions:.2f} megapixels; {_LIMITS}")
        if opened.format in ("JPEG", "MPO") and (scans := jpeg_scans(content)) > MAX_SCANS:
            raise ImageLoadError(f"{name} is a JPEG of {scans} scans, and would take minutes to read: save it anew.")
        opened.draft(None, (SHOWN, SHOWN))  # of a JPEG, decode no more than is needed
        image = load_image(opened, name)
        image.thumbnail((SHOWN, SHOWN), reducing_gap=2.0)
    return image


def jpeg_scans(content: bytes) -> int:
    """
    Number of passes over its pixels that a JPEG consists of. A progressive one has about ten. The standard sets no
    limit, one more takes a few bytes, and each costs the time of the whole image (ITU-T T.81, annexes B and G).

    Args:
        content (`bytes`): the file.

    Returns:
        `int`: number of scans, of the first image if there are more.
    """
    scans, place = 0, 2
    while (found := _MARKER.search(content, place)) and found[0] != b"\xff\xd9":
        scans += found[0] == b"\xff\xda"
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
    return scans


_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # of a segment, or the end; none occurs in a scan's data
_LIMITS = f"the limits are {MAX_BYTES // 10**6} MB and {MAX_PIXELS // 10**6} megapixels for each image."


def same_frame(before: Image.Image, after: Image.Image) -> tuple[Image.Image, Image.Image]:
    """
    Two images in one size, to swipe one against the other.

    Args:
        before, after (`PIL.Image.Image`): RGB.

    Returns:
        `tuple`: the same place in both at the same place. Images of one shape are scaled to the larger one; others
        are put in the middle of a gray frame that holds both.
    """
    if before.size == after.size:
        return before, after
    width, height = (max(sides) for sides in zip(before.size, after.size, strict=True))
    ratios = [image.width / image.height for image in (before, after)]
    if max(ratios) / min(ratios) < 1 + SAME_SHAPE:
        return before.resize((width, height)), after.resize((width, height))
    return tuple(ImageOps.pad(image, (width, height), color=GROUND) for image in (before, after))


def write_images(images: Sequence[Image.Image], folder: str | os.PathLike) -> list[str]:
    """Write images as new files of a folder, which is made if there is none; returns their paths."""
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, f"{uuid.uuid4().hex}.jpg") for _ in images]
    for image, path in zip(images, paths, strict=True):
        image.save(path, **JPEG)
    return paths
