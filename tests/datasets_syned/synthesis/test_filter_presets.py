"""Filters as a recipe and a command line name them. Nothing is loaded here."""

import pytest

from datasets_syned.synthesis.filters import FILTERS, load_filters

EVERY = [cls.name for cls in FILTERS]


def limits(filters) -> dict:
    return {filter.name: (filter.min, filter.max) for filter in filters}


@pytest.mark.parametrize("spec", [None, "none", [], {}, ["none"]])
def test_off(spec):
    assert load_filters(spec) == []


def test_presets_are_the_thresholds_of_the_literature():
    pix2pix, ultra = load_filters("instruct_pix2pix"), load_filters("ultra_edit")
    assert limits(pix2pix) == {
        "clip_image_text": (0.2, None),
        "clip_direction": (0.2, None),
        "image_similarity": (0.7, None),
    }
    assert limits(ultra) == {
        "clip_image_text": (0.2, None),
        "clip_direction": (0.2, None),
        "image_similarity": (0.8, None),
        "dino_similarity": (0.3, None),
    }
    assert {filter.model for filter in pix2pix} == {"openai/clip-vit-large-patch14"}
    assert ultra[3].model == "facebook/dinov2-with-registers-large"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("changed_area", (0.005, 0.9)),
        ("changed_area=0.1", (0.1, 0.9)),
        ("changed_area=0.01:0.6", (0.01, 0.6)),
        ("changed_area = :0.6", (0.005, 0.6)),
        ({"changed_area": 0.1}, (0.1, 0.9)),
        ({"changed_area": "0.01:"}, (0.01, 0.9)),
        ({"changed_area": None}, (0.005, 0.9)),
        ({"changed_area": {}}, (0.005, 0.9)),
        ({"changed_area": {"max": None}}, (0.005, None)),
        ([{"changed_area": {"min": 0, "max": 1}}], (0, 1)),
        (["changed_area", "changed_area=0.1"], (0.1, 0.9)),
    ],
)
def test_forms(spec, expected):
    assert limits(load_filters(spec)) == {"changed_area": expected}


def test_every_filter_has_a_name_and_works_without_options():
    assert [filter.name for filter in load_filters(EVERY)] == EVERY
    assert [filter.name for filter in load_filters(EVERY[::-1])] == [*EVERY[-2::-1], "near_duplicates"]
    assert [filter.name for filter in load_filters(EVERY) if filter.needs_captions] == ["clip_direction"]


def test_order_is_as_given_but_near_duplicates_are_last():
    spec = ["near_duplicates", "changed_area=0.01:0.6", "instruct_pix2pix", "dino_similarity=0.4"]
    names = ["changed_area", "clip_image_text", "clip_direction", "image_similarity", "dino_similarity"]
    assert list(limits(load_filters(spec))) == [*names, "near_duplicates"]


@pytest.mark.parametrize("turn", [1, -1])
def test_what_is_said_of_a_filter_goes_before_the_preset(turn):
    filters = load_filters(["ultra_edit", "image_similarity=:0.99", {"dino_similarity": {"model": "a/b"}}][::turn])
    assert limits(filters)["image_similarity"] == (0.8, 0.99)
    dino = next(filter for filter in filters if filter.name == "dino_similarity")
    assert dino.model == "a/b" and dino.min == 0.3
    dino = load_filters(["ultra_edit", {"dino_similarity": {"model": "a/b"}}], dino_model="c/d")[-1]
    assert dino.model == "a/b"
    assert load_filters("ultra_edit", dino_model="c/d")[-1].model == "c/d"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("clip", "there is no 'clip'; there are clip_image_text, .*ultra_edit"),
        (["ultra_edit=0.3"], "the preset 'ultra_edit' takes no options"),
        ({"ultra_edit": {"min": 1}}, "the preset 'ultra_edit' takes no options"),
        (3, "3 must be a name, a dict of filters, or a list"),
        ({"changed_area": {"least": 1}}, "changed_area: .* unexpected keyword argument 'least'"),
        ("changed_area=high", "changed_area='high' must be a number, or min:max as in 0.01:0.6"),
        ("changed_area=1:2:3", "changed_area='1:2:3' must be"),
        ("changed_area=:", "changed_area=':' must be"),
        ("changed_area=", "changed_area='' must be"),
        ({"changed_area": True}, "changed_area=True must be a number"),
        ({"changed_area": [0.1, 0.2]}, "must be a number, or min:max"),
        ("changed_area=0.6:0.1", "changed_area: min=0.6 is above max=0.1"),
        ("changed_area=-0.1", "changed_area: min=-0.1 must be a number from 0 to 1"),
        ("clip_direction=1.5", "clip_direction: min=1.5 must be a number from -1 to 1"),
        ("clip_direction=nan", "clip_direction: min=nan must be a number from -1 to 1"),
        ({"dino_similarity": {"max": "0.9"}}, "dino_similarity: max='0.9' must be a number"),
        ({"near_duplicates": {"threshold": 0}}, "near_duplicates: threshold=0 must be a number above 0"),
        ({"dino_similarity": {"batch_size": 0}}, "dino_similarity: batch_size=0 must be a whole number from 1"),
    ],
)
def test_what_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        load_filters(spec)
