"""What the pipeline expects of an editor."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from PIL import Image


class EditError(RuntimeError):
    """One image was not edited, for a reason that is its own; the others of the batch may be."""


class Editor(Protocol):
    """
    Edits images by instructions. An editor of your own is a subclass with an `id` and `edit`.

    Attributes:
        id (`str`): of the model: its name on the Hub, the name of its folder (no path of this machine), or
            "procedural".
        revision (`str`): the commit, or a digest of the folder's files.
        parameters (`dict`): what besides image, instruction and seed decides the result, for a JSON file.
        versions (`dict[str, str]`): of the packages that make the image.
        batch_size (`int`): images that one call may ask for at most. An editor may lower it as it learns.
        edits_unchanged (`bool`, *optional*): whether it also makes the other image of a pair in which nothing changes.
    """

    id: str
    revision: str = "1"
    parameters: Mapping[str, Any] = {}
    versions: Mapping[str, str] = {}
    batch_size: int = 8
    edits_unchanged: bool = False

    def load(self) -> None:
        """Gets ready: weights are read here. Called once before the first `edit`, never for a dry run's plan."""

    def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image | EditError]:
        """
        Edits a batch. The result for an image depends on it, its instruction and its seed alone, but for float noise.
        Neighbours that are the same image object with the same instruction are variants of one source, and an editor
        may do once what is the same for them.

        Returns:
            `list`: as many as there are images: the edited image (RGB, of its source's size), or why there is none.
            What `info["provenance"]` of an image says, texts by name, becomes part of its row's settings.

        Raises:
            Exception: anything, if the whole batch failed; the pipeline then tries its rows one by one.
        """
        ...
