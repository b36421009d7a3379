"""What the page does: many people's pairs at once, the pictures it draws, and the models that it offers."""

import runpy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

import modeling_blip2idc
from modeling_blip2idc.app import page
from modeling_blip2idc.app.captions import EMBEDDED_MODEL, Batches, CaptionError, Captioners, same_frame
from modeling_blip2idc.app.push_space import compose_space
from modeling_blip2idc.loading.examples import load_examples
from tests.support.source_tree import ROOT

EXAMPLES = load_examples()
PAIRS = [(example["before"], example["after"]) for example in EXAMPLES]


def test_two_images_in_one_frame():
    """Of one shape, in the larger size; of others, in the middle of gray."""
    before, after = same_frame(Image.new("RGB", (30, 20)), Image.new("RGB", (60, 40)))
    assert before.size == after.size == (60, 40)
    before, after = same_frame(Image.new("RGB", (40, 20), "red"), Image.new("RGB", (20, 40), "red"))
    assert before.size == after.size == (40, 40)
    assert before.getpixel((20, 0)) == after.getpixel((0, 20)) == (128, 128, 128)
    assert before.getpixel((20, 20)) == after.getpixel((20, 20)) == (255, 0, 0)


def test_what_waits_goes_together():
    sizes, go = [], threading.Event()

    def double(items):
        sizes.append(len(items))
        go.wait(10)
        return [ValueError("three") if item == 3 else 2 * item for item in items]

    batches = Batches(double, max_batch_size=3)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(batches, 0)
        while not sizes:
            pass
        others = [pool.submit(batches, item) for item in range(1, 6)]
        while batches._waiting.qsize() < 5:
            pass
        go.set()
        assert first.result(10) == 0
        assert sorted(future.result(10) for i, future in enumerate(others, 1) if i != 3) == [2, 4, 8, 10]
        with pytest.raises(ValueError, match="three"):
            others[2].result(10)
    assert sizes == [1, 3, 2]


def test_a_batch_that_fails_does_not_end_the_next():
    batches = Batches(lambda items: [1 / item for item in items], max_batch_size=2)
    with pytest.raises(ZeroDivisionError):
        batches(0)
    assert batches(4) == 0.25


@pytest.fixture(scope="module")
def captioners():
    return Captioners(["/no/such/model"])


def test_everybody_gets_the_own_answer(captioners):
    model, processor = modeling_blip2idc.load_idc()
    pipe = modeling_blip2idc.ImageDifferenceCaptioningPipeline(model=model, processor=processor)
    captions = [best["generated_text"] for (best,) in pipe(PAIRS)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda pair: captioners(*pair, EMBEDDED_MODEL), PAIRS * 2))
    for answer, caption, example in zip(answers, captions * 2, EXAMPLES * 2, strict=True):
        said = {"caption": caption, "changed": example["changed"], "model": EMBEDDED_MODEL}
        assert answer.as_json() == {**said, "confidence": answer.confidence} and 0 < answer.confidence <= 1
        assert [heat.size for heat in answer.heat()] == ([(144, 96)] * 2 if answer.changed else [])


def test_models_have_names_without_folders(captioners, tmp_path):
    assert captioners.names == ["model", "mini (embedded)"]
    for name in ("a", "b"):
        (tmp_path / name / "best").mkdir(parents=True)
    names = Captioners([str(tmp_path / "a/best"), str(tmp_path / "b/best"), "someone/model"]).names
    assert names == ["best", "best (2)", "someone/model", "mini (embedded)"]


def test_a_model_that_cannot_be_used_says_why(captioners):
    for _ in range(2):  # and it is tried again
        with pytest.raises(CaptionError, match="^The model model cannot be loaded: No such folder: 'model'"):
            captioners(*PAIRS[0])


def test_what_people_and_models_say_is_escaped():
    parts = page.parts()
    answer = {"caption": "<b>&", "confidence": 0.934, "changed": True, "model": "<i>"}
    shown = parts.answer(answer)
    assert "&lt;b&gt;&amp;" in shown and "&lt;i&gt;" in shown and "<i>" not in shown and "93 %" in shown
    assert "Something changed" in shown and "Nothing changed" in parts.answer({**answer, "changed": False})
    assert "&lt;script&gt;" in parts.error("<script>")


def test_a_space_offers_the_models_of_its_variable(monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr(page, "build", list)
    monkeypatch.setattr(page, "serve", served.append)
    compose_space(tmp_path, ["a/b", "c/d"])
    for variable in (None, "", " e/f ,, g/h,"):
        monkeypatch.delenv("BLIP2IDC_MODELS", raising=False)
        if variable is not None:
            monkeypatch.setenv("BLIP2IDC_MODELS", variable)
        for app in (ROOT / "app.py", tmp_path / "app.py"):
            runpy.run_path(str(app), run_name="__main__")
    assert served == [[], ["a/b", "c/d"], [], [], ["e/f", "g/h"], ["e/f", "g/h"]]
