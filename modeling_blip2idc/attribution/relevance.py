"""Where a caption comes from: a relevance map over each image of a pair."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ..configuration_blip2idc import NO_CHANGE_CAPTIONS
from ..image_processing_blip2idc import HALVES, CanvasGeometry, as_pair, make_canvas
from ..pipeline_blip2idc import ImageDifferenceCaptioningPipeline, as_captioner, normalize_caption, prompt_per_pair

# Chosen on the validation split of the rendered scenes (docs/attribution.md), in patches.
SHIFT = 0.3
BLUR = 0.25
SHIFTS = ((0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))


@dataclass(frozen=True)
class RelevanceMaps:
    """
    Where in two images a caption comes from.

    Args:
        caption (`str`): what is explained.
        before, after (`np.ndarray` of shape `(height, width)`, float32):
            Relevance of each pixel of that image, upright and at full resolution: not negative, and 1 at the highest
            point of the two maps together. All zero where nothing is relevant: of two equal images, and of a caption
            without a word.
    """

    caption: str
    before: np.ndarray
    after: np.ndarray


def relevance_maps(
    model,
    processor,
    pairs: tuple | Mapping | Sequence,
    captions: str | Sequence[str] | None = None,
    batch_size: int = 8,
    fast: bool = False,
    text: str | Sequence[str] | None = None,
    **processor_kwargs,
) -> list[RelevanceMaps]:
    """
    Where in the two images of each pair its caption comes from.

    With `s` = log p(caption) - log p("nothing changed", or what else stands first in `config.no_change_captions`) and
    `x` the canvas, the relevance of a pixel is `sum over channels |ds/dx * (x - x')|`, where `x'` is the same place in
    the other image: how much `s` would change, to first order, if the pixel were as there. (One step of integrated
    gradients, Sundararajan et al. 2017, whose baseline is the other image.) It is averaged over five positions of the
    images on the patch grid (the centre, and 0.3 patches along each diagonal), which gives places finer than a patch,
    and smoothed by a Gaussian of a quarter patch. A caption that means "nothing changed" has nothing to be compared
    with; `s` then is log p(caption).

    The model is left as it was, also after an error: no gradients, modes or weights of it change.

    Args:
        model (`PreTrainedModel` or `PeftModel`), processor (`ProcessorMixin`):
            As for [`ImageDifferenceCaptioningPipeline`].
        pairs (`tuple`, `dict` or `list` of them):
            A pair, `(before, after)` or `{"before": ..., "after": ...}`, of anything that `load_image` takes; or a
            list of pairs.
        captions (`str` or `list[str]`, *optional*):
            The caption of each pair; by default the model's own, found greedily. What the language model has no room
            for is cut off.
        batch_size (`int`, *optional*, defaults to 8): pairs at a time, on which their maps do not depend.
        fast (`bool`, *optional*, defaults to `False`): one position only; a fifth of the time, and coarser.
        text (`str` or `list[str]`, *optional*):
            The prompt, or one for each pair; by default the pair's own `prompt`, or else the processor's.
        processor_kwargs:
            `size`, `concat_axis` and `draft`, as for the processor.

    Returns:
        `list[RelevanceMaps]`: one per pair.

    Raises:
        `ValueError`: for what is not a pair, or an image that cannot be read (named `pairs[i]`); for captions that are
            not one non-empty string per pair; for a model that is neither BLIP-2 nor InstructBLIP.
        `FloatingPointError`: if the logits or gradients are not finite.
    """
    pairs = [pairs] if isinstance(pairs, tuple | Mapping) else list(pairs)
    captions = [captions] if isinstance(captions, str) else captions
    if captions is not None and len(captions) != len(pairs):
        raise ValueError(f"captions has {len(captions)} captions for {len(pairs)} pairs; give one for each pair")
    for i, caption in enumerate(captions or ()):
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(f"captions[{i}] is {caption!r}, it must be a string with at least one word")
    if text is None:
        text = [pair.get("prompt") if isinstance(pair, Mapping) else None for pair in pairs]
    prompts = prompt_per_pair(text, len(pairs))
    pairs = [as_pair(pair, f"pairs[{i}]") for i, pair in enumerate(pairs)]
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}, it must be 1 or more")
    if unknown := sorted(set(processor_kwargs) - {"size", "concat_axis", "draft"}):
        raise ValueError(
            f"{unknown[0]} is not an argument of relevance_maps; it takes text, size, concat_axis and draft"
        )
    model, results = as_captioner(model), []
    modes = {module: module.training for module in model.modules()}  # the pipeline switches to evaluation
    device = None if getattr(model, "hf_device_map", None) else model.device  # the model stays where it is
    try:
        pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device=device)
        for start in range(0, len(pairs), batch_size):
            part = slice(start, start + batch_size)
            batch, own = dict(enumerate(pairs[part], start)), captions and list(captions[part])
            options = {"text": prompts[part], **processor_kwargs}
            with torch.inference_mode(False), torch.enable_grad():
                results += _batch(pipe, batch, own, SHIFTS[:1] if fast else SHIFTS, options)
    finally:
        for module, training in modes.items():
            module.training = training
    return results


def _batch(pipe, pairs: dict[int, tuple], captions, shifts, options: dict) -> list[RelevanceMaps]:
    processor, text = pipe.processor, options.pop("text")
    layout = {"size": processor.image_processor.size, "concat_axis": processor.concat_axis, "draft": processor.draft}
    layout |= {name: value for name, value in options.items() if value is not None}
    resample = processor.image_processor.resample
    canvases = [make_canvas(*pair, resample=resample, name=f"pairs[{i}]", **layout) for i, pair in pairs.items()]
    # The halves as images: nothing is left to resize, and nothing is decoded twice.
    halves = [tuple(canvas.crop(geometry.half_box(which)) for which in HALVES) for canvas, geometry in canvases]
    geometries = [geometry for _, geometry in canvases]
    layout["size"] = dict(zip(("height", "width"), geometries[0].canvas_size, strict=True))
    if captions is None:
        said = pipe(halves, text=text, batch_size=len(halves), num_beams=1, do_sample=False, **layout)
        captions = [result[0]["generated_text"] for result in said]
    relevance = torch.zeros(len(halves), *geometries[0].canvas_size)  # (N, H, W)
    if todo := [i for i, caption in enumerate(captions) if caption]:
        some = [[column[i] for i in todo] for column in (halves, captions, text)]
        relevance[todo] = _relevance(pipe, *some, geometries[0], shifts, layout)
    results = []
    for caption, canvas_map, geometry in zip(captions, relevance, geometries, strict=True):
        before, after = (part.clip(0) for part in geometry.split_map(canvas_map))
        top = max(before.max(), after.max())
        results.append(RelevanceMaps(caption, *((before / top, after / top) if top > 0 else (before, after))))
    return results


def _relevance(pipe, halves, captions, text, geometry: CanvasGeometry, shifts, options: dict) -> torch.Tensor:
    """Relevance on the canvas, (N, H, W) on the CPU."""
    captioner, device = pipe.model, pipe.model.device
    known = getattr(captioner.config, "no_change_captions", None) or NO_CHANGE_CAPTIONS
    unchanged = {normalize_caption(caption) for caption in known}
    changed = torch.tensor([normalize_caption(caption) not in unchanged for caption in captions])
    if captioner.config.use_decoder_only_language_model:
        options = {**options, "max_length": captioner.config.text_config.max_position_embeddings}
    options = {**options, "images": halves, "text": text}
    targets = pipe.processor(captions=captions, **options).to(device)
    nothing = pipe.processor(captions=[known[0]] * len(halves), **options).to(device)
    pixels = targets.pop("pixel_values").float()  # (N, 3, H, W)
    instruction = {name: targets.pop(name) for name in list(targets) if name.startswith("qformer_")}
    weight = changed.to(device)
    patch = captioner.config.vision_config.patch_size
    boxes = [geometry.half_box(which) for which in HALVES]
    total, seen = torch.zeros_like(pixels[:, 0]), torch.zeros_like(pixels[:, 0])
    for x, y in shifts:
        x, y = round(x * SHIFT * patch), round(y * SHIFT * patch)
        moved = _move(pixels, boxes, x, y, "replicate").requires_grad_()
        features = captioner.get_image_features(moved, **instruction).pooler_output  # (N, queries, size of the LM)
        score = _log_probability(captioner, features, targets)  # (N,)
        if changed.any():
            score = score - weight * _log_probability(captioner, features, nothing)
        gradient = torch.autograd.grad(score.sum(), moved)[0]  # a row's score depends on its own pixels only
        if not (score.isfinite().all() and gradient.isfinite().all()):
            raise FloatingPointError(
                f"The logits or gradients of the model, in {captioner.dtype}, are not finite, so there is nothing to "
                "show. float16 overflows: load the model with dtype='bfloat16' or 'float32'."
            )
        moved = moved.detach()
        found = (gradient * (moved - _other(moved, boxes))).abs().sum(1, keepdim=True)  # (N, 1, H, W)
        total += _move(found, boxes, -x, -y, "constant")[:, 0]
        seen += _move(torch.ones_like(found), boxes, -x, -y, "constant")[:, 0]
    return _blur(total / seen, boxes, BLUR * patch).cpu()


def _log_probability(captioner, features: torch.Tensor, inputs: Mapping) -> torch.Tensor:
    """Of each caption, stop token included, (N,). The model's `forward` would compute the images' features anew."""
    embeds = captioner.get_input_embeddings()(inputs["input_ids"])
    places = captioner.get_placeholder_mask(inputs["input_ids"], inputs_embeds=embeds)
    embeds = embeds.masked_scatter(places, features.to(embeds.device, embeds.dtype))
    given = {"inputs_embeds": embeds, "attention_mask": inputs["attention_mask"]}
    labels = inputs["labels"]
    if captioner.config.use_decoder_only_language_model:
        logits, labels = captioner.language_model(**given).logits[:, :-1], labels[:, 1:]
    else:
        logits = captioner.language_model(**given, labels=labels).logits
    losses = F.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=-100, reduction="none")
    return -losses.sum(1)


def _move(maps: torch.Tensor, boxes, x: int, y: int, mode: str) -> torch.Tensor:
    """Moves the content of each half of (N, C, H, W) right by `x` and down by `y`; the edge is filled by `mode`."""
    moved = torch.empty_like(maps)
    margin = max(abs(x), abs(y))
    for left, top, right, bottom in boxes:
        padded = F.pad(maps[..., top:bottom, left:right], (margin,) * 4, mode=mode)
        rows, columns = slice(margin - y, margin - y + bottom - top), slice(margin - x, margin - x + right - left)
        moved[..., top:bottom, left:right] = padded[..., rows, columns]
    return moved


def _other(pixels: torch.Tensor, boxes) -> torch.Tensor:
    """Each half replaced by the other one; of an odd canvas, resized by that one pixel."""
    swapped = torch.empty_like(pixels)
    for (left, top, right, bottom), (l2, t2, r2, b2) in itertools.permutations(boxes):
        other, size = pixels[..., t2:b2, l2:r2], (bottom - top, right - left)
        if other.shape[-2:] != size:
            other = F.interpolate(other, size=size, mode="bilinear", align_corners=False)
        swapped[..., top:bottom, left:right] = other
    return swapped


def _blur(maps: torch.Tensor, boxes, sigma: float) -> torch.Tensor:
    """Gaussian on each half of (N, H, W) by itself; beyond its edge there is nothing."""
    radius = max(1, round(3 * sigma))
    kernel = torch.exp(-(torch.arange(-radius, radius + 1, device=maps.device) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    blurred = torch.empty_like(maps)
    for left, top, right, bottom in boxes:
        part = maps[:, None, top:bottom, left:right]
        part = F.conv2d(part, kernel.view(1, 1, -1, 1), padding=(radius, 0))
        part = F.conv2d(part, kernel.view(1, 1, 1, -1), padding=(0, radius))
        blurred[:, top:bottom, left:right] = part[:, 0]
    return blurred


__all__ = ["RelevanceMaps", "relevance_maps"]
