"""METEOR in several Python processes: one at a time, and nothing of it stays when one is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metrics.cider import meteor_jar
from tests.metrics.test_meteor_process import WORDS, exists, wait_until

pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed")
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="no java on this machine"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

ROOT = Path(__file__).resolve().parents[2]
PROLOGUE = f"""
import gzip, os, random, sys, threading, time
from metrics.cider import meteor_jar, meteor_warm
from metrics.cider.meteor import close, meteor_score, meteor_statistics
generator = random.Random(0)
lines = [" ".join(generator.choices({WORDS}, k=30)) for _ in range(40_000)]
meteor_jar.filter_table = lambda path, phrases: gzip.compress(b"")
scoring = threading.Event()
send = meteor_jar.MeteorProcess._send
def watched(pipe, data):
    if len(data) > 1_000_000:
        scoring.set()
    send(pipe, data)
meteor_jar.MeteorProcess._send = staticmethod(watched)
def say(*what):
    print(*what, flush=True)
def score(count):
    return float(meteor_score(meteor_statistics(lines[:2 * count], [2] * count)).sum())
"""


def python(script, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + script],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out.split()


def our_java():
    """Process numbers of METEOR with a table of ours, whoever started it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if b"meteor-1.5.jar" in command and b"/dev/fd/" in command:
            found.append(int(path.parent.name))
    return [number for number in found if exists(number)]


def test_importing_starts_nothing():
    script = """
package = [name for name in sys.modules if name.startswith("pycocoevalcap")]
say(len(package), meteor_warm._warm, threading.active_count(), len(os.listdir("/proc/self/fd")))
"""
    assert finish(python(script)) == ["0", "None", "1", "4"]


@pytest.mark.parametrize("moment", ["starting", "scoring", "idle"])
def test_when_the_parent_is_killed_nothing_stays(moment, tmp_path):
    folder = Path(meteor_jar.find_files()[1])
    before = sorted(folder.rglob("*"))
    script = """
threading.Thread(target=lambda: [score(5 if MOMENT == "idle" else 20_000), say("idle")]).start()
while meteor_warm._warm is None or not meteor_warm._warm.process.is_alive():
    time.sleep(0.001)
if MOMENT == "scoring":
    scoring.wait()
say(meteor_warm._warm.process.pid)
time.sleep(60)
"""
    process = python(f"MOMENT = {moment!r}\n{script}", TMPDIR=str(tmp_path))
    java = int(process.stdout.readline())
    if moment == "idle":
        assert process.stdout.readline() == "idle\n"
    assert exists(java)
    process.kill()
    process.communicate()
    wait_until(lambda: not exists(java), 2.5)
    assert not list(tmp_path.iterdir()) and sorted(folder.rglob("*")) == before
    assert not Path(f"/tmp/hsperfdata_{os.environ.get('USER', 'root')}/{java}").exists()


def test_processes_take_turns_and_there_is_one_meteor():
    expected = finish(python("say(score(50), score(300))"))
    runs = [python("say(score(50), score(300)); time.sleep(1)") for _ in range(3)]
    most = 0
    while any(run.poll() is None for run in runs):
        most = max(most, len(our_java()))
        time.sleep(0.02)
    assert [finish(run) for run in runs] == [expected] * 3
    assert most == 1


def test_a_forked_child_leaves_the_parents_process_alone():
    script = """
expected = score(20)
java = meteor_warm._warm.process.pid
child = os.fork()
if not child:
    names = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd > "2"
             and os.path.exists(f"/proc/self/fd/{fd}")]
    alone = meteor_warm._warm is None and not any("meteor" in name or "pipe" in name for name in names)
    close()
    os._exit(0 if alone else 1)
say(os.waitpid(child, 0)[1], score(20) == expected, meteor_warm._warm.process.pid == java)
child = os.fork()
if not child:
    os._exit(0 if score(20) == expected else 1)  # its own, which the parent makes room for
say(os.waitpid(child, 0)[1], score(20) == expected)
"""
    assert finish(python(script)) == "0 True True 0 True".split()


def test_an_interrupt_is_passed_on_and_the_next_call_works():
    script = """
expected = score(20)
say(meteor_warm._warm.process.pid)
threading.Thread(target=lambda: [scoring.wait(), say("scoring")], daemon=True).start()
try:
    score(20_000)
except KeyboardInterrupt:
    say("interrupted", meteor_warm._warm)
say(score(20) == expected, meteor_warm._warm.process.pid)
"""
    process = python(script)
    first = int(process.stdout.readline())
    assert process.stdout.readline() == "scoring\n"
    process.send_signal(signal.SIGINT)
    *words, second = finish(process)
    assert words == ["interrupted", "None", "True"]
    assert not exists(first) and not exists(int(second))  # the latter by the interpreter's exit


def test_an_exit_while_a_thread_scores_does_not_wait_for_it():
    script = """
threading.Thread(target=score, args=(20_000,), daemon=True).start()
scoring.wait()
say(meteor_warm._warm.process.pid)
"""
    (java,) = finish(python(script))
    assert not exists(int(java))
