"""The filters that need no model."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets_syned.scenes import make_pair
from datasets_syned.synthesis.filters.pixel_filters import ChangedArea, NearDuplicates
from datasets_syned.synthesis.filters.protocol import Candidate
from tests.support.candidates import keep, keep_batch, solid, with_patch


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def cloudy(seed: int, side: int = 512) -> Image.Image:
    """Coloured noise whose amplitudes fall with 1/frequency, as those of photos do."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    bands = [np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) / frequency).real for _ in range(3)]
    light, one, two = ((band - band.mean()) / band.std() for band in bands)
    image = np.stack([light + 0.3 * one, light - 0.2 * two, light - 0.3 * one + 0.2 * two], -1)
    return Image.fromarray(np.uint8(np.clip(128 + 50 * image, 0, 255)))


def true_share(pair) -> float:
    """Share of the pixels that the changed object covers before or after."""
    changed = np.zeros(pair.before_mask.shape, bool)
    for mask, place in zip((pair.before_mask, pair.after_mask), pair.changed_object, strict=True):
        if place is not None:
            changed |= mask == place + 1
    return changed.mean()


def test_changed_area_against_the_masks_of_scenes():
    # Shadows change as well, and the blur widens small objects: up to 2.5 times the object, and not less than it. A
    # texture changes a part of its object: from a third.
    ratios = []
    for index in range(36):
        pair = make_pair(0, "validation", index, jitter=0.0)
        row = Candidate(pair.id, 0, Image.fromarray(pair.before), Image.fromarray(pair.after), "")
        verdict = keep(ChangedArea(), row)
        if pair.changed:
            assert verdict is True
            ratios.append(row.scores["changed_area"] / true_share(pair))
            assert (1 / 3 if pair.category == "texture" else 1) < ratios[-1] < 2.5
        else:
            assert verdict == (False, "changed_area 0.000 is below 0.005")
            assert row.scores["changed_area"] == 0
    assert len(ratios) == 30 and 1 < np.median(ratios) < 1.5


def test_changed_area_of_a_known_patch():
    before = solid("gray", (512, 256))
    row = Candidate("a", 0, before, with_patch(before, (0, 0, 256, 128)), "")  # a quarter; the blur adds its edge
    assert keep(ChangedArea(), row) is True
    assert row.scores["changed_area"] == pytest.approx(0.25, rel=0.1)
    row.after = solid("white", (512, 256))
    assert keep(ChangedArea(), row) == (False, "changed_area 1.000 is above 0.9")
    row.after = row.after.resize((300, 200))
    assert keep(ChangedArea(max=1.0), row) is True


@pytest.mark.parametrize("quality", [95, 75, 50])
def test_compression_is_no_change(quality):
    for image in (cloudy(0), cloudy(1), Image.fromarray(make_pair(0, "train", 0, width=512, height=340).before)):
        row = Candidate("a", 0, image, as_jpeg(image, quality), "")
        assert keep(ChangedArea(), row) == (False, "changed_area 0.000 is below 0.005")
    assert keep(ChangedArea(max=1, threshold=0.5), row) is True  # there is something to be overlooked


def test_a_darker_and_a_sharper_image_differ_by_degrees():
    image = cloudy(2)
    row = Candidate("a", 0, image, image.point(lambda level: level * 0.6), "")
    assert keep(ChangedArea(), row)[0] is False and row.scores["changed_area"] > 0.9  # all of it is darker
    row.after = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    keep(ChangedArea(), row)
    assert row.scores["changed_area"] > 0.5


def test_near_duplicates_of_rendered_variants():
    pairs = [make_pair(0, "train", index, jitter=0.0) for index in (0, 1)]
    before, one, other = (Image.fromarray(pixels) for pixels in (pairs[0].before, pairs[0].after, pairs[1].after))
    once_more = with_patch(one, (0, 0, 4, 4), "black")  # 16 of 13,824 pixels

    def row(source, variant, after):
        return Candidate(source, variant, before, after, "")

    rows = [
        row("a", 0, one),
        row("b", 0, one),  # another source's
        row("a", 1, once_more),
        row("a", 2, other),
        row("a", 3, one.copy()),
        row("b", 1, other),
        row("a", 4, before),
    ]
    verdicts = keep_batch(NearDuplicates(), rows)
    assert [verdict is True for verdict in verdicts] == [True, True, False, True, False, True, True]
    assert verdicts[4] == (False, "near_duplicates 0.000 is below 0.01")
    assert 0 < rows[2].scores["near_duplicates"] < 0.01
    assert rows[0].scores["near_duplicates"] == rows[1].scores["near_duplicates"] == 1.0
    assert all(keep(NearDuplicates(), row) is True for row in rows)


def test_what_is_dropped_drops_nothing():
    # A chain in which each differs a little from the one before: every second one is far enough from the one kept.
    before = solid("gray", (100, 100))
    rows = [Candidate("a", i, before, with_patch(before, (0, 0, 100, 10 + 5 * i)), "") for i in range(5)]
    verdicts = keep_batch(NearDuplicates(min=0.1), rows)
    assert [verdict is True for verdict in verdicts] == [True, False, True, False, True]
