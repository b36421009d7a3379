"""The card of a repository: what is written into it, and what is left alone."""

import re

import pytest
from datasets import DatasetInfo, SplitDict, SplitInfo
from huggingface_hub import DatasetCard

from datasets_syned import FEATURES
from datasets_syned.common.markdown import code, plain
from datasets_syned.hub.card import Entry, license_id, update_card


def small(name, license=""):
    splits = SplitDict(train=SplitInfo("train", num_examples=1))
    fields = {"title": name.title(), "findings": {}}
    return Entry(name, DatasetInfo(features=FEATURES, splits=splits), fields, license_id(license))


def card_of(*names, default=None, text=""):
    card = DatasetCard("---\nlicense: mit\ntags:\n- mine\n---\n")
    card.data.configs, card.text = [{"config_name": name, "data_files": f"{name}/*"} for name in names], text
    for config in card.data.configs:
        if config["config_name"] == default:
            config["default"] = True
    return card


def test_what_others_wrote_stays():
    card = card_of("theirs", "ours", default="theirs", text="# Their title\n\nTheir words.\n")
    update_card(card, "a/b", small("ours", "CC BY 4.0"))
    assert card.text.startswith("# Their title\n\nTheir words.\n\n<!-- syned: about -->")
    assert card.data.license == ["cc-by-4.0", "mit"] and card.data.tags == ["image-difference-captioning", "mine"]
    assert [config.get("default") for config in card.data.configs] == [None, True]
    card.text += "\nMore of theirs.\n"
    once = str(card)
    update_card(card, "a/b", small("ours", "CC BY 4.0"))
    assert str(card) == once == str(DatasetCard(once))
    card.data.configs.append({"config_name": "new", "data_files": "new/*"})
    update_card(card, "a/b", small("new", "none stated"))
    update_card(card, "a/b", small("ours", "CC BY 4.0"))
    assert re.findall(r"config (\w+),|(More of)", card.text) == [("ours", ""), ("", "More of"), ("new", "")]


def test_licenses_are_those_of_the_sections():
    card = card_of("a")
    for name, license in (("a", "Apache-2.0"), ("b", "that of its images"), ("c", ""), ("a", "none stated")):
        card.data.configs = [c for c in card.data.configs if c["config_name"] != name] + [{"config_name": name}]
        update_card(card, "x/y", small(name, license))
    assert card.data.license == ["other", "unknown"]


def test_text_is_no_markup():
    assert plain("a|b  *c*\n<d> [e](f) `g` 1_2 &amp; #") == r"a\|b \*c\* \<d\> \[e\](f) \`g\` 1\_2 \&amp; \#"
    assert len(plain("x" * 1000)) == 300
    assert code("a|b\n`c` *d*") == "`a¦b 'c' *d*`"


@pytest.mark.parametrize(
    ("names", "default", "marked"),
    [
        ((), None, "new"),
        (("a",), None, "a"),
        (("a", "b"), None, None),
        (("a", "b"), "b", "b"),
        (("a", "new"), "new", "new"),
    ],
)
def test_what_is_loaded_without_a_name_stays_so(names, default, marked):
    card = card_of(*names, default=default)
    update_card(card, "a/b", small("new"))
    assert [config["config_name"] for config in card.data.configs if config.get("default")] == [marked] * bool(marked)
    (new,) = [config for config in card.data.configs if config["config_name"] == "new"]
    assert new["data_files"] == [{"split": "train", "path": "new/train-*"}]
