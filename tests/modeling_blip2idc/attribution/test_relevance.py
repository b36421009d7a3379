"""Relevance maps: where they lie, what they leave alone, which models they work for, and that they point right."""

import numpy as np
import pytest
import torch
from datasets import load_dataset
from peft import get_peft_model
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

import datasets_syned  # noqa: F401  registers the data set
from benchmarks.attribution import gaussian, masks, pixel_difference, points_at
from modeling_blip2idc import load_idc, lora_config
from modeling_blip2idc.attribution.relevance import relevance_maps
from modeling_blip2idc.pipeline_blip2idc import ImageDifferenceCaptioningPipeline
from tests.support.tiny_blip2 import CAPTIONS, random_pairs, tiny_pair


@pytest.fixture(scope="module")
def embedded():
    return load_idc()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Fourteen pairs, twelve of them changed, camera and light moved."""
    cache = str(tmp_path_factory.mktemp("datasets"))
    sizes = {"train": 0, "validation": 0, "test": 14}
    return list(load_dataset("syned", "scenes", split="test", masks=True, cache_dir=cache, **sizes))


def square_pair(before_size, after_size, box):
    """Grey images, one of which differs by a square at `box`, in parts of its width and height."""
    images = [Image.new("RGB", size, (120, 120, 120)) for size in (before_size, after_size)]
    (left, top, right, bottom), (width, height) = box, after_size
    place = tuple(round(part) for part in (left * width, top * height, right * width, bottom * height))
    images[1].paste((220, 30, 30), place)
    return tuple(images)


def centre_of(relevance):
    """Centre of gravity, in parts of width and height."""
    rows, columns = np.mgrid[: relevance.shape[0], : relevance.shape[1]] + 0.5
    total = relevance.sum()
    height, width = relevance.shape
    return (columns * relevance).sum() / total / width, (rows * relevance).sum() / total / height


def same_maps(one, other, tolerance=0.0):
    for side in ("before", "after"):
        np.testing.assert_allclose(getattr(one, side), getattr(other, side), rtol=0, atol=tolerance)


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize(
    ("before_size", "after_size"), [((144, 96), (144, 96)), ((40, 300), (500, 31)), ((301, 203), (77, 77))]
)
@pytest.mark.parametrize("box", [(0.1, 0.55, 0.3, 0.75), (0.6, 0.1, 0.8, 0.3)])
def test_maps_lie_where_the_images_differ(tiny_model, tiny_processor, axis, before_size, after_size, box):
    """Of any size and shape; the same place in parts of width and height in both, as both fill a half each."""
    pair = square_pair(before_size, after_size, box)
    size = {"height": 112, "width": 112}
    (maps,) = relevance_maps(tiny_model, tiny_processor, [pair], CAPTIONS[:1], concat_axis=axis, size=size)
    assert maps.before.shape == before_size[::-1] and maps.after.shape == after_size[::-1]
    assert maps.before.dtype == maps.after.dtype == np.float32
    left, top, right, bottom = box
    for relevance in (maps.before, maps.after):
        assert relevance.min() >= 0 and relevance.max() > 0
        x, y = centre_of(relevance)
        # half a side of the square, and what the model weighs within it
        assert abs(x - (left + right) / 2) < 0.1 and abs(y - (top + bottom) / 2) < 0.1
        height, width = relevance.shape
        reach = 0.25  # smoothing reaches three quarters of a patch of 14, on halves of 56 at the least
        far = relevance.copy()
        far[
            max(0, int((top - reach) * height)) : int((bottom + reach) * height) + 1,
            max(0, int((left - reach) * width)) : int((right + reach) * width) + 1,
        ] = 0
        assert far.max() < 1e-3
    assert max(maps.before.max(), maps.after.max()) == 1


def test_a_canvas_with_a_patch_across_the_seam(tiny_model, tiny_processor):
    size = {"height": 42, "width": 70}  # seam in the second of three rows of patches
    pair = square_pair((60, 40), (60, 40), (0.7, 0.1, 0.9, 0.4))
    (maps,) = relevance_maps(tiny_model, tiny_processor, pair, size=size, captions=CAPTIONS[0])
    for relevance in (maps.before, maps.after):
        x, y = centre_of(relevance)
        assert abs(x - 0.8) < 0.1 and abs(y - 0.25) < 0.15


def test_the_map_is_what_its_definition_says(tiny_model, tiny_processor):
    """Written out once more, on images of the size of their halves, with a change that reaches the edges."""
    rng = np.random.default_rng(0)
    pair = [rng.integers(0, 256, (28, 28, 3), dtype=np.uint8) for _ in range(2)]
    said = tiny_processor(images=[tuple(pair)], captions=CAPTIONS[:1])
    unsaid = tiny_processor(images=[tuple(pair)], captions=tiny_model.config.no_change_captions[:1])
    canvas = said["pixel_values"]
    sums, counts = np.zeros((2, 28, 28)), np.zeros((2, 28, 28))
    for x, y in ((0, 0), (-4, -4), (4, -4), (-4, 4), (4, 4)):  # 0.3 patches of 14
        halves = canvas[0].numpy().reshape(3, 2, 28, 28).swapaxes(0, 1)
        halves = [np.pad(half, ((0, 0), (4, 4), (4, 4)), "edge") for half in halves]
        halves = np.stack([half[:, 4 - y : 32 - y, 4 - x : 32 - x] for half in halves])  # (2, 3, 28, 28)
        pixels = torch.tensor(halves).transpose(0, 1).reshape(1, 3, 56, 28).requires_grad_()
        score = 0
        for sign, inputs in ((1, said), (-1, unsaid)):
            taken = {**inputs, "pixel_values": pixels}
            score -= sign * tiny_model(**taken).loss * (taken["labels"] != -100).sum()
        score.backward()
        gradient = pixels.grad[0].reshape(3, 2, 28, 28).transpose(0, 1).numpy()
        found = np.abs(gradient * (halves - halves[::-1])).sum(1)
        place = np.indices((28, 28)) + np.array([y, x])[:, None, None]  # where the pixel stands after the shift
        inside = ((place >= 0) & (place < 28)).all(0)
        sums[:, inside] += found[:, place[0][inside], place[1][inside]]
        counts[:, inside] += 1
    blur = gaussian(28, 14 / 4)
    blur /= blur[14].sum()
    expected = blur @ (sums / counts) @ blur
    (maps,) = relevance_maps(tiny_model, tiny_processor, tuple(pair), CAPTIONS[0])
    expected /= expected.max()
    np.testing.assert_allclose(np.stack([maps.before, maps.after]), expected, atol=0.01)


def test_what_means_no_change_is_compared_with_nothing(tiny_model, tiny_processor):
    pair = random_pairs(1)[0]
    (compared,) = relevance_maps(tiny_model, tiny_processor, pair, CAPTIONS[0])
    tiny_model.config.no_change_captions = [CAPTIONS[0]]
    (alone,) = relevance_maps(tiny_model, tiny_processor, pair, CAPTIONS[0])
    assert np.abs(alone.before - compared.before).max() > 0.01


def test_equal_images_have_nothing_to_show(tiny_model, tiny_processor):
    image = random_pairs(1)[0][0]
    (maps,) = relevance_maps(tiny_model, tiny_processor, (image, image), CAPTIONS[0])
    assert not maps.before.any() and not maps.after.any()


def test_the_captions_are_those_of_the_pipeline(embedded, rows):
    model, processor = embedded
    pairs = [(row["before"], row["after"]) for row in rows[:4]]
    pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor)
    said = [result[0]["generated_text"] for result in pipe(pairs)]
    found = relevance_maps(model, processor, pairs, batch_size=3, fast=True)
    assert [maps.caption for maps in found] == said
    for own, given in zip(found, relevance_maps(model, processor, pairs, said, 3, fast=True), strict=True):
        same_maps(own, given)


def test_another_caption_has_another_map(embedded, rows):
    captions = ["the small red cube turned blue", "the large sphere is gone", "nothing changed"]
    found = relevance_maps(*embedded, [(rows[0]["before"], rows[0]["after"])] * 3, captions)
    assert np.abs(found[0].after - found[1].after).max() > 0.05
    assert all(max(maps.before.max(), maps.after.max()) == 1 for maps in found)


def test_a_batch_says_what_single_pairs_say(embedded, rows):
    pairs = [(row["before"], row["after"].resize((90 + 9 * i, 60))) for i, row in enumerate(rows[:3])]
    batched = relevance_maps(*embedded, pairs, batch_size=3)
    for pair, together in zip(pairs, batched, strict=True):
        (alone,) = relevance_maps(*embedded, pair)
        assert alone.caption == together.caption
        same_maps(alone, together, 1e-3)


FOLDERS = {"instructblip": "instructblip_dir", "plain": "plain_dir", "plain instructblip": "plain_instructblip_dir"}


def random_model(name, request):
    """Model and processor of a kind that has no trained checkpoint here; "plain": of the stock classes."""
    if name in FOLDERS:
        folder = request.getfixturevalue(FOLDERS[name])
        return [auto.from_pretrained(folder) for auto in (AutoModelForImageTextToText, AutoProcessor)]
    model, processor = tiny_pair(t5=name == "t5")
    if name == "lora":
        model = get_peft_model(model, lora_config())
    return [model.to(torch.bfloat16) if name == "bfloat16" else model, processor]


def state_of(model):
    hooks = [(len(module._forward_hooks), len(module._backward_hooks)) for module in model.modules()]
    parameters = [(name, p.requires_grad, p.grad, p._version) for name, p in model.named_parameters()]
    attention = [
        config._attn_implementation
        for config in (model.config, model.config.vision_config, model.config.qformer_config, model.config.text_config)
    ]
    modes = [module.training for module in model.modules()]
    return modes, hooks, parameters, attention, model.generation_config.to_dict(), type(model)


@pytest.mark.parametrize("name", ["opt", "t5", "instructblip", "lora", "plain", "plain instructblip", "bfloat16"])
def test_every_model_is_explained_and_left_as_it_was(name, request):
    model, processor = random_model(name, request)
    model.train()
    model.vision_model.eval()  # as after freezing one tower
    next(model.parameters()).requires_grad_(False)
    before = state_of(model)
    pairs = random_pairs(2)
    found = relevance_maps(model, processor, pairs, CAPTIONS[:2])
    for maps in found:
        assert maps.before.shape == maps.after.shape == (20, 30)
        assert np.isfinite(maps.before).all() and max(maps.before.max(), maps.after.max()) == 1
    own = relevance_maps(model, processor, pairs[0])[0]
    assert own.before.any() == bool(own.caption)
    assert state_of(model) == before
    with pytest.raises(ValueError, match="control tokens"):
        relevance_maps(model, processor, pairs, [CAPTIONS[0], "the cube<image>"])
    assert state_of(model) == before


def test_gradients_are_made_where_the_caller_has_none(tiny_model, tiny_processor):
    pairs = random_pairs(1)
    expected = relevance_maps(tiny_model, tiny_processor, pairs, CAPTIONS[:1])[0]
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            same_maps(relevance_maps(tiny_model, tiny_processor, pairs, CAPTIONS[:1])[0], expected)
            assert not torch.is_grad_enabled()


def test_an_adapter_changes_the_map(tiny_model, tiny_processor):
    pairs = random_pairs(1)
    (plain,) = relevance_maps(tiny_model, tiny_processor, pairs, CAPTIONS[:1])
    adapted = get_peft_model(tiny_model, lora_config())
    same_maps(relevance_maps(adapted, tiny_processor, pairs, CAPTIONS[:1])[0], plain, 1e-5)  # B is zero
    with torch.no_grad():
        for parameter_name, parameter in adapted.named_parameters():
            if "lora_B" in parameter_name:
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    (maps,) = relevance_maps(adapted, tiny_processor, pairs, CAPTIONS[:1])
    assert np.abs(maps.before - plain.before).max() > 0.01


PAIR = random_pairs(1)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": [PAIR[0]]}, r"pairs\[0\]: got ndarray where a pair"),
        ({"pairs": [PAIR, (PAIR[0], "missing.png")]}, r"pairs\[1\] after 'missing.png': no such file"),
        ({"pairs": [PAIR], "captions": ["a", "b"]}, "captions has 2 captions for 1 pairs"),
        ({"pairs": [PAIR], "captions": [" "]}, r"captions\[0\] is ' ', it must be a string"),
        ({"pairs": [PAIR], "batch_size": 0}, "batch_size is 0"),
        ({"pairs": [PAIR], "num_beams": 3}, "num_beams is not an argument of relevance_maps"),
        ({"pairs": [PAIR], "size": {"height": 50, "width": 28}, "captions": ["the cube"]}, "multiple of the patch"),
        ({"pairs": [PAIR], "text": ["a", "b"]}, "text has 2 prompts for 1 pairs"),
    ],
)
def test_bad_input_is_named(tiny_model, tiny_processor, arguments, message):
    with pytest.raises(ValueError, match=message):
        relevance_maps(tiny_model, tiny_processor, **arguments)


def test_a_prompt_for_each_pair(tiny_model, tiny_processor):
    pairs, prompts = random_pairs(3), ["the small", "the large green rubber cube", None]
    rows = [{"before": b, "after": a, "prompt": p} for (b, a), p in zip(pairs, prompts, strict=True)]
    for found in (relevance_maps(tiny_model, tiny_processor, rows),
                  relevance_maps(tiny_model, tiny_processor, pairs, text=prompts)):  # fmt: skip
        for pair, prompt, maps in zip(pairs, prompts, found, strict=True):
            (alone,) = relevance_maps(tiny_model, tiny_processor, pair, text=prompt)
            assert alone.caption == maps.caption
            same_maps(alone, maps, 1e-3)


@pytest.mark.parametrize("captions", [None, CAPTIONS[:1]])
def test_logits_that_are_not_finite_are_an_error(captions):
    """float16 overflows; an empty map would look like "nothing to see"."""
    model, processor = tiny_pair(t5=True)
    with torch.no_grad():
        model.language_projection.weight.mul_(3e4)
    with pytest.raises(FloatingPointError, match="float16.*are not finite"):
        relevance_maps(model.half(), processor, [PAIR], captions)


def test_other_models_are_refused(tiny_model, tiny_processor):
    assert relevance_maps(tiny_model, tiny_processor, []) == []
    with pytest.raises(ValueError, match="needs a BLIP-2 model"):
        relevance_maps(tiny_model.vision_model, tiny_processor, [PAIR], CAPTIONS[:1])


def test_it_points_better_than_chance_and_than_pixel_difference(embedded, rows):
    """At twelve changed pairs of the test split under a moving camera."""
    changed = [row for row in rows if row["changed"]][:12]
    assert len(changed) == 12
    found = relevance_maps(*embedded, [(row["before"], row["after"]) for row in changed], batch_size=12)
    ours, pixels, chance = [], [], []
    for row, maps in zip(changed, found, strict=True):
        for relevance, mask in zip((maps.before, maps.after), masks(row), strict=True):
            if mask is not None:
                ours.append(points_at(relevance, mask, 0))
                pixels.append(points_at(pixel_difference(row), mask, 0))
                chance.append(mask.mean())
    assert np.mean(ours) >= 0.85
    assert np.mean(ours) >= np.mean(pixels) + 0.2
    assert np.mean(chance) < 0.1
