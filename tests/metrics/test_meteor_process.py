"""The METEOR process: kept warm, alone on the machine, and gone whatever happens."""

import gzip
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from metrics.cider import meteor_jar, meteor_lock, meteor_warm
from metrics.cider.meteor import MeteorError, MeteorUnavailable, close, meteor_statistics

pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed")
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="no java on this machine"),
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")

SMALL = (["a red ball", "the red ball", "the big car", "a large auto", "one car"], [2, 3])
WORDS = "the a book tome red style in front of as well more than car auto big large".split()


@pytest.fixture(scope="module", autouse=True)
def fast_start():
    """No paraphrases: their table takes a second, which is of no interest here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meteor_jar, "filter_table", lambda path, phrases: gzip.compress(b""))
        close()
        yield
        close()


def many(count):
    generator = random.Random(0)
    return [" ".join(generator.choices(WORDS, k=30)) for _ in range(2 * count)], [2] * count


def pid():
    return meteor_warm._warm.process.pid


def exists(pid):
    """Whether a process runs; one that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, limit):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_the_process_is_kept_while_its_table_covers_the_captions():
    close()
    expected = meteor_statistics(*SMALL)
    first = pid()
    np.testing.assert_array_equal(meteor_statistics(SMALL[0][:2], [2]), expected[:1])
    assert pid() == first
    meteor_statistics(["a blue cube", "one block"], [2])
    second = pid()
    assert second != first and not exists(first)
    np.testing.assert_array_equal(meteor_statistics(*SMALL), expected)  # the table has the old captions, too
    assert pid() == second
    meteor_statistics(["A Red Ball", "the red ball"], [2])  # capital letters need -norm
    assert pid() != second
    close()
    assert not exists(second) and meteor_warm._warm is None


def test_an_idle_process_ends(monkeypatch):
    monkeypatch.setattr(meteor_warm, "IDLE_LIMIT", 0.3)
    meteor_statistics(*SMALL)
    java = pid()
    wait_until(lambda: meteor_warm._warm is None and not exists(java), 3)


def in_the_background(function):
    result = []

    def run():
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_process_that_dies_or_hangs_is_one_error_and_the_next_call_works(name, monkeypatch):
    monkeypatch.setattr(meteor_jar, "ANSWER_LIMIT", 2.0)
    scoring = threading.Event()
    send = meteor_jar.MeteorProcess._send

    def watched(pipe, data):
        if len(data) > 1_000_000:
            scoring.set()
        send(pipe, data)

    monkeypatch.setattr(meteor_jar.MeteorProcess, "_send", staticmethod(watched))
    thread, result = in_the_background(lambda: meteor_statistics(*many(20_000)))
    assert scoring.wait(30)
    java = pid()
    os.kill(java, getattr(signal, name))
    thread.join(15)
    assert isinstance(result[0], MeteorError)
    what = "ended unexpectedly with exit status -9" if name == "SIGKILL" else "no answer for 2 seconds"
    assert what in str(result[0]) and "Java said: " in str(result[0])
    assert not exists(java)
    assert meteor_statistics(*SMALL).shape == (2, 23)


@posix
def test_a_process_that_died_while_idle_is_replaced():
    expected = meteor_statistics(*SMALL)
    os.kill(pid(), signal.SIGKILL)
    wait_until(lambda: meteor_warm._warm is None or not meteor_warm._warm.process.is_alive(), 2)
    np.testing.assert_array_equal(meteor_statistics(*SMALL), expected)


@posix
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo what >&2; exit 3", "ended unexpectedly with exit status 3. Java said: what"),
        ("echo Error; exec sleep 60", "wrong answer, 'Error'"),
        ("yes | head -c 1000000 >&2; exec sleep 60", "no answer for 1 seconds.*Java said: y\ny"),
    ],
)
def test_a_java_that_does_something_else(tmp_path, monkeypatch, script, message):
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    close()
    monkeypatch.setattr(meteor_jar, "START_LIMIT", 1.0)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MeteorError, match=f"(?s){message}"):
        meteor_statistics(*SMALL)
    monkeypatch.undo()
    assert meteor_statistics(*SMALL).shape == (2, 23)


def test_without_pipes_that_have_a_name_the_table_is_a_file_for_a_moment(tmp_path, monkeypatch):
    close()
    expected = meteor_statistics(*SMALL)
    close()
    monkeypatch.setattr(meteor_jar, "_PIPES", str(tmp_path / "nothing"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    np.testing.assert_array_equal(meteor_statistics(*SMALL), expected)
    assert not list(tmp_path.iterdir())
    close()


def test_threads_take_turns():
    expected = meteor_statistics(*SMALL)
    runs = [in_the_background(lambda: meteor_statistics(*SMALL)) for _ in range(4)]
    for thread, result in runs:
        thread.join()
        np.testing.assert_array_equal(result[0], expected)


def test_without_java(monkeypatch, tmp_path):
    close()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(MeteorUnavailable, match="no `java` on PATH nor in JAVA_HOME"):
        meteor_statistics(*SMALL)


def test_without_pycocoevalcap(monkeypatch):
    close()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MeteorUnavailable, match="not installed: `pip install pycocoevalcap`"):
        meteor_statistics(*SMALL)


def test_a_machine_in_use_is_an_error_after_the_limit(monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    close()
    monkeypatch.setattr(meteor_warm, "WAIT_LIMIT", 0.5)
    folder = meteor_jar.find_files()[1]
    other = meteor_lock.MachineLock(os.path.join(folder, meteor_jar.JAR), os.path.join(folder, meteor_jar.TABLE))
    assert other.acquire(60)
    with pytest.raises(MeteorError, match="in use by another process of this machine, for more than 0.5 s"):
        meteor_statistics(*SMALL)
    other.release()
    assert meteor_statistics(*SMALL).shape == (2, 23)
    close()
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError("no locks here")))
    assert meteor_statistics(*SMALL).shape == (2, 23)
    close()
