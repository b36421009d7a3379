"""The published rows: keyed by our configurations, in the units of tables, each with its source."""

import dataclasses
import json

import pytest

from datasets_syned.benchmarks import CONFIGS, ClevrChangeConfig, ClevrDCConfig
from datasets_syned.benchmarks.clevr_change import TYPES
from metrics.report.published import PUBLISHED, Row, published

ROWS = [(name, row) for name, rows in PUBLISHED.items() for row in rows]
KINDS = {"color", TYPES["material"], "move", "add", "drop", "none"}


def test_every_benchmark_is_a_configuration_of_ours():
    assert set(PUBLISHED) <= {config.name for config in CONFIGS}


def test_the_numbers_of_blip2idc():
    """As the project's notes have them from the paper; CLEVR-DC as MEDIC prints it."""
    methods = ("BLIP2IDC", "BLIP2IDC + Syned")
    ours = {(name, row.method): row.scores.get("cider") for name, row in ROWS if row.method in methods}
    assert ours == {
        ("clevr_change", "BLIP2IDC"): None,
        ("clevr_dc", "BLIP2IDC"): 88.5,
        ("spot_the_diff", "BLIP2IDC"): 51.4,
        ("image_editing_request", "BLIP2IDC"): 74.1,
        ("emu_edit", "BLIP2IDC + Syned"): 106.8,
        ("synthetic", "BLIP2IDC + Syned"): 106.8,
        ("syned", "BLIP2IDC + Syned"): 106.8,
    }
    kinds = published("clevr_change")[0].categories
    assert kinds == {"color": 152.3, "texture": 137.0, "add": 135.6, "drop": 133.1, "move": 99.8}


def test_the_spread_of_seeds_is_told():
    one, mean = (row for row in published("clevr_change") if row.method.startswith("CLIP4IDC"))
    assert one.scores == {"cider": 150.75, "bleu_4": 56.87, "meteor": 38.40, "rouge_l": 76.43}
    assert "one of nine seeds" in one.note and str(mean.scores["cider"]) in one.note
    assert mean.scores == {"cider": 141.95, "bleu_4": 54.55, "meteor": 38.93, "rouge_l": 74.86}


@pytest.mark.parametrize("name, row", ROWS, ids=[f"{name}: {row.method}" for name, row in ROWS])
def test_row(name, row):
    assert row.method and row.source
    assert row.scores or row.categories
    assert set(row.scores) <= {"cider", "bleu_4", "meteor", "rouge_l"}
    # times 100: a BLEU-4 below 1 or a CIDEr below 10 would be in the units of the code
    assert all(5 < value < 100 for key, value in row.scores.items() if key != "cider")
    assert all(20 < value < 200 for value in [row.scores.get("cider", 21), *row.categories.values()])
    # in a table: CIDEr with other scores is above METEOR, and ROUGE-L above BLEU-4
    if {"meteor", "rouge_l"} <= set(row.scores):
        assert row.scores["meteor"] < row.scores["rouge_l"] > row.scores["bleu_4"]
    known = {ClevrChangeConfig.name: KINDS, ClevrDCConfig.name: {"none"}}
    assert set(row.categories) <= known.get(name, set())


def test_methods_are_told_apart():
    for name, rows in PUBLISHED.items():
        assert len({row.method for row in rows}) == len(rows), name


def test_others_have_none():
    assert published("magicbrush") == published("scenes") == published("no such thing") == published(None) == ()


def test_nothing_can_be_changed_and_all_of_it_written():
    with pytest.raises(TypeError):
        PUBLISHED["spot_the_diff"] = ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        published("spot_the_diff")[0].method = "another"
    row = published("clevr_change")[0]
    assert Row(**json.loads(json.dumps(dataclasses.asdict(row)))) == row
