"""Filters that look at images, and at what is said of them, through a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .encoders import ClipEncoder, DinoEncoder, Encoder, cosines
from .protocol import Candidate, Filter

LEAST = 1e-3  # length of a difference of unit vectors; float noise lies below


@dataclass(eq=False)
class EncoderFilter(Filter):
    """
    A [`Filter`] with an [`Encoder`], which has the arguments `model`, `revision`, `device` and `batch_size`, or is
    given as `encoder`: filters that share one load it once.
    """

    model: str = "openai/clip-vit-large-patch14"
    revision: str | None = None
    device: str | None = None
    batch_size: int = 64
    encoder: Encoder | None = None
    kind: ClassVar[type[Encoder]] = ClipEncoder

    def __post_init__(self):
        super().__post_init__()
        self.encoder = self.encoder or self.kind(self.model, self.revision, self.device, self.batch_size)

    def load(self) -> None:
        """Loads the model. Raises a `ValueError` if it cannot be had or is of another kind."""
        self.encoder.load()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Limits, and the model with its revision. Raises a `ValueError` if the model cannot be had."""
        weights = self.encoder.weights
        return {**super().parameters, "model": weights.id, "revision": weights.revision}

    def pairs(self, rows: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of the images before and after, each of shape `(len(rows), width)`."""
        images = self.encoder.images([image for row in rows for image in (row.before, row.after)])
        return images[::2], images[1::2]


@dataclass(eq=False)
class ClipImageSimilarity(EncoderFilter):
    """
    Is the image still that image? Cosine of the images before and after the change, by CLIP. A `max` just below 1
    drops edits that did nothing.
    """

    min: float | None = 0.7
    name = "image_similarity"

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        return cosines(*self.pairs(rows)).tolist()


@dataclass(eq=False)
class DinoSimilarity(ClipImageSimilarity):
    """The same of the CLS vectors of DINOv2: trained without texts, it sees shapes and places that CLIP does not."""

    min: float | None = 0.3
    model: str = "facebook/dinov2-base"
    name, kind = "dino_similarity", DinoEncoder


@dataclass(eq=False)
class ClipImageText(EncoderFilter):
    """
    Does the image show what is said of it? CLIP cosine of an image and its caption; of the two images of a pair the
    lower one counts, for InstructPix2Pix asks it of both. Where the source has no captions, that of the image after
    the change and the instruction: a weaker test, since an instruction names only what changes, and scores of the two
    kinds do not compare.
    """

    min: float | None = 0.2
    name = "clip_image_text"

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        pairs = []  # row, image, text
        for i, row in enumerate(rows):
            if row.captions is not None:
                pairs += [(i, row.before, row.captions[0]), (i, row.after, row.captions[1])]
            else:
                pairs.append((i, row.after, row.instruction))
        places, images, texts = zip(*pairs, strict=True)
        lowest = np.ones(len(rows))
        np.minimum.at(lowest, list(places), cosines(self.encoder.images(images), self.encoder.texts(texts)))
        return lowest.tolist()


@dataclass(eq=False)
class ClipDirection(EncoderFilter):
    """
    Did the image change in the way in which its caption changed? Cosine of (image after - image before) and (caption
    after - caption before) in CLIP's space, as in StyleGAN-NADA (https://huggingface.co/papers/2108.00946) and
    InstructPix2Pix. Without a difference of the images, or of the captions, there is no direction, and the score is 0.
    """

    min: float | None = 0.2
    name, needs_captions = "clip_direction", True

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1. Raises a `ValueError` if a row has no captions."""
        for row in rows:
            if row.captions is None:
                raise ValueError(
                    f"{self.name} needs captions of the image before and after the change; source {row.source_id!r} "
                    "has none"
                )
        (before, after), texts = self.pairs(rows), self.encoder.texts([text for row in rows for text in row.captions])
        seen, said = after - before, texts[1::2] - texts[::2]
        lengths = np.linalg.norm(seen, axis=-1), np.linalg.norm(said, axis=-1)
        clear = (lengths[0] > LEAST) & (lengths[1] > LEAST)
        product = np.where(clear, lengths[0] * lengths[1], 1)
        return np.where(clear, np.clip((seen * said).sum(-1) / product, -1, 1), 0).tolist()
