# SPDX-License-Identifier: Apache-2.0
"""Loading: whatever a person calls an image, as one upright RGB `PIL.Image.Image`."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from transformers.utils import is_torch_tensor

from .image_files_blip2idc import MAX_SECONDS, ImageLoadError, ImageTypeError, decoding, open_image, orientation

ACCEPTED = (
    "a PIL image, a path, an http(s) URL, the bytes of an image file, {'bytes': ..., 'path': ...}, a numpy array or "
    "a torch tensor"
)
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
UPRIGHT = dict(enumerate((0, 3, 1, 5, 4, 6, 2), 2))  # the `Image.Transpose` that undoes an EXIF orientation


def load_image(
    image: Any, name: str = "image", draft_size: tuple[int, int] | None = None, timeout: float = MAX_SECONDS
) -> Image.Image:
    """
    Load anything that is an image as an upright, opaque, 8-bit RGB image.

    `transformers.image_utils.load_image` drops the alpha channel, and clips 16-bit images. Here:

    - EXIF orientation is applied.
    - Transparency (alpha channel, transparent palette entry or colour key) is composited over white.
    - 16-bit greys (PIL `I;16*`, `uint16` arrays) are divided by 257 and rounded, so that 65535 becomes 255. Pillow
      itself reads 16-bit *colour* PNGs as 8-bit by keeping the high byte.
    - PIL modes `I` and `F` do not say what their range is, so the largest value decides: `I` up to 255 is 8-bit, up
      to 65535 is 16-bit; `F` up to 1 is [0, 1], up to 255 is 8-bit. Anything else is refused.
    - Of an animation the first frame is used; a PIL image that was moved to another frame gives that frame.

    Arrays and tensors are `(H, W)`, `(H, W, C)` or `(C, H, W)`, with C = 1 (grey), 3 (RGB) or 4 (RGBA); the last axis
    may also hold 2 (grey, alpha). Where both readings are possible, as in `(3, 5, 3)`, numpy arrays are channels-last
    and torch tensors channels-first. Values are `bool`, `uint8`, `uint16`, any other integer in 0..255, or floats in
    [0, 1] (rounded to the nearest of 256 levels).

    Args:
        image (`PIL.Image.Image`, `str`, `os.PathLike`, `bytes`, `dict`, `np.ndarray`, `torch.Tensor` or binary file):
            The image. A string is a path, an `http(s)://` URL or a `data:image/...` URI. A dictionary is the form of
            `datasets.Image(decode=False)`: `{"bytes": ..., "path": ...}`, bytes first.
        name (`str`, *optional*, defaults to `"image"`):
            What messages call the image, for example `"images[3] after"`.
        draft_size (`tuple[int, int]`, *optional*):
            `(height, width)` in pixels that is needed of the upright image. JPEG files, which can be decoded at 1/2,
            1/4 or 1/8 of their size at a fraction of the cost, are then decoded at the smallest of these sizes that
            is still at least as wide and as high. Only for what is opened here (path, URL, bytes, file): a PIL image
            belongs to the caller and is not put into another state.
        timeout (`float`, *optional*, defaults to 10.0):
            Seconds that the download of a URL may take in all.

    Returns:
        `PIL.Image.Image`: mode RGB. It may be the very object that was passed, if nothing had to change.

    Raises:
        `ImageLoadError`: a `ValueError` whose message names the image: no such file, a folder, not an image, damaged
            or truncated, beyond the limits of `SECURITY.md` or Pillow's decompression-bomb limit, empty, NaN or
            infinite, wrong shape or range, unsupported type, a URL that does not answer.
    """
    return load_image_and_size(image, name, draft_size, timeout)[0]


def load_image_and_size(
    image: Any, name: str = "image", draft_size: tuple[int, int] | None = None, timeout: float = MAX_SECONDS
) -> tuple[Image.Image, tuple[int, int]]:
    """As [`load_image`], with the `(height, width)` that the upright image has at full resolution."""
    if isinstance(image, Mapping):
        image, name = _from_dict(image, name)
    if isinstance(image, (str, os.PathLike)):
        return _decode(image, f"{name} {_shorten(os.fspath(image))}", draft_size, timeout)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _decode(image, f"{name} ({len(image)} bytes)", draft_size, timeout)
    if isinstance(image, Image.Image):
        with decoding(name):
            rgb = _to_rgb(image, name)
    elif callable(getattr(image, "read", None)):
        return _decode(image, f"{name} (file)", draft_size, timeout)
    elif is_torch_tensor(image) or hasattr(image, "__array__"):
        rgb = _to_rgb(_array_to_pil(image, name), name)
    else:
        what = "None" if image is None else f"a {type(image).__name__}"
        raise ImageTypeError(f"{name}: {what} is not an image. Give {ACCEPTED}.")
    return rgb, (rgb.height, rgb.width)


def _from_dict(image: Mapping, name: str) -> tuple[Any, str]:
    if "before" in image or "after" in image:
        raise ImageTypeError(f"{name}: a pair where one image is expected.")
    content, path = image.get("bytes"), image.get("path")
    if content is not None:
        return content, f"{name} {_shorten(path)}" if path else name
    if path is not None:
        return path, name
    raise ImageLoadError(f"{name}: the dictionary has neither 'bytes' nor 'path'. Give {ACCEPTED}.")


def _shorten(path: Any) -> str:
    text = repr(path)
    return text if len(text) <= 300 else f"{text[:200]}...{text[-60:]}"


def _decode(
    source: Any, name: str, draft_size: tuple[int, int] | None, timeout: float
) -> tuple[Image.Image, tuple[int, int]]:
    with open_image(source, name, timeout=timeout) as opened, decoding(name):
        size = None
        if draft_size is not None and opened.format in ("JPEG", "MPO"):
            sideways = orientation(opened) in SIDEWAYS
            size = opened.size if sideways else opened.size[::-1]
            opened.draft(None, draft_size if sideways else draft_size[::-1])
        rgb = _to_rgb(opened, name)
    return rgb, size or (rgb.height, rgb.width)


def _to_rgb(image: Image.Image, culprit: str) -> Image.Image:
    if 0 in image.size:
        raise ImageLoadError(f"{culprit}: is empty ({image.width}x{image.height} pixels).")
    image.load()  # before the EXIF: PNG may store it behind the pixels, and TIFF turns itself on loading
    if (turn := UPRIGHT.get(orientation(image))) is not None:
        image = image.transpose(turn)
        image.info = {key: image.info[key] for key in image.info if key == "transparency"}  # not turned again
    if image.mode.startswith("I") or image.mode == "F":
        array = np.asarray(image)  # (H, W)
        if (key := image.info.get("transparency")) is not None and image.mode.startswith("I;16"):
            array = np.where(array == key, np.uint16(65535), array)
        return Image.fromarray(_to_uint8(array, culprit, from_pil=True)).convert("RGB")
    if image.mode == "La":  # premultiplied grey has only this one conversion
        image = image.convert("LA")
    if image.has_transparency_data:
        image = _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    rgb = Image.new("RGB", image.size)
    rows = max(2**20 // image.width, 1)  # a megapixel at a time: as a whole it would be in memory four times
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        band = Image.alpha_composite(Image.new("RGBA", band.size, "white"), band)
        rgb.paste(band.convert("RGB"), (0, top))
    return rgb


def _array_to_pil(image: Any, name: str) -> Image.Image:
    """A numpy array, a torch tensor or anything with `__array__` as an image of mode L, LA, RGB or RGBA."""
    channels_first = is_torch_tensor(image)
    try:
        if channels_first:
            image = image.detach().cpu()
            image = image.float() if image.is_floating_point() else image  # numpy has no bfloat16
        array = np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:  # NotImplementedError of meta tensors is a RuntimeError
        raise ImageTypeError(f"{name}: this {type(image).__name__} cannot be read as an array ({error}).") from error
    shape = array.shape
    if array.ndim == 3:
        last, first = shape[-1] in (1, 2, 3, 4), shape[0] in (1, 3, 4)
        if first and (channels_first or not last):
            array = array.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
        elif not last:
            array = array.reshape(-1)  # no axis can hold the channels: refused below
        if array.shape[-1] == 1:
            array = array[..., 0]
    if array.ndim not in (2, 3):
        hint = " This looks like a batch: give one image at a time." if len(shape) == 4 else ""
        raise ImageLoadError(
            f"{name}: an array of shape {shape} is not an image. Give (H, W), (H, W, C) or (C, H, W) with C = 1, 3 or "
            f"4.{hint}"
        )
    if array.size == 0:
        raise ImageLoadError(f"{name}: an array of shape {shape} holds no pixels.")
    return Image.fromarray(_to_uint8(array, name))


def _to_uint8(array: np.ndarray, culprit: str, from_pil: bool = False) -> np.ndarray:
    """Any pixel type to 8 bits. `from_pil`: of a PIL image of mode I or F, of which the largest value decides."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "uif":
        raise ImageTypeError(f"{culprit}: dtype {array.dtype} holds no pixels. Give bool, uint8, uint16 or floats.")
    if array.dtype.kind == "f" and (bad := int(array.size - np.isfinite(array).sum())):
        raise ImageLoadError(f"{culprit}: {bad} of {array.size} values are NaN or infinite.")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        unit = not from_pil or high <= 1
        slack = 1 / 510 if unit else 0.5  # half a grey level: what rounds into the range is in it
        if low < -slack or high > (1 if unit else 255) + slack:
            right = "[0, 1] or [0, 255]" if from_pil else "[0, 1]"
            raise ImageLoadError(
                f"{culprit}: float values go from {low:.4g} to {high:.4g}, they must lie in {right}. Undo any "
                "normalisation, or give uint8 in 0..255."
            )
        return np.rint(array.astype(np.float32) * (255 if unit else 1)).clip(0, 255).astype(np.uint8)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2 or (from_pil and 255 < high <= 65535 and low >= 0):
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # round(v / 257)
    if low < 0 or high > 255:
        raise ImageLoadError(
            f"{culprit}: {array.dtype} values go from {low} to {high}, they must lie in 0..255. 16-bit images are "
            "uint16; scale anything else to one of them."
        )
    return array.astype(np.uint8)
