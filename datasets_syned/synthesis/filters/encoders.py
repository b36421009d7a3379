"""The models that filters look at images and texts with. Each is loaded when it is first needed."""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...common.ranges import check_whole
from ..pretrained.devices import in_batches, pick_device
from ..pretrained.revisions import find_folder, first_line, folder_digest


class Encoder(ABC):
    """
    An image encoder of the Hub or of a local folder, in float32.

    An image is encoded once for as long as it lives: what is remembered hangs on the image object and goes with it.
    So variants that share the object of their source, and filters that share an encoder, share the work.

    Args:
        model (`str`): a Hub id, or a folder. Only safetensors are loaded.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        device (`str`, *optional*): defaults to the GPU of this process (`LOCAL_RANK`) if there is one, else the CPU.
        batch_size (`int`, *optional*, defaults to 64): images or texts at a time; halved when memory does not suffice.

    Raises:
        ValueError: `batch_size` below 1, or a `revision` of a local folder.
    """

    def __init__(self, model: str, revision: str | None = None, device: str | None = None, batch_size: int = 64):
        check_whole("batch_size", batch_size, 1)
        self.model_name, self.wanted_revision = str(model), revision
        self.device, self.batch_size = device, batch_size
        self._images: dict[int, tuple[weakref.ref, np.ndarray]] = {}
        if self.is_local and revision is not None:
            raise ValueError(
                f"revision={revision!r}: model={self.model_name!r} is a local folder; it has no revisions"
            )

    @property
    def is_local(self) -> bool:
        return Path(self.model_name).expanduser().is_dir()

    @cached_property
    def folder(self) -> Path:
        """Of the model's configuration. Raises `ValueError` if it cannot be had."""
        try:
            return find_folder(self.model_name, self.wanted_revision, ["config.json"])
        except ValueError as error:
            raise ValueError(f"model={self.model_name!r} cannot be loaded: {error}") from error

    @property
    def id(self) -> str:
        """The Hub id, or the name of the folder: never a path."""
        return self.folder.name if self.is_local else self.model_name

    @cached_property
    def revision(self) -> str:
        """The commit on the Hub, or a digest of the folder's files. Fetches no weights."""
        return folder_digest(self.folder) if self.is_local else self.folder.name

    def _load(self, auto: Any, **options: Any) -> Any:
        from safetensors import SafetensorError

        where = {} if self.is_local else {"revision": self.folder.name}
        try:
            return auto.from_pretrained(self.folder if self.is_local else self.model_name, **where, **options)
        except (OSError, ValueError, SafetensorError) as error:
            raise ValueError(f"model={self.model_name!r} cannot be loaded: {first_line(error)}") from error

    @cached_property
    def model(self) -> Any:
        """The model itself, on its device."""
        import torch
        from transformers import AutoModel

        model, info = self._load(AutoModel, use_safetensors=True, dtype=torch.float32, output_loading_info=True)
        self._check(model)
        if missing := sorted(info["missing_keys"]):
            raise ValueError(f"model={self.model_name!r} lacks {len(missing)} of its weights, such as {missing[0]}")
        return model.to(pick_device(self.device)).eval()

    @cached_property
    def image_processor(self) -> Any:
        """Pillow's resizing also where torchvision is installed: a score does not depend on what is installed."""
        from transformers import AutoImageProcessor

        return self._load(AutoImageProcessor, backend="pil")

    def load(self) -> None:
        """Loads what it needs, unless it is there."""
        _ = self.model, self.image_processor

    @abstractmethod
    def _check(self, model: Any) -> None:
        """Raises a `ValueError` for a model of another kind."""

    @abstractmethod
    def _forward_images(self, pixel_values: Any) -> Any:
        """Vectors of images, before they have one length."""

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Unit vectors of shape `(len(images), width)`, float64."""
        new = {id(image): image for image in images if id(image) not in self._images}

        def forward(some: Sequence[Image.Image]) -> Any:
            pixels = self.image_processor([image.convert("RGB") for image in some], return_tensors="pt")
            return self._forward_images(pixels["pixel_values"].to(self.model.device))

        for image, vector in zip(new.values(), self._in_batches(list(new.values()), forward), strict=True):
            self._remember(image, vector)
        return _unit([self._images[id(image)][1] for image in images])

    def _remember(self, image: Image.Image, vector: np.ndarray) -> None:
        key, known = id(image), self._images  # gone before another image can have that id
        known[key] = weakref.ref(image, lambda _: known.pop(key, None)), vector

    def __getstate__(self) -> dict[str, Any]:
        # For another process: how it is loaded, not what was. Weak references do not travel.
        loaded = ("model", "image_processor", "tokenizer")
        return {name: value for name, value in vars(self).items() if name not in loaded} | {"_images": {}}

    def _in_batches(self, items: Sequence[Any], forward: Callable[[Sequence[Any]], Any]) -> list[np.ndarray]:
        import torch

        def run(some: Sequence[Any]) -> list[np.ndarray]:
            with torch.inference_mode():
                return list(forward(some).float().cpu().numpy())

        vectors, self.batch_size = in_batches(run, items, self.batch_size)
        return vectors


class ClipEncoder(Encoder):
    """
    A CLIP: images and texts to vectors of one space. Takes what [`Encoder`] takes; texts longer than the model reads
    (77 tokens) are cut.
    """

    def __init__(self, model: str, revision: str | None = None, device: str | None = None, batch_size: int = 64):
        super().__init__(model, revision, device, batch_size)
        self._texts: dict[str, np.ndarray] = {}  # of the latest call

    def _check(self, model: Any) -> None:
        if not hasattr(model, "get_text_features"):
            raise ValueError(f"model={self.model_name!r} is a {type(model).__name__}; it must be a CLIP")

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return self._load(AutoTokenizer)

    def _forward_images(self, pixel_values: Any) -> Any:
        return self.model.get_image_features(pixel_values=pixel_values).pooler_output

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of shape `(len(texts), width)`, float64. Those of the call before are not computed again."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]

        def forward(some: Sequence[str]) -> Any:
            longest = self.model.config.text_config.max_position_embeddings
            tokens = self.tokenizer(
                list(some), padding=True, truncation=True, max_length=longest, return_tensors="pt"
            ).to(self.model.device)
            return self.model.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output

        known = self._texts | dict(zip(new, self._in_batches(new, forward), strict=True))
        self._texts = {text: known[text] for text in texts}
        return _unit([known[text] for text in texts])


class DinoEncoder(Encoder):
    """A DINOv2, with or without registers: an image to its CLS vector, after the last norm."""

    def _check(self, model: Any) -> None:
        if model.main_input_name != "pixel_values":
            raise ValueError(f"model={self.model_name!r} is a {type(model).__name__}; it must be a DINOv2")

    def _forward_images(self, pixel_values: Any) -> Any:
        return self.model(pixel_values=pixel_values).last_hidden_state[:, 0]


def _unit(vectors: Sequence[np.ndarray]) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True) if len(vectors) else vectors


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of each row of `one` with that of `other`, both unit vectors: shape `(rows,)`, from -1 to 1."""
    return np.clip((one * other).sum(-1), -1, 1)
