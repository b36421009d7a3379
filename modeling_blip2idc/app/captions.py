"""What the page does with pairs of images, many people's at a time; without gradio."""

import os
import queue
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image, ImageOps

from ..attribution.overlay import overlay
from ..attribution.relevance import RelevanceMaps, relevance_maps
from ..checkpoints_blip2idc import DEFAULT, EMBEDDED
from ..loading.examples import load_examples
from ..loading.load import load_idc, public_name
from ..pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline
from .limits import read_image

SAME_SHAPE = 0.01  # difference of the logarithms of the aspect ratios that nobody sees
JPEG = {"format": "JPEG", "quality": 90, "subsampling": 0}
GROUND = (128, 128, 128)


class CaptionError(RuntimeError):
    """No caption, because of the model. The message is for the person who asked."""


@dataclass(frozen=True)
class Answer:
    """
    What a model says of a pair.

    Args:
        model (`str`): its name.
        caption (`str`): what changed.
        confidence (`float`): the pipeline's score, in (0, 1].
        changed (`bool`): whether the caption reports a change.
        images (`tuple` of two `PIL.Image.Image`): before and after as they are shown.
        maps ([`~attribution.relevance.RelevanceMaps`], *optional*): where it changed; `None` where nothing did.
        sure (`bool`, *optional*): the pipeline's `sure`; `None` of a model that cannot tell.
    """

    model: str
    caption: str
    confidence: float
    changed: bool
    images: tuple[Image.Image, Image.Image]
    maps: RelevanceMaps | None
    sure: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer without its pictures."""
        said = {key: getattr(self, key) for key in ("caption", "confidence", "changed", "model")}
        return said if self.sure is None else said | {"sure": self.sure}

    def heat(self) -> list[Image.Image]:
        """Both images under their maps; none where nothing changed."""
        if self.maps is None:
            return []
        return [overlay(image, on) for image, on in zip(self.images, (self.maps.before, self.maps.after), strict=True)]


class Batches:
    """
    A function of many, as one of one. What comes while it is at work waits, and then goes through it together.

    (gradio's `batch=True` answers the requests of a batch together: one that cannot be read fails all the others.)

    Args:
        function (`Callable`):
            Takes a list of items and returns as many results. A result that is an exception is raised to the one
            who asked. Only one thread of this object's own calls it.
        max_batch_size (`int`): most items of a call.
    """

    def __init__(self, function: Callable[[list], Sequence], max_batch_size: int):
        self._function, self._size = function, max_batch_size
        self._waiting: queue.SimpleQueue[tuple[Any, Future]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, item: Any) -> Any:
        """Wait for the result of `item`, or raise what went wrong with it."""
        future: Future = Future()
        self._waiting.put((item, future))
        return future.result()

    def _work(self) -> None:
        while True:
            self._answer()  # whose names end with it: between batches nothing of a request is kept

    def _answer(self) -> None:
        batch = [self._waiting.get()]
        while len(batch) < self._size and not self._waiting.empty():
            batch.append(self._waiting.get())
        try:
            results = self._function([item for item, _ in batch])
        except BaseException as error:
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


class Captioners:
    """
    The models that the page offers. What asks while one is at work goes through it together.

    Args:
        models (`Iterable[str]`, *optional*, defaults to `()`):
            Hub ids, folders or embedded names of models or adapters. The other embedded models are offered behind
            them. Each is loaded, and captions a bundled pair, so that what is wrong shows before anybody asks.
        device (`str`, *optional*): where they run; by default a GPU if there is one.
        max_batch_size (`int`, *optional*, defaults to 32): pairs at a time.

    Raises:
        [`CaptionError`]: if one of the models does not load, or fails on the bundled pair.
    """

    def __init__(self, models: Iterable[str] = (), device: str | None = None, max_batch_size: int = 32):
        self._batches: dict[str, Batches] = {}
        example, *_ = load_examples()
        models = [*models]
        embedded = {
            str(folder): f"{name} (embedded)"
            for name, folder in EMBEDDED.items()
            if name not in models and (name == DEFAULT or (folder / "model.safetensors").is_file())
        }
        for model in dict.fromkeys((*models, *embedded)):
            # of a folder, the page shows the name only
            name = base = embedded.get(model) or public_name(model)
            count = 1
            while name in self._batches:
                count += 1
                name = f"{base} ({count})"
            try:
                loaded, processor = load_idc(model)
                pipe = ImageDifferenceCaptioningPipeline(loaded, processor, task=TASK, device=device)
                self._batches[name] = Batches(partial(self._answer, name, pipe), max_batch_size)
                self(example["before"], example["after"], name)
            except CaptionError:
                raise
            except Exception as error:  # damaged files make the libraries fail in many ways
                raise CaptionError(f"The model {model} cannot be used: {error}") from error

    @property
    def names(self) -> list[str]:
        """What the models are called, the one that is used by default first."""
        return list(self._batches)

    def __call__(self, before: str | None, after: str | None, name: str | None = None) -> Answer:
        """
        Say what changed between the images at two paths; to be called from many threads.

        Raises:
            `ImageLoadError`: if an image cannot be used; [`CaptionError`] if the model, by default the first, cannot.
        """
        return self._batches[name or self.names[0]]((read_image(before, "before"), read_image(after, "after")))

    def _answer(self, name: str, pipe: Callable, pairs: list) -> list[Answer | CaptionError]:
        """Answers of one model, in its own thread."""
        try:
            return describe(pipe, pairs, name)
        except (RuntimeError, ArithmeticError) as error:  # no memory for so many, logits not finite
            if len(pairs) == 1:
                why = " ".join(str(error).split())[:500]
                return [CaptionError(f"The model {name} failed: {why}")]
            return [self._answer(name, pipe, [pair])[0] for pair in pairs]


def describe(pipe: Callable, pairs: Sequence[tuple[Image.Image, Image.Image]], name: str) -> list[Answer]:
    """Caption pairs, which go through the model of the pipeline together, and find where each changed."""
    said = [best for best, *_ in pipe(list(pairs), batch_size=len(pairs))]
    # a map has a highest point even where next to nothing is relevant
    some = [i for i, best in enumerate(said) if best["changed"] and best["generated_text"].strip()]
    captions = [said[i]["generated_text"] for i in some]
    found = relevance_maps(
        pipe.model, pipe.processor, [pairs[i] for i in some], captions, batch_size=len(pairs), fast=True
    )
    maps = dict(zip(some, found, strict=True))
    return [
        Answer(
            name, best["generated_text"], round(best["score"], 4), best["changed"], pair, maps.get(i), best.get("sure")
        )
        for i, (best, pair) in enumerate(zip(said, pairs, strict=True))
    ]


def same_frame(before: Image.Image, after: Image.Image) -> tuple[Image.Image, Image.Image]:
    """
    Two RGB images in one size, to swipe one against the other. Images of one shape are scaled to the larger one;
    others are put in the middle of a gray frame that holds both.
    """
    if before.size == after.size:
        return before, after
    width, height = (max(sides) for sides in zip(before.size, after.size, strict=True))
    ratios = [image.width / image.height for image in (before, after)]
    if max(ratios) / min(ratios) < 1 + SAME_SHAPE:
        return before.resize((width, height)), after.resize((width, height))
    return tuple(ImageOps.pad(image, (width, height), color=GROUND) for image in (before, after))


def write_images(images: Sequence[Image.Image], folder: str | os.PathLike) -> list[str]:
    """Write images as new files of a folder; returns their paths."""
    os.makedirs(folder, exist_ok=True)  # it goes when it is old
    paths = [os.path.join(folder, f"{uuid.uuid4().hex}.jpg") for _ in images]
    for image, path in zip(images, paths, strict=True):
        image.save(path, **JPEG)
    return paths
