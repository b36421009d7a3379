"""An edited pair that is to be measured."""

from dataclasses import dataclass

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
    """

    source_id: str
    variant: int
    before: Image.Image
    after: Image.Image
    instruction: str
    captions: tuple[str, str] | None = None
