"""Does the image show what is said of it?"""

from collections.abc import Sequence

import numpy as np

from .candidate import Candidate
from .encoder_filter import EncoderFilter
from .encoders import ClipEncoder, cosines


class ClipImageText(EncoderFilter):
    """
    CLIP cosine of an image and its caption; of the two images of a pair the lower one counts, for InstructPix2Pix
    asks it of both. Where the source has no captions, that of the image after the change and the instruction: a
    weaker test, since an instruction names only what changes, and scores of the two kinds do not compare.

    Args:
        min (`float`, *optional*, defaults to 0.2): lowest score that is kept.
        model, revision, device, batch_size: see [`Encoder`].
        encoder ([`ClipEncoder`], *optional*): in place of these, to share one.
    """

    name = "clip_image_text"

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
