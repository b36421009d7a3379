"""Filters that look at images, and at what is said of them, through a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from ...common.ranges import check_whole
from ..pretrained.devices import in_batches, pick_device
from ..pretrained.weights import Pretrained
from .protocol import Candidate, Filter

LEAST = 1e-3  # length of a difference of unit vectors; float noise lies below


@dataclass(eq=False)
class ModelFilter(Filter):
    """
    A [`Filter`] with a model that makes vectors of images, in float32; by default a CLIP, which makes them of texts as
    well. What is said once or shown once in a batch is encoded once.

    Args:
        min, max (`float`, *optional*): limits of the score; both belong to the band.
        model (`str`, *optional*): a name on the Hub, or a folder. Only safetensors are loaded.
        revision (`str`, *optional*): of it, see [`Pretrained`].
        device (`str`, *optional*): the GPU of this process, else the CPU, by default.
        batch_size (`int`, *optional*, defaults to 64): images or texts at a time; halved when memory does not suffice.

    Raises:
        ValueError: an argument is out of its range.
    """

    model: str = "openai/clip-vit-large-patch14"
    revision: str | None = None
    device: str | None = None
    batch_size: int = 64
    kind: ClassVar[str] = "clip"  # what its model type contains

    def __post_init__(self):
        super().__post_init__()
        check_whole("batch_size", self.batch_size, 1)
        self.weights = Pretrained(self.model, self.revision)

    @property
    def parameters(self) -> dict[str, Any]:
        """Limits, and the model with its revision. Raises a `ValueError` if the model cannot be had."""
        return {**super().parameters, "model": self.weights.id, "revision": self.weights.revision}

    def load(self) -> None:
        """Loads the model, unless it is there. Raises a `ValueError` if it cannot be had or is of another kind."""
        _ = self.encoder, self.image_processor

    @cached_property
    def encoder(self) -> Any:
        """The model itself, on its device."""
        from transformers import AutoModel

        model = self.weights.load_model(AutoModel, pick_device(self.device))
        if self.kind not in model.config.model_type:
            raise ValueError(f"{self.name}: {self.weights.id!r} is a {type(model).__name__}, and no {self.kind}")
        return model

    @cached_property
    def image_processor(self) -> Any:
        """Pillow's resizing also where torchvision is installed: a score does not depend on what is installed."""
        from transformers import AutoImageProcessor

        return self.weights.load(AutoImageProcessor, backend="pil")

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return self.weights.load(AutoTokenizer)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Unit vectors of shape `(len(images), width)`, float64."""

        def forward(some: Sequence[Image.Image]) -> Any:
            pixels = self.image_processor([image.convert("RGB") for image in some], return_tensors="pt")
            return self._vectors(pixels["pixel_values"].to(self.encoder.device))

        return self._encode({id(image): image for image in images}, list(map(id, images)), forward)

    def _vectors(self, pixel_values: Any) -> Any:
        return self.encoder.get_image_features(pixel_values=pixel_values).pooler_output

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of shape `(len(texts), width)`, float64. Texts longer than a CLIP reads (77 tokens) are cut."""

        def forward(some: Sequence[str]) -> Any:
            longest = self.encoder.config.text_config.max_position_embeddings
            tokens = self.tokenizer(
                list(some), padding=True, truncation=True, max_length=longest, return_tensors="pt"
            ).to(self.encoder.device)
            return self.encoder.get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output

        return self._encode({text: text for text in texts}, texts, forward)

    def _encode(self, items: dict, keys: Sequence, forward: Callable[[Sequence], Any]) -> np.ndarray:
        """The unit vectors of some items, by their keys."""
        import torch

        def run(some: Sequence) -> list[np.ndarray]:
            with torch.inference_mode():
                return list(forward(some).double().cpu().numpy())

        found, self.batch_size = in_batches(run, list(items.values()), self.batch_size)
        found = dict(zip(items, found, strict=True))
        vectors = np.stack([found[key] for key in keys])
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def pairs(self, rows: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of the images before and after, each of shape `(len(rows), width)`."""
        images = self.images([image for row in rows for image in (row.before, row.after)])
        return images[::2], images[1::2]


@dataclass(eq=False)
class ClipImageSimilarity(ModelFilter):
    """
    Is the image still that image? Cosine of the images before and after the change, by CLIP. A `max` just below 1
    drops edits that did nothing.
    """

    min: float | None = 0.7
    name = "image_similarity"

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        return cosines(*self.pairs(rows)).tolist()


@dataclass(eq=False)
class DinoSimilarity(ClipImageSimilarity):
    """
    The same of the CLS vectors of a DINOv2, with or without registers, after the last norm: trained without texts, it
    sees shapes and places that CLIP does not.
    """

    min: float | None = 0.3
    model: str = "facebook/dinov2-base"
    name, kind = "dino_similarity", "dino"

    def _vectors(self, pixel_values: Any) -> Any:
        return self.encoder(pixel_values=pixel_values).last_hidden_state[:, 0]


@dataclass(eq=False)
class ClipImageText(ModelFilter):
    """
    Does the image show what is said of it? CLIP cosine of an image and its caption; of the two images of a pair the
    lower one counts, for InstructPix2Pix asks it of both. Where the source has no captions, that of the image after
    the change and the instruction: a weaker test, since an instruction names only what changes, and scores of the two
    kinds do not compare.
    """

    min: float | None = 0.2
    name = "clip_image_text"

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1."""
        pairs = []  # row, image, text
        for i, row in enumerate(rows):
            if row.captions is not None:
                pairs += [(i, row.before, row.captions[0]), (i, row.after, row.captions[1])]
            else:
                pairs.append((i, row.after, row.instruction))
        places, images, texts = zip(*pairs, strict=True)
        lowest = np.ones(len(rows))
        np.minimum.at(lowest, list(places), cosines(self.images(images), self.texts(texts)))
        return lowest.tolist()


@dataclass(eq=False)
class ClipDirection(ModelFilter):
    """
    Did the image change in the way in which its caption changed? Cosine of (image after - image before) and (caption
    after - caption before) in CLIP's space, as in StyleGAN-NADA (https://huggingface.co/papers/2108.00946) and
    InstructPix2Pix. Without a difference of the images, or of the captions, there is no direction, and the score is 0.
    """

    min: float | None = 0.2
    name, needs_captions = "clip_direction", True

    def measure(self, rows: Sequence[Candidate]) -> list[float]:
        """From -1 to 1. Raises a `ValueError` if a row has no captions."""
        for row in rows:
            if row.captions is None:
                raise ValueError(
                    f"{self.name} needs captions of the image before and after the change; source {row.source_id!r} "
                    "has none"
                )
        (before, after), texts = self.pairs(rows), self.texts([text for row in rows for text in row.captions])
        seen, said = after - before, texts[1::2] - texts[::2]
        lengths = np.linalg.norm(seen, axis=-1), np.linalg.norm(said, axis=-1)
        clear = (lengths[0] > LEAST) & (lengths[1] > LEAST)
        product = np.where(clear, lengths[0] * lengths[1], 1)
        return np.where(clear, np.clip((seen * said).sum(-1) / product, -1, 1), 0).tolist()


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of each row of `one` with that of `other`, both unit vectors: shape `(rows,)`, from -1 to 1."""
    return np.clip((one * other).sum(-1), -1, 1)
