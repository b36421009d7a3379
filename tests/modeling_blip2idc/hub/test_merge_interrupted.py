"""`blip2idc merge` leaves a whole folder or none; and what its name is not."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Blip2Processor

from modeling_blip2idc.__main__ import main
from modeling_blip2idc.hub import merge as merging
from modeling_blip2idc.hub.merge import merge
from tests.support.adapters import adapter_of
from tests.support.source_tree import ROOT
from tests.support.tiny_blip2 import tiny_pair


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    return adapter_of(tmp_path_factory.mktemp("merge"), tiny_pair())


def test_what_cannot_be_merged_leaves_nothing(adapter, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for model, message in ((tmp_path / "empty", "No model in"), (tmp_path / "nothing", "No such folder")):
        assert main(["merge", str(model), str(tmp_path / "out")]) == 2
        err = capsys.readouterr().err
        assert err.startswith("blip2idc: error: ") and message in err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_folder_with_something_in_it(adapter, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("kept")
    assert main(["merge", str(adapter[0]), str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_weights_that_overflow(tmp_path):
    model, processor = tiny_pair()
    torch.nn.init.constant_(model.language_projection.bias, 1e5)
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="1 weights are not finite in torch.float16.*language_projection.bias"):
        merge(tmp_path / "model", tmp_path / "out", torch.float16)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_interrupted_while_it_writes(adapter, tmp_path, monkeypatch):
    """Between the weights and the processor there is no folder of that name, and afterwards none at all."""

    def interrupt(*args):
        (partial,) = tmp_path.iterdir()
        assert partial.name.startswith(".out.") and (partial / "model.safetensors").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(merging, "_stock_processor", interrupt)
        with pytest.raises(KeyboardInterrupt):
            merge(adapter[0], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    merge(adapter[0], tmp_path / "out")
    assert Blip2Processor.from_pretrained(tmp_path / "out").num_query_tokens == 4


def test_killed_while_it_writes(tmp_path):
    code = (
        "import os, runpy, sys\n"
        "with runpy.run_path(sys.argv[1])['fresh_folder'](sys.argv[2]) as folder:\n"
        "    (folder / 'config.json').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    file = ROOT / "modeling_blip2idc" / "hub" / "fresh_folder.py"
    done = subprocess.run([sys.executable, "-c", code, file, tmp_path / "out"], timeout=60)
    assert done.returncode == -9
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".out.")


def test_it_is_no_word_for_a_folder(adapter, tmp_path, monkeypatch, capsys):
    """`merge` is the command, `./merge` a folder of pairs."""
    (tmp_path / "merge").mkdir()
    for side in ("before", "after"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "merge" / f"x_{side}.png")
    monkeypatch.chdir(tmp_path)
    assert main(["./merge", "--json", "--model", str(adapter[0]), "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "x"
    with pytest.raises(SystemExit):
        main(["merge", "--json"])
    assert "usage: blip2idc merge" in capsys.readouterr().err
