"""Everything that is published loads by its name where nothing of this project is installed."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from datasets import Image, load_dataset

import datasets_syned  # noqa: F401  registers "syned"
from metrics.cider import score
from tests.fresh.outside import HERE, install, make_environment, outside
from tests.support import layouts
from tests.support.source_tree import ROOT

EXAMPLES = ROOT / "modeling_blip2idc" / "examples"
NAMES = ("color", "add", "none")
KINDS = {"ann/full": "full", "ann/on-full": "adapter", "ann/on-plain": "adapter", "ann/merged": "merged"}
SCENES = {"train": 4, "validation": 2, "test": 2, "width": 64, "height": 48}
SAID = {"predictions": ["the red car is gone", "no change", "a man walks"]}
SAID["references"] = [["the red car is gone", "a red car left"], ["there is no change"], ["a man walks away"]]
SAID["scorers"] = ["cider", "bleu", "rouge_l"]


def undecoded(configs):
    """Data sets with the files of the pictures."""
    for side in ("before", "after"):
        configs = {name: data.cast_column(side, Image(decode=False)) for name, data in configs.items()}
    return configs


def plain(row):
    """A row, with a digest in place of each picture's file."""
    return {**row, **{side: hashlib.sha256(row[side]["bytes"]).hexdigest() for side in ("before", "after")}}


def pixels(image):
    return [list(image.size), image.mode, hashlib.sha256(image.tobytes()).hexdigest()]


def ours(hub, folder, *command):
    """Runs one of our own commands, with a token that may write; what it printed last."""
    env = hub.env(folder, "ann-write", OMP_NUM_THREADS="1")
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def write_plan(folder, pairs, canvases=(), trust=True):
    folder.mkdir()
    repos = KINDS if trust else {**KINDS, "ann/on-embedded": "embedded"}
    plan = {"pairs": pairs, "canvases": list(map(str, canvases)), "repos": repos, "trust": trust}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder / "plan.json"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    files = [[f"{name}_{side}.png" for side in ("before", "after")] for name in NAMES]
    return [[str(shutil.copy(EXAMPLES / file, folder)) for file in pair] for pair in files]


@pytest.fixture(scope="module")
def models(hub, pairs, tmp_path_factory):
    """Models on the Hub: the folder they were made in, and what each says there."""
    folder = tmp_path_factory.mktemp("models")
    plan = write_plan(folder / "plan", pairs)
    return folder, json.loads(ours(hub, folder, HERE / "artifacts.py", folder, plan))


@pytest.fixture(scope="module")
def rows(hub, tmp_path_factory):
    """A data set of two configurations on the Hub, and what each holds."""
    folder = tmp_path_factory.mktemp("data")
    records = {
        split: [{"img_id": split, "sentences": ["the car is gone", "a man"]}] for split in ("train", "val", "test")
    }
    root = layouts.spot_the_diff(folder / "std", records)
    options = {"scenes": SCENES, "spot_the_diff": {"data_dir": str(root)}}
    found = {}
    for name, given in options.items():
        words = [word for option, value in given.items() for word in (f"--{option}", value)]
        ours(hub, folder, "-m", "datasets_syned", "push", name, "ann/syned", *words)
        found[name] = load_dataset("syned", name, cache_dir=str(folder / "cache"), **given)
    return found


def check_models(hub, models, pairs, folder, run, trust=True):
    """Loads all of them by name; captions, and logits to 1e-5, are those of `models`."""
    made, expected = models
    canvases = [made / f"{index}.png" for index in range(len(pairs))]
    plan = write_plan(folder, pairs, canvases, trust=trust)
    found = run(hub.env(folder / "home", OMP_NUM_THREADS="1"), plan)
    mine, theirs = np.load(made / "logits.npz"), np.load(folder / "logits.npz")
    assert set(theirs) == set(KINDS) | {f"{repo} by peft" for repo, kind in KINDS.items() if kind == "adapter"}
    for name, logits in theirs.items():
        np.testing.assert_allclose(logits, mine[name.removesuffix(" by peft")], rtol=0, atol=1e-5, err_msg=name)
    for repo, captions in ((repo, expected[repo]) for repo in found):
        texts = [caption["generated_text"] for caption in captions]
        if "captions" in found[repo]:
            assert found[repo]["captions"] == texts, repo
        for caption, one in zip(captions, found[repo].get("pipeline", captions), strict=True):
            assert one == {**caption, "score": pytest.approx(caption["score"], rel=1e-5)}, repo
    return found


