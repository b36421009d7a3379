"""What the tests of the pipeline share."""

import numpy as np

from modeling_blip2idc import ImageDifferenceCaptioningPipeline

TASK = "image-difference-captioning"


def random_pairs(count: int, seed: int = 0) -> list[tuple]:
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)) for _ in range(count)]


def texts(results) -> list[list[str]]:
    return [[caption["generated_text"] for caption in captions] for captions in results]


def pipeline_of(model, processor) -> ImageDifferenceCaptioningPipeline:
    return ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu", max_new_tokens=6)
