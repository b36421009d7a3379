"""`blip2idc push`: real processes, a real Hub on localhost; what is there afterwards, and who can load it."""

import json
import shutil
import struct

import numpy as np
import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file, save_file

from modeling_blip2idc import ImageDifferenceCaptioningPipeline, load_idc, lora_config
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
from modeling_blip2idc.hub.merge import merge
from modeling_blip2idc.hub.model_card import is_generated
from modeling_blip2idc.hub.push import push as push_folder
from modeling_blip2idc.hub.saving import name_base
from tests.support.hub_cards import card_problems, front_matter
from tests.support.hub_server import run
from tests.support.pushing import STRANGER, UPLOAD, copied, files, push, refusals, titles
from tests.support.tiny_blip2 import tiny_pair


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A plain BLIP-2, one of ours, adapters on a Hub id, on the embedded model and on a folder."""
    root = tmp_path_factory.mktemp("models")
    for part in tiny_pair():
        part.save_pretrained(root / "ours")
    merge(root / "ours", root / "plain")
    for name, base in (("adapter", root / "plain"), ("embedded", EMBEDDED["mini"]), ("local", root / "plain")):
        model, processor = load_idc(base)
        if name == "adapter":
            processor.concat_axis = "horizontal"
        torch.manual_seed(0)
        get_peft_model(model, lora_config(r=2, init_lora_weights=False)).save_pretrained(root / name)
        model.generation_config.max_new_tokens = 7
        model.generation_config.save_pretrained(root / name)
        processor.save_pretrained(root / name)
        if name != "adapter":
            name_base(root / name, base)
    config = json.loads((root / "adapter" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "ann/plain"
    (root / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    return root


CARD = "---\nlicense: mit\n---\n# My own\n\nSee <this repository>.\n"
MINE = ("checkpoints/x.safetensors", "experiments/my_blip2idc.py", "onnx/config.json", "notes.txt")
TEMPLATE = "# Model Card\n\n- **License:** [More Information Needed]\n"


@pytest.fixture(scope="module")
def pushed(hub, folders, tmp_path_factory):
    """Status, stdout and stderr of each command, which run in one process; and the commit of the plain base."""
    home, mine = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("mine")
    for name in (*MINE, "stale_blip2idc.py", "model-00001-of-00002.safetensors"):
        (mine / name).parent.mkdir(exist_ok=True)
        (mine / name).write_text("{}")
    run(UPLOAD, hub.env(home, "ann-write"), mine, "ann/both")
    base = run(UPLOAD, hub.env(home, "ann-write"), folders / "plain", "ann/plain").stdout.strip()
    final = shutil.copytree(folders / "ours", folders / "run" / "final")
    for junk in ("training_args.bin", "optimizer.pt", ".secret", "notes.txt"):
        (final / junk).write_text("junk")
    copied(final, "final/checkpoint-1")
    ours = folders / "ours"
    calls = {
        "ann/adapter": [folders / "adapter", "ann/adapter"],
        "again": [folders / "adapter", "ann/adapter"],
        "ann/ours": [folders / "run", "ours", "--private", "--message", "My words"],
        "ann/half": [folders / "plain", "ann/half", "--dtype", "bfloat16", "--revision", "next"],
        "ann/embedded": [folders / "embedded", "ann/embedded"],
        "ann/merged": [folders / "local", "ann/merged", "--merge"],
        "dry": [folders / "adapter", "ann/dry", "--dry_run"],
        "mine": [copied(ours, "mine", README_md=CARD), "ann/card"],
        "kept": [ours, "ann/card"],
        "branch": [ours, "ann/card", "--revision", "next"],
        "template": [copied(ours, "template", README_md=TEMPLATE), "ann/card", "--replace_card"],
        "down": [folders / "mine", "ann/down"],
        "first": [ours, "ann/both"],
        "second": [folders / "embedded", "ann/both"],
        "mini": [EMBEDDED["mini"], "ann/mini"],
        "trained": [_trained(hub, home, folders), "ann/trained", "--merge"],
        **refusals(folders),
    }
    hub.fail("^HEAD /ann/down/resolve/.*/README.md", status=500, times=999)
    before = {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()}
    said = dict(zip(calls, push(hub, home, *calls.values()), strict=True))
    assert {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()} == before  # left as it was
    return said, base


def _trained(hub, home, folders):
    """An adapter that names a commit of its base, from before that changed."""
    there, changed = folders / "plain", folders / "changed"
    commit = run(UPLOAD, hub.env(home, "ann-write"), there, "ann/changed").stdout.strip()
    shutil.copytree(there, changed)
    weights = {name: tensor + 1 for name, tensor in load_file(there / "model.safetensors").items()}
    save_file(weights, changed / "model.safetensors", metadata={"format": "pt"})
    run(UPLOAD, hub.env(home, "ann-write"), changed, "ann/changed")
    config = json.loads((folders / "adapter" / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": "ann/changed", "revision": commit}
    adapter = copied(folders / "adapter", "trained")
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    return adapter


def test_what_the_command_says(pushed, hub):
    for name in ("ann/adapter", "again", "ann/ours", "ann/half", "ann/embedded", "ann/merged"):
        code, out, err = pushed[0][name]
        assert (code, err) == (0, ""), err
        assert out.startswith(f"{hub.url}/{name.replace('again', 'ann/adapter')}: ") and out.endswith(" MB\n")


def test_one_commit_and_none_if_nothing_changed(pushed, hub):
    assert titles(hub, "ann/adapter") == ["Adapter", "initial commit"]
    assert titles(hub, "ann/ours") == ["My words", "initial commit"]
    assert hub.repo("model", "ann/ours").private and files(hub, "ann/half") == {}


def test_an_adapter(pushed, hub, folders):
    there = files(hub, "ann/adapter")
    config = json.loads(there["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == ("ann/plain", pushed[1])
    assert config["auto_mapping"]["base_model_class"] == "Blip2ForConditionalGeneration"
    path = folders.parent / "down.safetensors"
    path.write_bytes(there["adapter_model.safetensors"])
    old, new = load_file(folders / "adapter" / "adapter_model.safetensors"), load_file(path)
    assert old.keys() == new.keys() and all(torch.equal(old[name].bfloat16(), new[name]) for name in old)
    described = json.loads(there["config.json"])
    assert described["model_type"] == "blip2idc" and set(described["auto_map"]) == {
        "AutoConfig", "AutoModelForImageTextToText",
    }  # fmt: skip
    assert described["custom_pipelines"]["image-difference-captioning"]["impl"].startswith("pipeline_blip2idc.")
    assert {"pipeline_blip2idc.py", "processing_blip2idc.py", "generation_config.json", "tokenizer.json"} <= set(there)
    card = there["README.md"].decode()
    assert f"on ann/plain (revision {pushed[1]})" in card and "It was not scored" in card
    assert 'model="ann/adapter", config="ann/adapter", trust_remote_code=True)' in card


def test_a_run_and_nothing_that_is_not_named(pushed, hub, folders):
    there = files(hub, "ann/ours")
    assert there["model.safetensors"] == (folders / "ours" / "model.safetensors").read_bytes()
    named = {"README.md", "config.json", "generation_config.json", "model.safetensors", "processor_config.json"}
    named |= {"tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "chat_template.jinja"}
    assert {name for name in there if not name.endswith("_blip2idc.py")} == named


def test_plain_in_another_dtype_on_another_branch(pushed, hub, tmp_path):
    there = files(hub, "ann/half", "next")
    (tmp_path / "x.safetensors").write_bytes(there["model.safetensors"])
    assert {tensor.dtype for tensor in load_file(tmp_path / "x.safetensors").values()} == {torch.bfloat16}
    # the card of `blip2idc merge` would no longer be true
    assert "stock" not in there["README.md"].decode() and "in bfloat16." in there["README.md"].decode()


def test_nothing_of_this_machine(pushed, hub, folders):
    words = (str(folders.parent), str(EMBEDDED["mini"].parent.parent), "ann-write", "training_args")
    for (kind, name), repo in hub.store.repos.items():
        for branch in repo.branches:
            for path, file in repo.at(branch).files.items():
                assert not any(word.encode() in file.content for word in words), (kind, name, path)


@pytest.mark.parametrize("who", ["without", pytest.param("with", marks=pytest.mark.slow)])
def test_who_can_load_it(who, pushed, hub, folders, tmp_path):
    """By the lines on the cards, with this package and without it; the captions are those of the folders."""
    names = ["ann/ours", "ann/adapter", "ann/merged"] + (["ann/embedded"] if who == "with" else [])
    env = hub.env(tmp_path, "ann-read", OMP_NUM_THREADS="1")
    done = run(STRANGER, env, who, json.dumps(names))
    found = json.loads(next(line[2:] for line in done.stdout.splitlines() if line.startswith("> ")))
    base = folders / "adapter" / "adapter_config.json"
    values = json.loads(base.read_text())
    here = shutil.copytree(folders / "adapter", tmp_path / "adapter")
    (here / "adapter_config.json").write_text(
        json.dumps({**values, "base_model_name_or_path": str(folders / "plain")})
    )
    of = {"ann/ours": folders / "ours", "ann/adapter": here, "ann/merged": folders / "local"}
    of["ann/embedded"] = folders / "embedded"
    rng = np.random.default_rng(0)
    pair = tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2))
    for name in names:
        model, processor = load_idc(of[name])
        pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu")
        said, axis = found[name]
        expected = pipe(pair)[0]
        assert axis == processor.concat_axis, name
        assert said["generated_text"] == expected["generated_text"], name
        assert said["score"] == pytest.approx(expected["score"], rel=0.05), name


def test_what_is_refused(pushed, hub):
    """In one line, before anything is made on the Hub."""
    refused = {says: said for says, said in pushed[0].items() if " " in says}
    assert len(refused) == 15
    for says, (code, out, err) in refused.items():
        assert (code, out) == (1, "") and err.startswith("blip2idc: error: ") and err.count("\n") == 1, err
        assert says in err and "ann-write" not in err, err
    assert not {("model", "ann/no"), ("model", "ann/bad")} & set(hub.store.repos)


def test_merged_into_the_base_that_it_was_trained_on(pushed, hub):
    assert pushed[0]["trained"][0] == 0, pushed[0]["trained"]
    assert files(hub, "ann/trained")["model.safetensors"] == files(hub, "ann/merged")["model.safetensors"]


def test_a_dry_run(pushed, hub):
    code, out, err = pushed[0]["dry"]
    assert (code, err) == (0, "") and "9,776  adapter_model.safetensors\n" in out and "would go to ann/dry\n" in out
    assert not hub.seen("ann/dry")


def test_cards_that_somebody_edited(pushed, hub):
    """One in the folder goes up as it is; one on the Hub stays, unless it is to be replaced."""
    assert "somebody wrote the card of ann/card, and it stays" in pushed[0]["kept"][1]
    assert all(pushed[0][name][0] == 0 for name in ("mine", "kept", "template"))
    commits = hub.repo("model", "ann/card").history()[:-1]
    branch = files(hub, "ann/card", "next")["README.md"].decode()  # it was made when main had a person's
    assert branch == CARD.replace("<this repository>", "ann/card")
    last, *first = (files(hub, "ann/card", commit.id)["README.md"].decode() for commit in commits)
    assert first == [CARD.replace("<this repository>", "ann/card")]  # the second push had nothing else to change
    assert is_generated(last) and "# card\n" in last


def test_whether_a_card_was_edited_must_be_known(pushed, hub):
    """While the Hub does not say, nothing goes up: a person's card would be lost."""
    assert pushed[0]["down"][0] == 0  # a person's goes up, whatever is there
    assert files(hub, "ann/down")["README.md"].decode() == CARD.replace("<this repository>", "ann/down")
    assert titles(hub, "ann/down") == ["Model", "initial commit"]