@pytest.mark.slow
def test_models_by_name_without_this_package(hub, models, pairs, tmp_path):
    """In this environment, with our names blocked: `pipeline`, the Auto classes, `PeftModel`."""

    def run(env, plan):
        return outside(sys.executable, "load_models.py", env, plan, blocked=True)

    found = check_models(hub, models, pairs, tmp_path / "outside", run)
    assert {repo: of.get("code") for repo, of in found.items()} == {
        repo: None if kind == "merged" else "transformers_modules" for repo, kind in KINDS.items()
    }
    assert {repo: (of["config"], of["model"]) for repo, of in found.items()} == {
        "ann/full": ("blip2idc", "Blip2IDCForConditionalGeneration"),
        "ann/on-full": ("blip2idc", "Blip2IDCForConditionalGeneration"),
        "ann/on-plain": ("blip2idc", "Blip2ForConditionalGeneration"),
        "ann/merged": ("blip-2", "Blip2ForConditionalGeneration"),
    }
    # what each was made to say is not what its base says
    said = {repo: [caption["generated_text"] for caption in captions] for repo, captions in models[1].items()}
    assert said["ann/on-full"] == said["ann/on-plain"] == said["ann/merged"] != said["ann/full"]
    assert said["ann/on-embedded"] == said["ann/on-full"]


@pytest.mark.slow
def test_with_this_package_no_code_need_be_trusted(hub, models, pairs, tmp_path):
    """The same names, without `trust_remote_code`; the code is ours, and nothing of the Hub's is run."""

    def run(env, plan):
        code = "import modeling_blip2idc, runpy, sys, json; sys.argv = sys.argv[1:]\n"
        code += "found = runpy.run_path(sys.argv[0])['found']\n"
        code += "assert not [name for name in sys.modules if name.startswith('transformers_modules')]\n"
        code += "print(json.dumps(found))"
        plan.parent.joinpath("home").mkdir()
        command = [sys.executable, "-c", code, str(HERE / "load_models.py"), str(plan)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    found = check_models(hub, models, pairs, tmp_path / "ours", run, trust=False)
    assert {of["code"] for of in found.values()} == {"modeling_blip2idc"} and "pipeline" in found["ann/merged"]


@pytest.mark.slow
class TestFreshEnvironments:
    """In environments with what docs/publish.md tells to install, and nothing else."""

    @pytest.fixture
    def folder(self, tmp_path):
        """Of an environment; with PyTorch it has more than a gigabyte."""
        yield tmp_path / "venv"
        shutil.rmtree(tmp_path / "venv")

    def test_models(self, hub, models, pairs, folder, tmp_path):
        python = make_environment(folder, "torch==2.13.0", "transformers peft pillow")
        found = check_models(
            hub, models, pairs, tmp_path / "outside", lambda env, plan: outside(python, "load_models.py", env, plan)
        )
        assert {of["code"] for repo, of in found.items() if repo != "ann/merged"} == {"transformers_modules"}

    def test_data(self, hub, rows, folder, tmp_path):
        python = make_environment(folder, "datasets")
        arguments = (python, "load_data.py", hub.env(tmp_path / "home"), "ann/syned", *rows)
        found = outside(*arguments)
        expected = {name: {split: [plain(row) for row in part] for split, part in data.items()}
                    for name, data in undecoded(rows).items()}  # fmt: skip
        assert found["rows"] == found["streamed"] == expected
        assert found["default"] == expected["scenes"] and found["pictures"] is None
        install(folder, "pillow")
        assert outside(*arguments)["pictures"] == {
            name: [pixels(row[side]) for part in data.values() for row in part for side in ("before", "after")]
            for name, data in rows.items()
        }

    def test_metric(self, hub, folder, tmp_path):
        assert ours(hub, tmp_path, "-m", "metrics.cider", "push", "ann/cider") == 'evaluate.load("ann/cider")'
        python = make_environment(folder, "evaluate numpy")
        env = hub.env(tmp_path / "home", HF_UPDATE_DOWNLOAD_COUNTS="0")  # another server has the count of downloads
        found = outside(python, "load_metric.py", env, "ann/cider", json.dumps(SAID))
        assert found == score(**SAID) and found["cider"] > 0
