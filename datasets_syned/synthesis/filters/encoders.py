"""The models that filters look at images and texts with. Each is loaded when it is first needed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from ...common.ranges import check_whole
from ..pretrained.devices import in_batches, pick_device
from ..pretrained.weights import Pretrained


class Encoder(ABC):
    """
    An image encoder in float32.

    Args:
        model (`str`): a name on the Hub, or a folder. Only safetensors are loaded.
        revision (`str`, *optional*): of it, see [`Pretrained`].
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        batch_size (`int`, *optional*, defaults to 64): images or texts at a time; halved when memory does not suffice.
    """

    kind: str  # what its model type contains

    def __init__(self, model: str, revision: str | None = None, device: str | None = None, batch_size: int = 64):
        check_whole("batch_size", batch_size, 1)
        self.weights = Pretrained(model, revision)
        self.device, self.batch_size = device, batch_size

    @cached_property
    def model(self) -> Any:
        """The model itself, on its device."""
        from transformers import AutoModel

        model = self.weights.load_model(AutoModel, pick_device(self.device))
        if self.kind not in model.config.model_type:
            raise ValueError(f"{self.weights.id!r} is a {type(model).__name__}; it must be a {self.kind}")
        return model

    @cached_property
    def image_processor(self) -> Any:
        """Pillow's resizing also where torchvision is installed: a score does not depend on what is installed."""
        from transformers import AutoImageProcessor

        return self.weights.load(AutoImageProcessor, backend="pil")

    def load(self) -> None:
        """Loads what it needs, unless it is there. Raises a `ValueError` for a model of another kind."""
        _ = self.model, self.image_processor

    @abstractmethod
    def _forward_images(self, pixel_values: Any) -> Any:
        """Vectors of images, before they have one length."""

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Unit vectors of shape `(len(images), width)`, float64. What is the same object is encoded once."""

        def forward(some: Sequence[Image.Image]) -> Any:
            pixels = self.image_processor([image.convert("RGB") for image in some], return_tensors="pt")
            return self._forward_images(pixels["pixel_values"].to(self.model.device))

        return self._vectors({id(image): image for image in images}, map(id, images), forward)

    def _vectors(self, items: dict, keys: Any, forward: Callable[[Sequence[Any]], Any]) -> np.ndarray:
        """The unit vectors of some items, by their keys."""
        import torch

        def run(some: Sequence[Any]) -> list[np.ndarray]:
            with torch.inference_mode():
                return list(forward(some).double().cpu().numpy())

        found, self.batch_size = in_batches(run, list(items.values()), self.batch_size)
        vectors = dict(zip(items, found, strict=True))
        vectors = np.stack([vectors[key] for key in keys])
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class ClipEncoder(Encoder):
    """A CLIP: images and texts to vectors of one space. Texts longer than it reads (77 tokens) are cut."""

    kind = "clip"

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return self.weights.load(AutoTokenizer)

    def _forward_images(self, pixel_values: Any) -> Any:
        return self.model.get_image_features(pixel_values=pixel_values).pooler_output

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of shape `(len(texts), width)`, float64."""

        def forward(some: Sequence[str]) -> Any:
            longest = self.model.config.text_config.max_position_embeddings
            tokens = self.tokenizer(
                list(some), padding=True, truncation=True, max_length=longest, return_tensors="pt"
            ).to(self.model.device)
            return self.model.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output

        return self._vectors({text: text for text in texts}, texts, forward)


class DinoEncoder(Encoder):
    """A DINOv2, with or without registers: an image to its CLS vector, after the last norm."""

    kind = "dino"

    def _forward_images(self, pixel_values: Any) -> Any:
        return self.model(pixel_values=pixel_values).last_hidden_state[:, 0]


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of each row of `one` with that of `other`, both unit vectors: shape `(rows,)`, from -1 to 1."""
    return np.clip((one * other).sum(-1), -1, 1)
