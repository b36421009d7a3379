"""How all commands end, as the README's table says: 0 done, 1 something failed, 2 wrong use, 130 interrupted."""

import os
import subprocess
import sys

import pytest

from tests.support.source_tree import ROOT

COMMANDS = {
    "blip2idc": "blip2idc_cli:main",
    "syned": "blip2idc_scripts:syned",
    "blip2idc-train": "blip2idc_scripts:train",
    "blip2idc-evaluate": "blip2idc_scripts:evaluate",
}
FAILS = {
    "blip2idc": "merge nothing/ out",
    "syned": "audit --path nothing/",
    "blip2idc-train": "mini --model nothing/ --output_dir out",
    "blip2idc-evaluate": "--model nothing/",
}
MISTYPED = dict.fromkeys(COMMANDS, "--colour") | {"syned": "scenes --out out --colour"}
# Ctrl-C when the work begins: when the first of the heavy libraries is imported.
INTERRUPT = """
import signal, sys
heavy = ("torch", "datasets", "transformers")
sys.addaudithook(lambda event, about: event == "import" and about[0] in heavy and signal.raise_signal(signal.SIGINT))
"""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_how_a_command_ends(tmp_path, command, status):
    words = {0: "--help", 1: FAILS[command], 2: MISTYPED[command], 130: FAILS[command]}[status].split()
    module, function = COMMANDS[command].split(":")
    code = f"{INTERRUPT if status == 130 else ''}\nimport sys; sys.argv[:] = {[command, *words]}\n"
    code += f"from {module} import {function}; sys.exit({function}())"
    env = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    if status == 0:
        assert "Exit status: 0 done, 1 something failed" in " ".join(done.stdout.split())
        assert f"{command} " in done.stdout
    if status in (1, 2):
        assert done.stdout == "" and done.stderr.splitlines()[-1].startswith(f"{command}: error: ")
        assert "Traceback" not in done.stderr and ("--colour" in done.stderr) == (status == 2)
    if status == 1:
        assert "nothing/" in done.stderr


def test_the_scripts_of_the_project_are_these():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert {f'{name} = "{function}"' for name, function in COMMANDS.items()} <= set(lines)
