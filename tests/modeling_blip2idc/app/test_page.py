"""What the page does: many people's pairs at once, the pictures it draws, and the models that it offers."""

import runpy
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

import blip2idc_cli
import modeling_blip2idc
from modeling_blip2idc.app import page
from modeling_blip2idc.app.captions import Batches, Captioners, same_frame
from modeling_blip2idc.app.push_space import compose_space
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
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


def test_everybody_gets_the_own_answer():
    captioners = Captioners()
    model, processor = modeling_blip2idc.load_idc()
    pipe = modeling_blip2idc.ImageDifferenceCaptioningPipeline(model=model, processor=processor)
    captions = [best["generated_text"] for (best,) in pipe(PAIRS)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda pair: captioners(*pair, "mini (embedded)"), PAIRS * 2))
    for answer, caption, example in zip(answers, captions * 2, EXAMPLES * 2, strict=True):
        said = {"caption": caption, "changed": example["changed"], "model": "mini (embedded)"}
        assert answer.as_json() == {**said, "confidence": answer.confidence} and 0 < answer.confidence <= 1
        assert [heat.size for heat in answer.heat()] == ([(144, 96)] * 2 if answer.changed else [])


def test_models_have_names_without_folders(tmp_path):
    folders = [tmp_path / name / "best" for name in ("a", "b")]
    for folder in folders:
        shutil.copytree(EMBEDDED["mini"], folder)
    assert Captioners(map(str, folders)).names == ["best", "best (2)", "mini (embedded)"]


def damage(folder):
    (folder / "model.safetensors").write_bytes(b"damaged")


def break_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")


def blind(folder):
    """Weights that load, and captions that are not finite."""
    weights = load_file(folder / "model.safetensors")
    weights["language_projection.weight"].fill_(float("inf"))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    "harm, said",
    [
        (damage, "The model {} cannot be used: A file of weights"),
        (break_tokenizer, "The model {} cannot be used: "),
        (blind, "The model harmed failed: The logits of the language model, in torch.float32, are not finite"),
        (shutil.rmtree, "No such folder: '{}'"),
    ],
)
def test_serve_knows_at_once_that_a_model_is_useless(tmp_path, capsys, harm, said):
    """Also of one that is not the default, before it says where the page is."""
    pytest.importorskip("gradio")
    folder = shutil.copytree(EMBEDDED["mini"], tmp_path / "harmed")
    harm(folder)
    assert blip2idc_cli.main(["serve", "--port", "0", "--model", str(EMBEDDED["mini"]), "--model", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith(f"blip2idc: error: {said.format(folder)}")


def test_what_people_and_models_say_is_escaped():
    parts = page.parts()
    answer = {"caption": "<b>&", "confidence": 0.934, "changed": True, "model": "<i>"}
    shown = parts.answer(answer)
    assert "&lt;b&gt;&amp;" in shown and "&lt;i&gt;" in shown and "<i>" not in shown and "93 %" in shown
    assert "Something changed" in shown and "Nothing changed" in parts.answer({**answer, "changed": False})
    assert "&lt;script&gt;" in parts.error("<script>")


def test_a_space_offers_the_models_of_its_variable(monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr(blip2idc_cli, "main", served.append)
    compose_space(tmp_path, ["a/b", "c/d"])
    for variable in (None, "", " e/f ,, g/h,"):
        monkeypatch.delenv("BLIP2IDC_MODELS", raising=False)
        if variable is not None:
            monkeypatch.setenv("BLIP2IDC_MODELS", variable)
        for app in (ROOT / "app.py", tmp_path / "app.py"):
            with pytest.raises(SystemExit):
                runpy.run_path(str(app), run_name="__main__")
    two, other = ["--model=a/b", "--model=c/d"], ["--model=e/f", "--model=g/h"]
    assert served == [["serve", *models] for models in ([], two, [], [], other, other)]