def test_another_model_replaces_all_of_the_last_one(pushed, hub):
    there = files(hub, "ann/both")
    assert "adapter_model.safetensors" in there and set(there) == {*files(hub, "ann/embedded"), *MINE}
    assert titles(hub, "ann/both") == ["Adapter", "Model", "Upload folder using huggingface_hub", "initial commit"]


def test_the_embedded_model(pushed, hub):
    """Its card is a program's, which is written anew: by its name there, with the intervals of its scores."""
    assert is_generated((EMBEDDED["mini"] / "README.md").read_text(encoding="utf-8")) and pushed[0]["mini"][0] == 0
    card = files(hub, "ann/mini")["README.md"].decode()
    assert is_generated(card) and card_problems(card) == ([], [])
    assert 'model="ann/mini")' in card and 'model="ann/mini", trust_remote_code=True)' in card
    report = json.loads((EMBEDDED["mini"] / "report.json").read_text())
    results = front_matter(card)["model-index"][0]["results"][0]["metrics"]
    cider = next(result for result in results if result["type"] == "cider")
    assert cider["args"]["interval"] == [round(100 * end, 4) for end in report["scores"]["cider_interval"]]


KINDS = {
    "ours": "model.safetensors",
    "sharded": "model-00002-of-00002.safetensors",
    "adapter": "adapter_model.safetensors",
}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_weights_are_named(folders, tmp_path, kind):
    """As a download or a copy that was cut leaves them."""
    folder = tmp_path / kind
    if kind == "sharded":
        model, processor = load_idc(folders / "ours")
        model.save_pretrained(folder, max_shard_size="250KB")
        processor.save_pretrained(folder)
    else:
        shutil.copytree(folders / ("embedded" if kind == "adapter" else kind), folder)
    push_folder(folder, "ann/x", token="ann-write", dry_run=True)
    file = folder / KINDS[kind]
    whole = file.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    for damage in (b"", whole[: 8 + size // 2], whole[:-9], whole + b"more", pointer):
        file.write_bytes(damage)
        with pytest.raises(ValueError, match=f"{kind}/{KINDS[kind]} is damaged, or not whole"):
            push_folder(folder, "ann/x", token="ann-write", dry_run=True)
    file.unlink()
    with pytest.raises((OSError, ValueError), match="safetensors"):
        push_folder(folder, "ann/x", token="ann-write", dry_run=True)


@pytest.mark.parametrize("name", ["config", "generation_config", "processor_config", "tokenizer", "tokenizer_config"])
@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_configurations_are_named(folders, tmp_path, name, text):
    folder = shutil.copytree(folders / "ours", tmp_path / "ours")
    (folder / f"{name}.json").write_text(text)
    with pytest.raises(ValueError, match=f"ours/{name}.json is damaged"):
        push_folder(folder, "ann/x", token="ann-write", dry_run=True)


@pytest.mark.parametrize(("key", "value"), [("about", 3), ("scores", []), ("about", {"train_data": 3})])
def test_values_of_a_report(folders, tmp_path, key, value):
    folder = shutil.copytree(folders / "ours", tmp_path / "ours")
    report = json.loads((EMBEDDED["mini"] / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps({**report, key: value}))
    with pytest.raises(ValueError, match="report.json is damaged"):
        push_folder(folder, "ann/x", token="ann-write", dry_run=True)
