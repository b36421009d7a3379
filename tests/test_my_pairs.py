"""recipes/my_pairs.yaml as a new user trains it: on forty pairs, in words that the embedded model does not know."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import pipeline

import datasets_syned
from modeling_blip2idc import load_idc
from modeling_blip2idc.hub.merge import merge
from modeling_blip2idc.loading.vocabulary import UnknownWordsError
from tests.support.own_pairs import write_pairs
from tests.support.source_tree import ROOT
from tests.support.training_runs import lines_of, train

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = ROOT / "recipes" / "my_pairs.yaml"
SHORT = ["--max_steps", 6, "--save_steps", 3, "--eval_steps", 3, "--warmup_steps", 0, "--disable_tqdm", True]


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("mine"))


@pytest.fixture(scope="module")
def pairs(mine):
    return [(mine / row["before"], mine / row["after"]) for row in lines_of(mine / "pairs.jsonl")[:6]]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_error_and_its_remedy(tuning, mine, pairs, cache, tmp_path, capsys):
    run = tmp_path / "run"
    words = [RECIPE, "--data_dir", mine, "--output_dir", run, "--tuning", tuning, *SHORT]
    with pytest.raises(UnknownWordsError, match=r"does not know 61% of the words.*'picture\.' \(\d+\).*`extend_voc"):
        train(*words)
    report = train(*words, "--extend_vocabulary")
    assert report["count"] == 4 and report["about"]["train_data"][0]["name"] == "folder"
    assert re.search(r"^test_data: the model does not know [\d.]+% of the words: '", capsys.readouterr().out, re.M)

    model, processor = load_idc(run)
    assert {"teal", "isn't", "A"} <= set(processor.tokenizer.get_vocab()) and len(processor.tokenizer) > 90
    inputs = processor(images=pairs)
    captions = processor.post_process_captions(model.generate(**inputs)[:, inputs["input_ids"].shape[1] :])
    assert [
        out[0]["generated_text"] for out in pipeline("image-difference-captioning", model=str(run))(pairs)
    ] == captions
    if tuning == "lora":
        merge(run / "final", tmp_path / "merged")
        with torch.no_grad():
            logits = model(**inputs).logits
            torch.testing.assert_close(load_idc(tmp_path / "merged")[0](**inputs).logits, logits, rtol=1e-3, atol=1e-3)

    name = "adapter_model.safetensors" if tuning == "lora" else "model.safetensors"
    expected = load_file(run / "final" / name)
    shutil.rmtree(run / "final")
    shutil.rmtree(run / "checkpoint-6")
    train(*words, "--extend_vocabulary")  # continues from step 3
    again = load_file(run / "final" / name)
    assert expected.keys() == again.keys() and all(torch.equal(expected[key], again[key]) for key in expected)


def test_the_rows_of_the_docs(tmp_path):
    """Both tables of docs/recipes.md say the same, and can be read."""
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8").split("## Your own pairs")[1]
    read = []
    for suffix in ("json", "csv"):
        folder = tmp_path / suffix
        table = re.search(rf"```{suffix}\n(.*?)```", text, re.S)[1]
        for name in set(re.findall(r"shelf/\w+\.jpg", table)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6), "red").save(folder / name)
        (folder / f"pairs.{'jsonl' if suffix == 'json' else suffix}").write_text(table, encoding="utf-8")
        data = datasets_syned.load("folder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
        read.append({split: rows.remove_columns(["before", "after"]).to_list() for split, rows in data.items()})
    assert read[0] == read[1]
    assert [rows[0]["captions"] for rows in read[0].values()] == [
        ["The teapot is gone.", "Somebody took the teapot."], ["Nothing has changed."],
    ]  # fmt: skip
    assert read[0]["train"][0]["id"] == "shelf-17" and read[0]["test"][0]["changed"] is False


@pytest.mark.slow
def test_a_whole_run(mine, tmp_path):
    """From the command line: a low loss, and the captions of the training pairs in a new process."""

    def run(*words):
        return subprocess.run([sys.executable, *map(str, words)], cwd=tmp_path, capture_output=True, text=True)

    words = [ROOT / "train_trainer.py", RECIPE, "--data_dir", mine]
    refused = run(*words)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "error: The model's tokenizer does not know 61%" in refused.stderr.splitlines()[-1]
    trained = run(*words, "--extend_vocabulary")
    assert trained.returncode == 0, trained.stderr[-2000:]
    losses = [entry["loss"] for entry in lines_of(tmp_path / "runs/my_pairs/metrics.jsonl") if "loss" in entry]
    assert losses[0] > 5 and sum(losses[-5:]) / 5 < 0.1
    code = (
        "import json, sys, modeling_blip2idc; from transformers import pipeline; "
        "pipe = pipeline('image-difference-captioning', model='runs/my_pairs'); "
        "print(json.dumps([out[0]['generated_text'] for out in pipe(json.loads(sys.argv[1]), batch_size=8)]))"
    )
    rows = lines_of(mine / "pairs.jsonl")
    new = run("-c", code, json.dumps([[str(mine / row[side]) for side in ("before", "after")] for row in rows]))
    assert new.returncode == 0, new.stderr[-2000:]
    right = [a == row["captions"][0] for a, row in zip(json.loads(new.stdout.splitlines()[-1]), rows, strict=True)]
    assert sum(right) >= 30  # 32 are trained on
