"""`blip2idc BEFORE AFTER --heatmap PNG`: where it changed, beside the caption."""

import shutil

import numpy as np
import pytest
from PIL import Image

from datasets_syned.scenes import make_pair
from modeling_blip2idc.__main__ import main
from modeling_blip2idc.cli.heatmap_file import GAP


def files(tmp_path, index):
    """The images of a rendered test pair as files, and the pair."""
    pair = make_pair(0, "test", index)
    paths = []
    for side in ("before", "after"):
        paths.append(str(tmp_path / f"{side}.png"))
        Image.fromarray(getattr(pair, side)).save(paths[-1])
    return paths, pair


def test_a_change(tmp_path, capsys):
    """The images are changed most where the object is that the caption is about."""
    paths, pair = files(tmp_path, 0)
    out = tmp_path / "where.png"
    assert main([*paths, "--heatmap", str(out)]) == 0
    assert capsys.readouterr().out.strip()
    sheet = np.asarray(Image.open(out), int)
    assert sheet.shape == (96, 2 * 144 + GAP, 3)
    for k, (side, place) in enumerate(zip(("before", "after"), pair.changed_object, strict=True)):
        drawn = np.abs(sheet[:, k * (144 + GAP) :][:, :144] - getattr(pair, side)).sum(-1)
        mask = getattr(pair, f"{side}_mask") == place + 1
        assert drawn[mask].mean() > 5 * drawn[~mask].mean()


def test_no_change(tmp_path):
    paths, pair = files(tmp_path, 5)
    assert pair.category == "none"
    out = tmp_path / "where.png"
    assert main([*paths, "--heatmap", str(out)]) == 0
    assert (np.asarray(Image.open(out))[:, :144] == pair.before).all()


@pytest.mark.parametrize(
    ("name", "folder", "said"),
    [
        ("where.gif", False, "a heat map is written as one of .png, .jpg"),
        ("no/where.png", False, "--heatmap: "),
        ("where.png", True, "--heatmap draws one pair: give two images"),
    ],
)
def test_refused(tmp_path, capsys, name, folder, said):
    paths, _ = files(tmp_path, 0)
    if folder:
        for path, side in zip(paths, ("before", "after"), strict=True):
            (tmp_path / "pairs" / side).mkdir(parents=True)
            shutil.move(path, tmp_path / "pairs" / side / "0.png")
        paths = [str(tmp_path / "pairs")]
    assert main([*paths, "--heatmap", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err
