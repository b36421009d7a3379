"""A synthetic pair under way: edited, not yet judged."""

from dataclasses import dataclass, field

from PIL import Image


@dataclass
class Candidate:
    """
    What filters look at.

    Args:
        source_id (`str`): of the source image; the variants of one source have it in common.
        variant (`int`): which of them it is.
        before, after (`PIL.Image.Image`): RGB, each of its own size.
        instruction (`str`): what the editor was told.
        captions (`tuple[str, str]`, *optional*): what the source says of the image before and after the change, as
            descriptions of the whole image, if it does.
        scores (`dict[str, float]`, *optional*): of the filters that have seen it, by their names.
    """

    source_id: str
    variant: int
    before: Image.Image
    after: Image.Image
    instruction: str
    captions: tuple[str, str] | None = None
    scores: dict[str, float] = field(default_factory=dict)
