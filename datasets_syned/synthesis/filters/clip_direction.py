"""Did the image change in the way in which its caption changed?"""

from collections.abc import Sequence

import numpy as np

from .candidate import Candidate
from .encoder_filter import EncoderFilter
from .encoders import ClipEncoder

LEAST = 1e-3  # length of a difference of unit vectors; float noise lies below


class ClipDirection(EncoderFilter):
    """
    Cosine of (image after - image before) and (caption after - caption before) in CLIP's space, as in StyleGAN-NADA
    (https://huggingface.co/papers/2108.00946) and InstructPix2Pix. Without a difference of the images, or of the
    captions, there is no direction, and the score is 0.

    Args:
        min (`float`, *optional*, defaults to 0.2): lowest score that is kept.
        model, revision, device, batch_size: see [`Encoder`].
        encoder ([`ClipEncoder`], *optional*): in place of these, to share one.
    """

    name = "clip_direction"
    needs_captions = True

    def __init__(
        self,
        min: float = 0.2,
        model: str = "openai/clip-vit-large-patch14",
        revision: str | None = None,
        device: str | None = None,
        batch_size: int = 64,
        encoder: ClipEncoder | None = None,
    ):
        super().__init__(min, None, encoder or ClipEncoder(model, revision, device, batch_size))

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """
        From -1 to 1.

        Raises:
            ValueError: a row has no captions.
        """
        for row in rows:
            if row.captions is None:
                raise ValueError(
                    f"{self.name} needs captions of the image before and after the change; source {row.source_id!r} "
                    "has none"
                )
        if not rows:
            return []
        images = self.encoder.images([image for row in rows for image in (row.before, row.after)])
        texts = self.encoder.texts([text for row in rows for text in row.captions])
        seen, said = images[1::2] - images[::2], texts[1::2] - texts[::2]
        lengths = np.linalg.norm(seen, axis=-1), np.linalg.norm(said, axis=-1)
        clear = (lengths[0] > LEAST) & (lengths[1] > LEAST)
        product = np.where(clear, lengths[0] * lengths[1], 1)
        return np.where(clear, np.clip((seen * said).sum(-1) / product, -1, 1), 0).tolist()
