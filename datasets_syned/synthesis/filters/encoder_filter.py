"""What the filters have in common that look at images through a model."""

from collections.abc import Mapping
from typing import Any

from .band import BandFilter
from .encoders import Encoder


class EncoderFilter(BandFilter):
    """
    A [`BandFilter`] with an [`Encoder`].

    Args:
        min, max (`float`, *optional*): limits of the score; both belong to the band.
        encoder ([`Encoder`]): filters that share one share its work.
    """

    def __init__(self, min: float | None, max: float | None, encoder: Encoder):
        super().__init__(min, max)
        self.encoder = encoder

    def load(self) -> None:
        """Loads the model. Raises a `ValueError` if it cannot be had or is of another kind."""
        self.encoder.load()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Limits, and the model with its revision. Raises a `ValueError` if the model cannot be had."""
        return {**super().parameters, "model": self.encoder.id, "revision": self.encoder.revision}
