# SPDX-License-Identifier: Apache-2.0
"""Arrays and tensors as 8-bit images."""

from typing import Any

import numpy as np
from PIL import Image
from transformers.utils import is_torch_tensor

from .image_errors_blip2idc import ImageLoadError, ImageTypeError


def array_to_pil(image: Any, name: str) -> Image.Image:
    """
    A numpy array, a torch tensor or anything with `__array__` as an 8-bit PIL image of mode L, LA, RGB or RGBA.

    Args:
        image (`np.ndarray` or `torch.Tensor`): `(H, W)`, `(H, W, C)` or `(C, H, W)`; see `load_image`.
        name (`str`): what messages call the image.

    Returns:
        `PIL.Image.Image`

    Raises:
        `ImageLoadError`: wrong shape or range, NaN, infinite or empty; `ImageTypeError` for a dtype of no pixels.
    """
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
    return Image.fromarray(to_uint8(array, name))


def to_uint8(array: np.ndarray, culprit: str, from_pil: bool = False) -> np.ndarray:
    """
    Any pixel type to 8 bits.

    Args:
        array (`np.ndarray` of any shape): not empty.
        culprit (`str`): what messages call the image.
        from_pil (`bool`, *optional*, defaults to `False`):
            The array is a PIL image of mode I or F, which do not say what their range is: the largest value decides.

    Returns:
        `np.ndarray`: uint8, same shape.

    Raises:
        `ImageLoadError`: NaN, infinite or out of range; `ImageTypeError` for a dtype of no pixels.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "uif":
        raise ImageTypeError(f"{culprit}: dtype {array.dtype} holds no pixels. Give bool, uint8, uint16 or floats.")
    if array.dtype.kind == "f":
        if bad := int(array.size - np.isfinite(array).sum()):
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
