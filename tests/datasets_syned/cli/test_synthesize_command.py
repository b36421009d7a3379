"""`syned synthesize` from a shell: the quick start, the recipe of Syned, what is refused."""

import os
import subprocess
import sys

import pytest
from datasets import load_dataset
from PIL import Image

import datasets_syned  # noqa: F401 (registers "syned")
from datasets_syned.__main__ import main
from tests.support import layouts
from tests.support.source_tree import ROOT
from tests.support.synthesis_runs import rows
from tests.support.tiny_chat_models import save_random_chat_model
from tests.support.tiny_encoders import save_clip
from tests.support.tiny_pipelines import save_instruct_pix2pix

PICTURE = layouts.png((9, 99, 200), (96, 64))
RECIPE = str(ROOT / "recipes" / "syned.yaml")


def synthesize(*words, capsys=None):
    """Exit status and what was printed."""
    status = main(["synthesize", *map(str, words)])
    return status, capsys.readouterr() if capsys else None


def test_quick_start(tmp_path):
    """As the README has it, in a new process; none of the libraries of diffusion are loaded."""
    words = "synthesize --source scenes --editor procedural --variants 8 --limit 5 --out my_run/"
    code = f"import sys; from datasets_syned.__main__ import main; status = main({words.split()}); "
    code += "sys.exit(status or any(name in sys.modules for name in ('torch', 'diffusers', 'ray')))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "my_run/, train: 40 of 40 rows kept" in done.stdout and "1/1" in done.stderr
    data = load_dataset("syned", "synthetic", data_dir=str(tmp_path / "my_run"), cache_dir=str(tmp_path / "cache"))
    assert len(data["train"]) == 40
    with Image.open(tmp_path / "my_run" / "contact_sheet.png") as sheet:
        assert sheet.size[0] > 9 * 176 and sheet.size[1] > 5 * 100


