"""`load_dataset("syned")` after `import datasets_syned`: from any folder, without a network, and never stale."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

import datasets_syned

ROOT = Path(__file__).resolve().parents[3]
SIZES = {"train": 2, "validation": 0, "test": 1, "width": 48, "height": 32}

OFFLINE = """
import sys
reached = []
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        reached.append(event)
        raise OSError("no network")
sys.addaudithook(refuse)
"""
LOAD = f"""
import json, sys
import datasets_syned
from datasets import load_dataset, Image
data = load_dataset("syned", **{SIZES})["train"]
stored = data.cast_column("before", Image(decode=False))[0]["before"]["bytes"].hex()
print(json.dumps({{"file": data.cache_files[0]["filename"], "image": stored, "code": datasets_syned.__file__}}))
"""


def run(code, cwd, root=ROOT, **variables):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_no_arguments_means_scenes(tmp_path):
    default = load_dataset("syned", cache_dir=str(tmp_path), **SIZES)
    named = load_dataset("syned", "scenes", cache_dir=str(tmp_path), **SIZES)
    assert default["train"].cache_files == named["train"].cache_files
    assert default["train"].info.dataset_name == "syned" and default["train"].info.config_name == "scenes"


def test_names():
    names = "scenes photos clevr_change clevr_dc spot_the_diff image_editing_request magicbrush emu_edit levir_cc "
    names += "birds_to_words diffspot img_diff vlm_subtlebench vismin synthetic syned folder"
    assert get_dataset_config_names("syned") == names.split()
    assert get_dataset_split_names("syned", "scenes") == ["train", "validation", "test"]


def test_no_network_from_an_empty_folder(tmp_path):
    """Also without HF_HUB_OFFLINE, where the library counts loads with a request."""
    here = tmp_path / "empty"
    here.mkdir()
    code = OFFLINE + LOAD + "assert not reached, reached\nprint(json.dumps(reached))"
    assert run(code, here, HF_HOME=str(tmp_path / "home")) == []
    assert list(here.iterdir()) == []


def test_the_probe_sees_a_request(tmp_path):
    code = OFFLINE + "import json, datasets.load as L; L.increase_load_count('csv'); print(json.dumps(len(reached)))"
    assert run(code, tmp_path, HF_HOME=str(tmp_path / "home")) > 0


def test_a_folder_of_that_name_does_not_matter(tmp_path):
    (tmp_path / "syned").mkdir()
    (tmp_path / "syned" / "a.csv").write_text("x\n1\n")
    (tmp_path / "other.csv").write_text("x\n1\n")
    found = run(LOAD, tmp_path, HF_HOME=str(tmp_path / "home"))
    assert Path(found["file"]).name == "syned-train.arrow"


def test_other_packaged_datasets_are_as_before(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,2\n3,4\n")
    factory = datasets.load.PackagedDatasetModuleFactory
    before = factory.get_module, datasets.load.increase_load_count
    datasets_syned.register()
    assert (factory.get_module, datasets.load.increase_load_count) == before, "wrapped twice"
    data = load_dataset("csv", data_files=str(file), cache_dir=str(tmp_path / "cache"))["train"]
    assert data["a"] == [1, 3]
    (tmp_path / "empty").mkdir()
    with pytest.raises(datasets.data_files.EmptyDatasetError):
        load_dataset("csv", data_dir=str(tmp_path / "empty"), cache_dir=str(tmp_path / "cache"))


def test_changed_code_is_not_answered_from_the_cache(tmp_path):
    code = tmp_path / "code"
    shutil.copytree(ROOT / "datasets_syned", code / "datasets_syned", ignore=shutil.ignore_patterns("__pycache__"))
    home = {"HF_HOME": str(tmp_path / "home")}
    first = run(LOAD, tmp_path, code, **home)
    assert first["code"].startswith(str(code))

    renderer = code / "datasets_syned" / "scenes" / "render.py"
    text = renderer.read_text()
    renderer.write_text(text + "\n# a comment\n")
    assert run(LOAD, tmp_path, code, **home)["file"] == first["file"], "a comment makes everything anew"

    assert "AMBIENT, KEY, FILL = 0.38," in text
    renderer.write_text(text.replace("AMBIENT, KEY, FILL = 0.38,", "AMBIENT, KEY, FILL = 0.20,"))
    darker = run(LOAD, tmp_path, code, **home)
    assert darker["file"] != first["file"] and darker["image"] != first["image"]

    renderer.write_text(text)
    assert run(LOAD, tmp_path, code, **home) == first


@pytest.mark.parametrize(
    "without",
    [
        "del datasets.packaged_modules._PACKAGED_DATASETS_MODULES",
        "del datasets.load.PackagedDatasetModuleFactory",
        "sys.modules['datasets.packaged_modules'] = None; del datasets.packaged_modules",
    ],
)
def test_load_needs_no_registration(tmp_path, without):
    """The same rows from the same cache, also where a future version of the library has another loader."""
    here = load_dataset("syned", cache_dir=str(tmp_path / "cache"), **SIZES)
    code = f"""
import json, sys, warnings
import datasets.load, datasets.packaged_modules
{without}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import datasets_syned
said = [str(one.message) for one in caught if "load_dataset" in str(one.message)]
data = datasets_syned.load("scenes", split="train[:1]", cache_dir={str(tmp_path / "cache")!r}, **{SIZES})
stream = datasets_syned.load("scenes", streaming=True, **{SIZES})["test"]
try:
    datasets_syned.register()
except RuntimeError as error:
    said.append(str(error))
print(json.dumps([data.cache_files, data["id"][:], [row["id"] for row in stream], said]))
"""
    files, first, streamed, said = run(code, tmp_path, HF_HOME=str(tmp_path / "home"))
    assert files == here["train"].cache_files
    assert first == ["train-000000"] and streamed == ["test-000000"]
    assert len(said) == 2 and "use datasets_syned.load(config, ...)" in said[0] and said[0] == said[1]


def test_load_is_load_dataset(tmp_path):
    loaded = datasets_syned.load(cache_dir=str(tmp_path), **SIZES)
    assert loaded["train"].cache_files == load_dataset("syned", cache_dir=str(tmp_path), **SIZES)["train"].cache_files
    with pytest.raises(ValueError, match="'nothing' not found"):
        datasets_syned.load("nothing")
