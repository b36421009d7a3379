"""`syned scenes`: a folder of Parquet files that grows, continues, and needs none of this code to be read."""

import signal
import subprocess
import sys

from datasets import load_dataset
from filelock import FileLock

import datasets_syned
from datasets_syned.__main__ import main
from datasets_syned.scenes.settings import SceneSettings
from tests.support.interruption import interrupt, needs_proc


def command(out, rows):
    return ["scenes", "--out", str(out), "--train", str(rows), "--num_proc", "2", "--width", "48", "--height", "32"]


@needs_proc
def test_a_killed_command_continues(tmp_path, capsys):
    out = tmp_path / "scenes"

    def files():
        return sorted(out.glob("data/train-*.parquet"))

    interrupt([sys.executable, "-m", "datasets_syned", *command(out, 600)], files, 1, signal.SIGKILL)
    kept = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files()}
    assert 1 <= len(kept) < 3
    assert main(command(out, 600)) == 0
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept} == kept
    assert [path.stem for path in files()] == [
        "train-00000000-00000250",
        "train-00000250-00000500",
        "train-00000500-00000600",
    ]
    assert not list(out.glob("data/.*")), "half-written files are left"
    assert "600 train" in capsys.readouterr().out


@needs_proc
def test_ctrl_c_stops_the_command_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "scenes"
    process, workers = interrupt(
        [sys.executable, "-m", "datasets_syned", *command(out, 600)],
        lambda: list(out.glob("data/.train-*")),  # files in the making
        2,
        signal.SIGINT,
    )
    assert process.returncode == 130 and len(workers) == 2
    message = process.stderr.read()
    assert "the same command continues" in message and "Traceback" not in message


def test_the_folder_is_read_without_this_package(tmp_path, capsys):
    out = tmp_path / "scenes"
    common = ["scenes", "--out", str(out), "--width", "48", "--height", "32"]
    assert main([*common, "--train", "20"]) == 0
    assert main([*common, "--train", "110", "--test", "4", "--num_proc", "2"]) == 0, "a folder can grow"
    capsys.readouterr()
    code = (
        "import sys; from datasets import load_dataset, Image; "
        f"data = load_dataset({str(out)!r}, cache_dir={str(tmp_path / 'cache')!r}); "
        "assert load_dataset.__module__ == 'datasets.load' and 'datasets_syned' not in sys.modules; "
        "assert {s: len(d) for s, d in data.items()} == {'train': 110, 'test': 4}; "
        "row = data['train'].cast_column('after', Image(decode=False))[109]; "
        "print(row['id'], row['captions'][0], row['after']['bytes'].hex(), row['before'].size, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    last = SceneSettings(width=48, height=32).row("train", 109)
    assert done.stdout.strip().split("|") == [
        last["id"],
        last["captions"][0],
        last["after"]["bytes"].hex(),
        "(48, 32)",
    ]
    data = load_dataset(str(out), "scenes", cache_dir=str(tmp_path / "cache"))
    assert data["train"].features == datasets_syned.FEATURES and datasets_syned.validate(data) == 114


def test_the_command_refuses_what_would_mix(tmp_path, capsys):
    out = tmp_path / "scenes"
    common = ["scenes", "--out", str(out), "--width", "48", "--height", "32", "--train", "9"]
    assert main(common) == 0
    assert main([*common, "--jitter", "0"]) == 1
    assert "was rendered with jitter 1.0, not 0.0" in capsys.readouterr().err
    assert main([*common, "--train", "5"]) == 1
    assert "holds 9 train rows, more than 5" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*common[:2], str(tmp_path), "--train", "5"]) == 1
    assert "holds other files" in capsys.readouterr().err
    assert main([*common[:2], str(tmp_path / "notes.txt"), "--train", "5"]) == 1
    assert "is a file; name a folder" in capsys.readouterr().err
    assert main([*common[:2], str(tmp_path / "new"), "--train", "0"]) == 1
    assert "at least one split" in capsys.readouterr().err


def test_two_commands_do_not_write_into_one_folder(tmp_path, capsys):
    with FileLock(str(tmp_path / ".lock")):
        assert main(["scenes", "--out", str(tmp_path), "--train", "1"]) == 1
    assert f"another process is writing into {tmp_path}" in capsys.readouterr().err
