"""When a model is not sure: the threshold, and what the pipeline and the command say below it."""

import json
import shutil

import pytest
import torch

import blip2idc_cli
from modeling_blip2idc import ImageDifferenceCaptioningPipeline, load_idc
from modeling_blip2idc.app.page import parts
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
from modeling_blip2idc.loading.examples import load_examples
from modeling_blip2idc.training.abstention import calibrate, find_threshold, sureness

PAIR = (load_examples()[0]["before"], load_examples()[0]["after"])


@pytest.mark.parametrize(
    ("scores", "right", "threshold"),
    [
        ([0.9, 0.1, 0.3, 0.5], [1, 0, 0, 1], 0.4),
        ([0.1, 0.3, 0.5, 0.9], [1, 1, 0, 1], None),  # right as often as wrong below any
        ([0.1, 0.3, 0.5, 0.9], [0, 1, 0, 1], 0.2),  # no other is better, and it is the lowest
        ([0.1, 0.2, 0.2, 0.9], [0, 0, 1, 1], 0.15),
        ([0.2, 0.2, 0.2], [0, 1, 0], 0.6),  # equal scores are kept together
        ([0.2, 0.4], [0, 0], 0.7),
        ([], [], None),
    ],
)
def test_threshold(scores, right, threshold):
    found = find_threshold(scores, right)
    assert found == (None if threshold is None else pytest.approx(threshold))


def test_what_a_report_says():
    said = sureness(0.4, [0.1, 0.3, 0.4, 0.9], [False, True, True, False])
    assert said == {"sureness": {"not_sure_below": 0.4, "pairs_below": 2, "right_below": 0.5, "right_above": 0.5}}
    assert sureness(0.4, [0.9], [True])["sureness"]["right_below"] is None and sureness(None, [0.9], [True]) == {}


def test_the_score_is_that_of_a_forward_pass():
    """The pipeline's score, from the logits of its search, is that of reading pair and caption at once."""
    model, processor = load_idc("mini")
    (best,) = ImageDifferenceCaptioningPipeline(model, processor)(PAIR)
    inputs = processor(images=PAIR, captions=[best["generated_text"]], return_tensors="pt")
    with torch.no_grad():
        loss = model(**inputs).loss  # the mean over the caption and its stop token
    assert best["score"] == pytest.approx(float(torch.exp(-loss)), abs=1e-5)


@pytest.fixture
def calibrated(tmp_path):
    folder = shutil.copytree(EMBEDDED["mini"], tmp_path / "model")
    calibrate(folder, [0.5, 0.999999], [False, False])
    return folder


def test_pipeline_and_command(calibrated, capsys):
    assert "sure" not in ImageDifferenceCaptioningPipeline(*load_idc("mini"))(PAIR)[0]
    model, processor = load_idc(calibrated)
    pipe = ImageDifferenceCaptioningPipeline(model, processor)
    (best,) = pipe(PAIR)
    assert best["sure"] == (best["score"] >= model.config.not_sure_below)
    model.config.not_sure_below = best["score"]
    assert pipe(PAIR)[0]["sure"]
    values = json.loads((calibrated / "config.json").read_text())
    (calibrated / "config.json").write_text(json.dumps(values | {"not_sure_below": 1.1}))
    assert blip2idc_cli.main([*PAIR, "--model", str(calibrated)]) == 0
    assert capsys.readouterr().out.startswith(f"not sure: {best['generated_text']}\nconfidence ")
    assert blip2idc_cli.main([*PAIR, "--model", str(calibrated), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sure"] is False


def test_the_page():
    answer = {"caption": "it moved", "confidence": 0.3, "changed": True, "model": "x"}
    assert "Not sure." not in parts().answer(answer) and "Not sure." not in parts().answer({**answer, "sure": True})
    shown = " ".join(parts().answer({**answer, "sure": False}).split())
    assert 'Not sure. <span class="doubtful">it moved</span>' in shown and "wrong more often than right" in shown
