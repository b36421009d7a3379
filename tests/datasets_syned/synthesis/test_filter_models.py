"""Which models filters load, and how often they ask them."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from datasets_syned.synthesis.filters import describe, load_filters
from datasets_syned.synthesis.filters.model_filters import (
    ClipDirection,
    ClipImageSimilarity,
    ClipImageText,
    DinoSimilarity,
)
from tests.support.candidates import VARIANTS, keep, keep_batch, scene, variants
from tests.support.source_tree import ROOT
from tests.support.tiny_encoders import save_clip


def test_variants_share_what_they_encode(clip):
    direction, counts = ClipDirection(min=-1, **clip), []
    for name in ("vision_model", "text_model"):
        getattr(direction.encoder, name).register_forward_pre_hook(
            lambda _, args, kwargs: counts.append(len([*args, *kwargs.values()][0])), with_kwargs=True
        )
    keep_batch(direction, variants(0))
    # 1 source and 8 edits; 1 caption of the source and 8 of the edits. Without sharing: 16 images, 16 texts.
    assert counts == [1 + VARIANTS, 1 + VARIANTS]


def watched(filter, most=64):
    """Sizes of the batches of images that a filter encodes; it has no memory for more than `most` of them."""
    sizes = []

    def look(module, args, kwargs):
        if len(kwargs["pixel_values"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        sizes.append(len(kwargs["pixel_values"]))

    filter.encoder.vision_model.register_forward_pre_hook(look, with_kwargs=True)
    return sizes


def test_batches_are_cut_and_give_the_same(clip):
    small, rows = ClipImageSimilarity(**clip, batch_size=3), [scene(i) for i in range(4)]
    sizes = watched(small)
    assert small.measure(rows) == pytest.approx(ClipImageSimilarity(**clip).measure(rows), abs=1e-5)
    assert sizes == [3, 3, 2]


def test_batches_are_halved_when_memory_does_not_suffice(clip):
    tight = ClipImageSimilarity(min=-1, **clip, batch_size=8)
    sizes = watched(tight, most=3)
    assert keep_batch(tight, [scene(i) for i in range(5)]) == [True] * 5
    assert sizes == [2] * 5 and tight.batch_size == 2

    def broken(module, args, kwargs):
        raise RuntimeError("something else")

    tight.encoder.vision_model.register_forward_pre_hook(broken, with_kwargs=True)
    with pytest.raises(RuntimeError, match="something else"):
        keep(tight, scene(9))


def test_models_are_described_by_name_and_revision(tmp_path, clip_dir, dino_dir):
    filters = load_filters("ultra_edit", clip_model=str(clip_dir), dino_model=str(dino_dir))
    described = json.loads(json.dumps(describe(filters)))
    assert list(described) == ["clip_image_text", "clip_direction", "image_similarity", "dino_similarity"]
    revision = described["clip_direction"].pop("revision")
    assert described["clip_direction"] == {"min": 0.2, "model": "tiny-clip"}
    assert revision.startswith("sha256:") and described["dino_similarity"]["revision"] != revision
    assert str(clip_dir.parent) not in json.dumps(described)
    same = ClipImageText(model=str(save_clip(tmp_path / "same"))).parameters
    other = ClipImageText(model=str(save_clip(tmp_path / "other", seed=1))).parameters
    assert same["revision"] == revision and other["revision"] != revision


def test_what_cannot_be_loaded(tmp_path, clip_dir, dino_dir):
    with pytest.raises(ValueError, match="is a Dinov2Model, and no clip"):
        keep(ClipImageText(model=str(dino_dir)), scene(0))
    with pytest.raises(ValueError, match="is a CLIPModel, and no dino"):
        keep(DinoSimilarity(model=str(clip_dir)), scene(0))
    with pytest.raises(ValueError, match="cannot be loaded"):
        keep(ClipImageText(model=str(tmp_path)), scene(0))
    with pytest.raises(ValueError, match="folder' cannot be loaded: there is no such folder, and the Hub"):
        describe([ClipImageText(model=str(tmp_path / "missing" / "folder"))])
    broken = save_clip(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((clip_dir / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be loaded: "):
        keep(ClipImageText(model=str(broken)), scene(0))
    whole = load_file(clip_dir / "model.safetensors")
    part = {name: tensor for name, tensor in whole.items() if not name.startswith("text_projection")}
    (broken / "model.safetensors").unlink()
    save_file(part, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="lacks 1 of its weights, such as text_projection.weight"):
        keep(ClipImageText(model=str(broken)), scene(0))
    unsafe = save_clip(tmp_path / "unsafe")
    torch.save(CLIPModel.from_pretrained(unsafe).state_dict(), unsafe / "pytorch_model.bin")
    (unsafe / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot be loaded: .*safetensors"):
        keep(ClipImageText(model=str(unsafe)), scene(0))


# As the cache of the Hub lies on the disk; without network.
BY_NAME = """
import sys
from datasets_syned.synthesis.filters import describe, load_filters
assert not {"torch", "transformers", "diffusers"} & set(sys.modules), "loaded on import"
from PIL import Image
from datasets_syned.synthesis.filters.protocol import Candidate
filters = load_filters({"image_similarity": 0.5}, clip_model="tiny/clip")
assert describe(filters) == {"image_similarity": {"min": 0.5, "model": "tiny/clip", "revision": "%s"}}
image = Image.new("RGB", (40, 30), "red")
(score,) = filters[0].measure([Candidate("a", 0, image, image.copy(), "x")])
assert round(score, 5) == 1
for options in ({"clip_model": "tiny/missing"}, {"clip_model": "not a name"}):
    try:
        describe(load_filters("clip_image_text", **options))
    except ValueError as error:
        print(error)
try:
    describe(load_filters({"clip_image_text": {"model": "tiny/clip", "revision": "v2"}}))
except ValueError as error:
    print(error)
"""


def test_models_of_the_hub_by_name(tmp_path, clip_dir):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "models--tiny--clip"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    (cache / "snapshots").mkdir()
    (cache / "snapshots" / commit).symlink_to(clip_dir)
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:datasets_syned", "-c", BY_NAME % commit],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout
    for line, name in zip(lines, ("tiny/missing", "not a name", "tiny/clip"), strict=True):
        at = " at revision v2" if name == "tiny/clip" else ""
        words = f"'{name}' cannot be loaded: there is no such folder, and the Hub does not give it{at}: "
        assert line.startswith(words), line
