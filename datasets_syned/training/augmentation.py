"""Augmentation of training pairs that keeps their meaning: blur and JPEG compression."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ..common.images import to_rgb


@dataclass(frozen=True)
class BlurJPEG:
    """
    Blurs and compresses the images of a pair, as photographs are on their way through the web. For training only.

    The paper (section 5.1) names Gaussian blur and JPEG compression. The authors' code (train_BLIP2IDC.py) blurs the
    stacked pair once, always, with a sigma between 0.1 and 0.5 pixels, and leaves JPEG out:
    `BlurJPEG(blur=1.0, sigma=(0.1, 0.5), jpeg=0.0)`. Here each of the two is applied to a share of the pairs, with one
    draw for both images.

    There is nothing else, and there is no place to add it: crops, flips, rotations and changes of brightness or color
    are what captions speak of ("crop it", "on the left", "brighter", "turned blue"). Applied to both images they make
    such captions false, applied to one they are changes that no caption names.

    Args:
        blur (`float`, *optional*, defaults to 0.5):
            Share of the pairs that are blurred.
        sigma (`tuple[float, float]`, *optional*, defaults to `(0.1, 1.0)`):
            Range of the blur's standard deviation, in pixels of the image as it is.
        jpeg (`float`, *optional*, defaults to 0.5):
            Share of the pairs that are compressed, after blurring.
        quality (`tuple[int, int]`, *optional*, defaults to `(50, 95)`):
            Range of the JPEG quality (libjpeg's scale, 4:2:0 chroma), both ends included.
        independent (`bool`, *optional*, defaults to `False`):
            Whether the strength is drawn for each image rather than once per pair: no caption speaks of sharpness, so
            a pair whose images differ in it teaches to look past it.

    Raises:
        ValueError: a share outside 0..1, or a range that is empty or out of bounds.
    """

    blur: float = 0.5
    sigma: tuple[float, float] = (0.1, 1.0)
    jpeg: float = 0.5
    quality: tuple[int, int] = (50, 95)
    independent: bool = False

    def __post_init__(self):
        for name in ("blur", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)!r} must be a share of the pairs, from 0 to 1")
        if not 0 <= self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma={self.sigma!r} must be a range of pixels (low, high) with 0 <= low <= high")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"quality={self.quality!r} must be a range (low, high) within 1..100")

    def __call__(
        self, before: Image.Image, after: Image.Image, rng: np.random.Generator
    ) -> tuple[Image.Image, Image.Image]:
        """
        Augments one pair. The same state of `rng` gives the same pixels; the given images are left as they are.

        Args:
            before (`PIL.Image.Image`), after (`PIL.Image.Image`): of any size and mode, which may differ.
            rng (`numpy.random.Generator`): where all randomness comes from.

        Returns:
            `tuple` of two `PIL.Image.Image`: RGB, upright (EXIF), over white where transparent, of the given sizes;
                16 bits and floats as the canvas shows them.

        Raises:
            ValueError: an image cannot be decoded, or its values do not say what white is, such as NaN.
        """
        # every number is drawn whether it is used or not, so that one option does not shift another's draws
        blurred, compressed = rng.random(2) < (self.blur, self.jpeg)
        sigmas = rng.uniform(*self.sigma, 2)
        qualities = rng.integers(self.quality[0], self.quality[1] + 1, 2)
        images = []
        for i, (side, image) in enumerate((("before", before), ("after", after))):
            i = i if self.independent else 0
            image = to_rgb(image, side)
            if blurred:
                image = image.filter(ImageFilter.GaussianBlur(float(sigmas[i])))
            if compressed:
                image = _jpeg(image, int(qualities[i]))
            images.append(image)
        return tuple(images)


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(buffer, formats=["JPEG"]) as compressed:
        return compressed.convert("RGB")
