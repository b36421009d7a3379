"""Is the image still that image, seen by CLIP?"""

from collections.abc import Sequence

from .candidate import Candidate
from .encoder_filter import EncoderFilter
from .encoders import ClipEncoder, cosines


class ClipImageSimilarity(EncoderFilter):
    """
    CLIP cosine of the images before and after the change.

    Args:
        min (`float`, *optional*, defaults to 0.7): lowest score that is kept.
        max (`float`, *optional*): highest score that is kept; just below 1 drops edits that did nothing.
        model, revision, device, batch_size: see [`Encoder`].
        encoder ([`ClipEncoder`], *optional*): in place of these, to share one.
    """

    name = "image_similarity"

    def __init__(
        self,
        min: float | None = 0.7,
        max: float | None = None,
        model: str = "openai/clip-vit-large-patch14",
        revision: str | None = None,
        device: str | None = None,
        batch_size: int = 64,
        encoder: ClipEncoder | None = None,
    ):
        super().__init__(min, max, encoder or ClipEncoder(model, revision, device, batch_size))

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        if not rows:
            return []
        images = self.encoder.images([image for row in rows for image in (row.before, row.after)])
        return cosines(images[::2], images[1::2]).tolist()
