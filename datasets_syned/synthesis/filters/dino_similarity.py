"""Is the image still that image, seen by DINOv2?"""

from collections.abc import Sequence

from .candidate import Candidate
from .encoder_filter import EncoderFilter
from .encoders import DinoEncoder, cosines


class DinoSimilarity(EncoderFilter):
    """
    Cosine of the DINOv2 CLS vectors of the images before and after the change. Trained without texts, DINOv2 sees
    shapes and places that CLIP is blind to.

    Args:
        min (`float`, *optional*, defaults to 0.3): lowest score that is kept.
        max (`float`, *optional*): highest score that is kept.
        model, revision, device, batch_size: see [`Encoder`].
        encoder ([`DinoEncoder`], *optional*): in place of these, to share one.
    """

    name = "dino_similarity"

    def __init__(
        self,
        min: float | None = 0.3,
        max: float | None = None,
        model: str = "facebook/dinov2-base",
        revision: str | None = None,
        device: str | None = None,
        batch_size: int = 64,
        encoder: DinoEncoder | None = None,
    ):
        super().__init__(min, max, encoder or DinoEncoder(model, revision, device, batch_size))

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        if not rows:
            return []
        images = self.encoder.images([image for row in rows for image in (row.before, row.after)])
        return cosines(images[::2], images[1::2]).tolist()
