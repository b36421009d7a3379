"""What the tests of the pipeline and of the loader share."""

import torch
from transformers import pipeline

from modeling_blip2idc import Blip2IDCForConditionalGeneration, ImageDifferenceCaptioningPipeline, load_idc

TASK = "image-difference-captioning"
# Every way from a folder to a model.
LOADERS = {
    "load_idc": lambda folder: load_idc(folder)[0],
    "pipeline": lambda folder: pipeline(TASK, model=str(folder), device="cpu").model,
    "from_pretrained": Blip2IDCForConditionalGeneration.from_pretrained,
}


@torch.no_grad()
def logits_of(model, inputs, **kwargs) -> torch.Tensor:
    return model.eval()(**inputs, **kwargs).logits


def texts(results) -> list[list[str]]:
    return [[caption["generated_text"] for caption in captions] for captions in results]


def pipeline_of(model, processor) -> ImageDifferenceCaptioningPipeline:
    return ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu", max_new_tokens=6)
