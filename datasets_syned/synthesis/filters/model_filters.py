"""Filters that look at images, and at what is said of them, through a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .band import BandFilter
from .encoders import ClipEncoder, DinoEncoder, Encoder, cosines
from .protocol import Candidate

LEAST = 1e-3  # length of a difference of unit vectors; float noise lies below


class EncoderFilter(BandFilter):
    """
    A [`BandFilter`] with an [`Encoder`].

    Args:
        min, max (`float`, *optional*): limits of the score; both belong to the band.
        encoder ([`Encoder`], *optional*): in place of the arguments of one; filters that share it share its work.
        model, revision, device, batch_size (*optional*): see [`Encoder`].
    """

    kind: type[Encoder] = ClipEncoder
    model = "openai/clip-vit-large-patch14"

    def __init__(self, min: float | None, max: float | None, encoder: Encoder | None = None, **options: Any):
        super().__init__(min, max)
        self.encoder = encoder or self.kind(**{"model": self.model, **options})

    def load(self) -> None:
        """Loads the model. Raises a `ValueError` if it cannot be had or is of another kind."""
        self.encoder.load()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Limits, and the model with its revision. Raises a `ValueError` if the model cannot be had."""
        return {**super().parameters, "model": self.encoder.id, "revision": self.encoder.revision}

    def pairs(self, rows: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of the images before and after, each of shape `(len(rows), width)`."""
        images = self.encoder.images([image for row in rows for image in (row.before, row.after)])
        return images[::2], images[1::2]


class Similarity(EncoderFilter):
    """Cosine of the images before and after the change."""

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        return cosines(*self.pairs(rows)).tolist() if rows else []


class ClipImageSimilarity(Similarity):
    """
    Is the image still that image? CLIP cosine of the images before and after the change.

    Args:
        min (`float`, *optional*, defaults to 0.7): lowest score that is kept.
        max (`float`, *optional*): highest score that is kept; just below 1 drops edits that did nothing.
        options: see [`EncoderFilter`].
    """

    name = "image_similarity"

    def __init__(self, min: float | None = 0.7, max: float | None = None, **options: Any):
        super().__init__(min, max, **options)


class DinoSimilarity(Similarity):
    """
    Is the image still that image? Cosine of the DINOv2 CLS vectors of the images before and after the change. Trained
    without texts, DINOv2 sees shapes and places that CLIP is blind to.

    Args:
        min (`float`, *optional*, defaults to 0.3): lowest score that is kept.
        max (`float`, *optional*): highest score that is kept.
        options: see [`EncoderFilter`].
    """

    name, kind, model = "dino_similarity", DinoEncoder, "facebook/dinov2-base"

    def __init__(self, min: float | None = 0.3, max: float | None = None, **options: Any):
        super().__init__(min, max, **options)


class ClipImageText(EncoderFilter):
    """
    Does the image show what is said of it? CLIP cosine of an image and its caption; of the two images of a pair the
    lower one counts, for InstructPix2Pix asks it of both. Where the source has no captions, that of the image after
    the change and the instruction: a weaker test, since an instruction names only what changes, and scores of the two
    kinds do not compare.

    Args:
        min (`float`, *optional*, defaults to 0.2): lowest score that is kept.
        options: see [`EncoderFilter`].
    """

    name = "clip_image_text"

    def __init__(self, min: float | None = 0.2, **options: Any):
        super().__init__(min, None, **options)

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        pairs = []  # row, image, text
        for i, row in enumerate(rows):
            if row.captions is not None:
                pairs += [(i, row.before, row.captions[0]), (i, row.after, row.captions[1])]
            else:
                pairs.append((i, row.after, row.instruction))
        images = self.encoder.images([image for _, image, _ in pairs])
        scores = cosines(images, self.encoder.texts([text for _, _, text in pairs])) if pairs else []
        lowest = np.ones(len(rows))
        np.minimum.at(lowest, [i for i, _, _ in pairs], scores)
        return lowest.tolist()


class ClipDirection(EncoderFilter):
    """
    Did the image change in the way in which its caption changed? Cosine of (image after - image before) and (caption
    after - caption before) in CLIP's space, as in StyleGAN-NADA (https://huggingface.co/papers/2108.00946) and
    InstructPix2Pix. Without a difference of the images, or of the captions, there is no direction, and the score is 0.

    Args:
        min (`float`, *optional*, defaults to 0.2): lowest score that is kept.
        options: see [`EncoderFilter`].
    """

    name = "clip_direction"
    needs_captions = True

    def __init__(self, min: float | None = 0.2, **options: Any):
        super().__init__(min, None, **options)

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1. Raises a `ValueError` if a row has no captions."""
        for row in rows:
            if row.captions is None:
                raise ValueError(
                    f"{self.name} needs captions of the image before and after the change; source {row.source_id!r} "
                    "has none"
                )
        if not rows:
            return []
        (before, after), texts = self.pairs(rows), self.encoder.texts([text for row in rows for text in row.captions])
        seen, said = after - before, texts[1::2] - texts[::2]
        lengths = np.linalg.norm(seen, axis=-1), np.linalg.norm(said, axis=-1)
        clear = (lengths[0] > LEAST) & (lengths[1] > LEAST)
        product = np.where(clear, lengths[0] * lengths[1], 1)
        return np.where(clear, np.clip((seen * said).sum(-1) / product, -1, 1), 0).tolist()
