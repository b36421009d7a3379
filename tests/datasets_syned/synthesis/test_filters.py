"""The filters that look through a model: scores and verdicts, on real tiny models and rendered scenes."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BitImageProcessorPil, CLIPImageProcessorPil, CLIPModel, Dinov2Model

from datasets_syned.synthesis.filters.model_filters import (
    ClipDirection,
    ClipImageSimilarity,
    ClipImageText,
    DinoSimilarity,
)
from datasets_syned.synthesis.filters.pixel_filters import ChangedArea, NearDuplicates
from datasets_syned.synthesis.filters.protocol import Candidate
from tests.support.candidates import keep, keep_batch, scene, solid

CLIP_FILTERS = (ClipImageText, ClipDirection, ClipImageSimilarity)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=0).item()


class PlainClip:
    """Scores as the definition says, one image at a time, with transformers alone."""

    def __init__(self, folder):
        self.model = CLIPModel.from_pretrained(folder).eval()
        self.processor = CLIPImageProcessorPil.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def image(self, image):
        vision = self.model.vision_model(self.processor(image.convert("RGB"), return_tensors="pt")["pixel_values"])
        vector = self.model.visual_projection(vision.pooler_output)[0]
        return vector / vector.norm()

    @torch.no_grad()
    def text(self, text):
        tokens = self.tokenizer([text], return_tensors="pt")
        vector = self.model.text_projection(self.model.text_model(**tokens).pooler_output)[0]
        return vector / vector.norm()

    def scores(self, row):
        before, after = self.image(row.before), self.image(row.after)
        said = [self.text(text) for text in row.captions]
        return {
            "clip_image_text": min(cosine(before, said[0]), cosine(after, said[1])),
            "clip_direction": cosine(after - before, said[1] - said[0]),
            "image_similarity": cosine(before, after),
        }


def test_clip_scores_are_those_of_the_plain_model(clip_dir, clip):
    rows = [scene(i) for i in range(7)]
    plain = PlainClip(clip_dir)
    expected = [plain.scores(row) for row in rows]
    for cls in CLIP_FILTERS:
        filter = cls(min=-1, **clip)
        assert keep_batch(filter, rows) == [True] * len(rows)
        together = [row.scores[filter.name] for row in rows]
        alone = [scene(i) for i in range(7)]
        assert all(keep(filter, row) is True for row in alone)
        assert together == pytest.approx([row.scores[filter.name] for row in alone], abs=1e-5)
        assert together == pytest.approx([scores[filter.name] for scores in expected], abs=1e-5)
        assert np.ptp(together) > 0.05  # the models see a difference, so that the above can fail


def test_without_captions_the_instruction_is_what_the_image_after_shows(clip_dir, clip):
    row = scene(1, captions=False)
    filter = ClipImageText(min=-1, **clip)
    assert keep(filter, row) is True and filter.needs_captions is False
    plain = PlainClip(clip_dir)
    assert row.scores["clip_image_text"] == pytest.approx(
        cosine(plain.image(row.after), plain.text(row.instruction)), abs=1e-5
    )


def test_direction_needs_captions(clip):
    filter = ClipDirection(**clip)
    assert filter.needs_captions is True
    with pytest.raises(ValueError, match="clip_direction needs captions.*'train-000003' has none"):
        keep_batch(filter, [scene(2), scene(3, captions=False)])


@pytest.mark.parametrize("copied", [False, True])
def test_no_change_has_no_direction(clip, copied):
    row, direction = scene(0), ClipDirection(**clip)
    noise = torch.Generator().manual_seed(0)  # as much as another batch size or another GPU makes
    direction.encoder.visual_projection.register_forward_hook(
        lambda module, args, found: found + 1e-6 * torch.randn(found.shape, generator=noise)
    )
    row.after = row.before.copy() if copied else row.before
    dropped = (False, "clip_direction 0.000 is below 0.2")
    assert keep_batch(direction, [scene(1), row])[1] == dropped and row.scores["clip_direction"] == 0.0
    other = scene(1)
    other.captions = ("a thing", "a thing")
    assert keep(direction, other) == dropped
    assert keep(ClipImageSimilarity(min=0.999, **clip), row) is True
    assert keep(ClipImageSimilarity(max=0.99, **clip), row) == (False, "image_similarity 1.000 is above 0.99")


def test_long_captions_are_cut(clip):
    row = scene(0)
    row.captions = ("word " * 300, "other " * 300)
    assert keep(ClipImageText(min=-1, **clip), row) is True


def test_dino_scores_are_those_of_the_plain_model(dino_dir):
    rows = [scene(i) for i in range(6)]
    filter = DinoSimilarity(min=-1, model=str(dino_dir), device="cpu")
    assert keep_batch(filter, rows) == [True] * len(rows)
    model, processor = Dinov2Model.from_pretrained(dino_dir).eval(), BitImageProcessorPil.from_pretrained(dino_dir)
    for i, row in enumerate(rows):
        with torch.no_grad():
            pair = [
                model(**processor(image, return_tensors="pt")).pooler_output[0] for image in (row.before, row.after)
            ]
        alone = scene(i)
        keep(filter, alone)
        assert row.scores["dino_similarity"] == pytest.approx(cosine(*pair), abs=1e-5)
        assert row.scores["dino_similarity"] == pytest.approx(alone.scores["dino_similarity"], abs=1e-5)


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1"])
def test_sizes_and_modes_may_differ(clip, dino_dir, mode):
    rows = [Candidate("a", 0, solid("gray", (90, 40), mode), solid("gray", (33, 71)), "x", ("x", "y")), scene(0)]
    filters = [cls(min=-1, **clip) for cls in CLIP_FILTERS]
    filters += [DinoSimilarity(min=-1, model=str(dino_dir)), ChangedArea(min=None, max=None), NearDuplicates(min=None)]
    for filter in filters:
        assert keep_batch(filter, rows) == [True, True]
        assert np.isfinite(rows[0].scores[filter.name])


def test_the_image_processors_are_those_of_pillow(clip, dino_dir):
    assert type(ClipImageText(**clip).image_processor) is CLIPImageProcessorPil
    assert type(DinoSimilarity(model=str(dino_dir)).image_processor) is BitImageProcessorPil


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.2, True),
        (0.8, True),
        (0.113, (False, "clip_direction 0.113 is below 0.2")),
        (0.19999, (False, "clip_direction 0.199990 is below 0.2")),
        (0.80004, (False, "clip_direction 0.800040 is above 0.8")),
        (-1.0, (False, "clip_direction -1.000 is below 0.2")),
        (float("nan"), (False, "clip_direction is not a number")),
    ],
)
def test_verdict(score, verdict):
    assert ClipDirection(min=0.2, max=0.8).verdict(score) == verdict
