import numpy as np
import pytest
from PIL import Image

from datasets_syned import BlurJPEG
from datasets_syned.scenes import make_pair
from modeling_blip2idc import load_image


@pytest.fixture(scope="module")
def pair():
    made = make_pair(0, "train", 0)
    return Image.fromarray(made.before), Image.fromarray(made.after)


def augmented(augment, pair, seed=0):
    return [np.asarray(image).astype(int) for image in augment(*pair, np.random.default_rng(seed))]


def test_same_seed_same_pixels_other_seed_other_pixels(pair):
    always = BlurJPEG(blur=1.0, jpeg=1.0)
    first, again, other = (augmented(always, pair, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_given_images_stay(pair):
    before = [image.tobytes() for image in pair]
    augmented(BlurJPEG(blur=1.0, jpeg=1.0), pair)
    assert [image.tobytes() for image in pair] == before


def test_nothing_to_do_changes_nothing(pair):
    for pixels, image in zip(augmented(BlurJPEG(blur=0.0, jpeg=0.0), pair), pair, strict=True):
        assert np.array_equal(pixels, np.asarray(image))


def test_sigma_is_in_pixels():
    """White noise blurred with a Gaussian of sigma has 1 / (2 sqrt(pi) sigma) of its standard deviation."""
    noise = Image.fromarray(np.random.default_rng(0).normal(128, 30, (200, 200)).clip(0, 255).astype(np.uint8))
    for sigma in (1.0, 2.0):
        before, after = augmented(BlurJPEG(blur=1.0, sigma=(sigma, sigma), jpeg=0.0), (noise, noise))
        assert before[..., 0].std() / np.asarray(noise).std() == pytest.approx(0.2821 / sigma, rel=0.05)
        assert np.array_equal(before, after)


def test_lower_quality_differs_more(pair):
    def error(quality):
        (new, _) = augmented(BlurJPEG(blur=0.0, jpeg=1.0, quality=(quality, quality)), pair)
        return np.abs(new - np.asarray(pair[0]).astype(int)).mean()

    assert 6 > error(20) > error(60) > error(95) > 0


def test_both_images_get_the_same_draw(pair):
    twice = (pair[0], pair[0])
    for seed in range(20):
        a, b = augmented(BlurJPEG(), twice, seed)
        assert np.array_equal(a, b)


def test_both_images_get_the_same_kind_with_their_own_strength(pair):
    twice = (pair[0], pair[0])
    kinds, unequal = [], 0
    for seed in range(60):
        a, b = augmented(BlurJPEG(independent=True), twice, seed)
        touched = [not np.array_equal(side, np.asarray(pair[0])) for side in (a, b)]
        assert touched[0] == touched[1], seed
        kinds.append(touched[0])
        unequal += not np.array_equal(a, b)
    assert 0.6 < np.mean(kinds) < 0.9  # 1 - .5 * .5 of the pairs
    assert unequal > 30


def test_any_mode_and_unequal_sizes():
    clear = Image.new("RGBA", (30, 20), (255, 0, 0, 0))
    palette = Image.new("RGB", (7, 50), "blue").convert("P")
    before, after = BlurJPEG(blur=1.0, jpeg=1.0)(clear, palette, np.random.default_rng(0))
    assert (before.mode, before.size, after.mode, after.size) == ("RGB", (30, 20), "RGB", (7, 50))
    assert np.asarray(before).min() > 250, "transparent is white"
    assert np.abs(np.asarray(after).astype(int) - (0, 0, 255)).max() < 6


def test_exif_orientation_is_applied():
    image = Image.new("RGB", (8, 4))
    image.getexif()[0x0112] = 6  # turn by 90 degrees
    before, _ = BlurJPEG(blur=0.0, jpeg=1.0)(image, image, np.random.default_rng(0))
    assert before.size == (4, 8) and not before.getexif()


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)),
        Image.fromarray(np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)),
        Image.fromarray(np.linspace(0, 255, 600, dtype=np.float32).reshape(20, 30)),
        Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.int32)),
    ],
)
def test_more_than_eight_bits_as_on_the_canvas(image):
    shown, _ = BlurJPEG(blur=0.0, jpeg=0.0)(image, image, np.random.default_rng(0))
    assert np.array_equal(np.asarray(shown), np.asarray(load_image(image)))
    assert np.asarray(shown).min() == 0 and np.asarray(shown).max() == 255


def test_values_that_are_not_finite_are_refused():
    image = Image.fromarray(np.full((4, 4), np.nan, np.float32))
    with pytest.raises(ValueError, match="before has values that are NaN or infinite"):
        BlurJPEG()(image, image, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blur": 1.5}, "blur=1.5"),
        ({"jpeg": -0.1}, "jpeg=-0.1"),
        ({"sigma": (2.0, 1.0)}, "sigma"),
        ({"quality": (0, 50)}, "quality"),
        ({"quality": (90, 50)}, "quality"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        BlurJPEG(**arguments)