class TestSyned:
    def test_plan(self, tmp_path, capsys):
        """Of as many rows as the paper counts, in Emu Edit's layout."""
        pairs = [(i, f"Add hat {i}.", "add") for i in range(3590)]
        splits = {"validation": pairs, "test": pairs[:2022]}
        emu_edit = layouts.emu_edit(tmp_path / "ee", splits, content=layouts.png(), group=1000)
        status, said = synthesize(RECIPE, "--data_dir", emu_edit, "--dry_run", "--rate", 2, capsys=capsys)
        assert status == 0 and said.out.splitlines() == [
            "train: 3,590 images x 8 variants = 28,720 pairs",
            "test: 2,022 pairs of the source, x (1 + 4) = 10,110 references",
            "to make: 28,720 images with vinesmsuic/magicbrush-jul7",
            "to ask for: 8,088 paraphrases of meta-llama/Llama-2-7b-chat-hf",
            "time: 3:59:20 hours for one process, at 2 images per second as given",
        ]

    def test_plan_without_the_files(self, capsys):
        status, said = synthesize(RECIPE, "--dry_run", "--rate", 2, capsys=capsys)
        lines = said.out.splitlines()
        assert status == 0 and lines[0] == "train: 3,590 images x 8 variants = 28,720 pairs"
        assert lines[1] == lines[3] == "  (as published; --data_dir counts the files)"

    def test_plan_of_other_files(self, tmp_path, capsys):
        pairs = [(i, "Add it.", "add") for i in range(3)]
        layouts.emu_edit(tmp_path / "ee", {"validation": pairs, "test": pairs})
        _, said = synthesize(RECIPE, "--data_dir", tmp_path / "ee", "--dry_run", "--rate", 1, capsys=capsys)
        assert "train: 3 images x 8 variants = 24 pairs\n  (3,590 were published; 3 are there)" in said.out

    def test_made(self, tmp_path, capsys):
        """With tiny random models of the same classes, from their folders, as their Hub ids would be."""
        pairs = [(i, f"Add hat {i}.", "add") for i in range(4)]
        layouts.emu_edit(
            tmp_path / "ee", {"validation": pairs, "test": pairs[:2]}, layouts.png((9, 99, 200), (96, 64))
        )
        for save, name in ((save_instruct_pix2pix, "ip2p"), (save_random_chat_model, "chat"), (save_clip, "clip")):
            save(tmp_path / name)
        words = [RECIPE, "--data_dir", tmp_path / "ee", "--out", tmp_path / "run", "--device", "cpu"]
        words += ["--editor", tmp_path / "ip2p", "--steps", 2, "--resolution", 64, "--batch_size", 5]
        words += ["--paraphraser", tmp_path / "chat"]
        words += ["--filter", "image_similarity=-1", "--clip_model", tmp_path / "clip"]
        status, said = synthesize(*words, capsys=capsys)
        assert status == 0 and "train: 32 of 32 rows kept" in said.out
        made = rows(tmp_path / "run")
        provenance = made[9]["provenance"]
        assert (made[9]["id"], provenance["editor"], provenance["steps"]) == ("1-1", "ip2p", 2)
        assert (provenance["guidance"], provenance["image_guidance"]) == (7.5, 1.5)
        assert [one["name"] for one in provenance["scores"]] == ["image_similarity"]
        assert {one["name"] for one in provenance["versions"]} == {"diffusers", "transformers", "torch", "blip2idc"}
        made = rows(tmp_path / "run", "test")
        assert [row["captions"][0] for row in made] == ["Add hat 0.", "Add hat 1."]
        said = rows(tmp_path / "run", "test", folder="caption")
        assert [row["captions"][1:] for row in made] == [one["captions"] for one in said]
        assert all(text["rule"] for one in said for text in one["rejected"]), "what a random model says"

        status, said = synthesize(*words, "--dry_run", capsys=capsys)
        assert status == 0 and "images per second as measured here" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "scenes", "--editor", "procedural"], "--out is missing: name a folder to write"),
        (["--out", "x"], "no split is to be made: name a source"),
        (["--source", "scenes", "--out", "x"], "editor is missing: split 'train' has variants"),
        (["no.yaml", "--out", "x"], "No such file or directory: 'no.yaml'"),
        (
            ["--source", "scenes", "--editor", "procedural", "--steps", "3", "--out", "x"],
            "argument 'steps'",
        ),
        (["--source", "scenes", "--editor", "procedural", "--filter", "beauty", "--out", "x"], "beauty"),
        (["--source", "scenes", "--editor", "procedural", "--limit", "1", "--rate", "0", "--dry_run"], "rate=0.0"),
        (
            ["--source", "scenes", "--editor", "procedural", "--filter", "clip_direction", "--out", "x"],
            "cannot be had|cannot be loaded",
        ),
    ],
)
def test_refused(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    status, printed = synthesize(*words, capsys=capsys)
    assert status in (1, 2) and printed.err.startswith("syned: error: ")
    assert any(part in printed.err for part in said.split("|")), printed.err
    assert not list(tmp_path.iterdir())


def test_a_filter_that_needs_captions(tmp_path, capsys):
    save_clip(tmp_path / "clip")
    words = ["--source", "scenes", "--editor", "procedural", "--filter", "clip_direction"]
    words += ["--clip_model", tmp_path / "clip", "--limit", 2, "--out", tmp_path / "run"]
    status, printed = synthesize(*words, capsys=capsys)
    assert status == 1 and "the source of split 'train' has none; name their columns as before_caption" in printed.err


def test_rows_that_fail_are_told_by_the_exit_status(tmp_path, capsys):
    layouts.write(tmp_path / "pics" / "a.png", layouts.png())
    layouts.write(tmp_path / "pics" / "metadata.jsonl", '{"file_name": "a.png", "instruction": "make it red"}\n')
    words = ["--source", tmp_path / "pics", "--editor", "procedural", "--variants", 2, "--out", tmp_path / "run"]
    status, printed = synthesize(*words, capsys=capsys)
    assert status == 1 and "train: 0 of 2 rows kept" in printed.out
    assert "failed: 2 rows: editor: the image does not say which scene it shows" in printed.out
    assert "select/*.parquet names each row; --retry_failed makes them again" in printed.out


def test_a_run_is_extended_by_its_folder_alone(tmp_path, capsys):
    """Without a source the settings are those of the run; what is given goes in their place."""
    out = tmp_path / "run"
    words = ["--source", "scenes", "--editor", "procedural", "--failure_rate", 0, "--variants", 2, "--limit", 2]
    assert synthesize(*words, "--out", out)[0] == 0
    status, printed = synthesize("--variants", 3, "--limit", 3, "--out", out, capsys=capsys)
    assert status == 0 and "train: 9 of 9 rows kept" in printed.out and "edit: " in printed.err
    status, printed = synthesize("--filter", "changed_area=0.9:1", "--stage", "score", "--out", out, capsys=capsys)
    assert status == 0 and "all results of these stages are there" in printed.out
    status, printed = synthesize("--filter", "changed_area=0.9:1", "--stage", "select", "--out", out, capsys=capsys)
    assert status == 0 and "train: 0 of 9 rows kept" in printed.out and "edit: " not in printed.err
    status, printed = synthesize("--seed", 1, "--out", out, capsys=capsys)
    assert status == 1 and "the images in this folder were made with seed 0, not 1" in printed.err
