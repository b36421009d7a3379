"""Processes that have nothing of this project: in environments made for them, or in this one, where it is kept out."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.source_tree import PACKAGES, ROOT

HERE = Path(__file__).parent
# Runs a script whose variable `found` is its answer. Before it none of our packages can be imported, and after it none
# was: by name, or by where the file of a module lies.
OUTSIDE = """
import importlib.util, json, runpy, sys
arguments = json.loads(sys.argv[1])
packages, folders, sys.argv = arguments["packages"], tuple(arguments["folders"]), arguments["argv"]
if arguments["blocked"]:
    sys.modules.update(dict.fromkeys(packages))
there = [name for name in packages if importlib.util.find_spec(name)]
assert not there, f"{there} can be imported"
found = runpy.run_path(sys.argv[0])["found"]
modules = {name: str(getattr(module, "__file__", None)) for name, module in sys.modules.items() if module}
ours = [name for name, file in modules.items() if name.split(".")[0] in packages or file.startswith(folders)]
assert not ours, f"{ours} were imported"
print(json.dumps(found))
"""


def make_environment(folder: Path, *steps: str) -> str:
    """
    Makes a virtual environment of its own, without the packages of this one, in the versions of constraints.txt.

    Args:
        folder (`Path`): where.
        steps (`str`): what is installed, one step after another; names separated by spaces.

    Returns:
        `str`: its interpreter.
    """
    _do(sys.executable, "-m", "venv", folder)
    for step in steps:
        install(folder, step)
    return str(folder / "bin" / "python")


def install(folder: Path, step: str) -> None:
    """Installs packages, named in one string, into an environment."""
    options = ("--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt")
    _do(folder / "bin" / "python", "-m", "pip", "install", *options, *step.split())


def _do(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


def outside(python: str, script: str, env: dict[str, str], *arguments: str, blocked: bool = False):
    """
    Runs a script of this folder where nothing of this project can be imported.

    Args:
        python (`str`): the interpreter.
        script (`str`): name of the script.
        env (`dict[str, str]`): as `HubServer.env` makes it; what it says of PYTHONPATH is left out.
        arguments (`str`): of the script.
        blocked (`bool`, *optional*, defaults to `False`): whether our packages are there and must be kept out.

    Returns:
        What the script found.
    """
    env = {name: value for name, value in env.items() if name != "PYTHONPATH"}
    Path(env["HF_HOME"]).mkdir(exist_ok=True)
    call = {
        "packages": PACKAGES,
        "folders": [f"{ROOT / name}/" for name in PACKAGES],
        "argv": [str(HERE / script), *map(str, arguments)],
        "blocked": blocked,
    }
    command = [python, "-I", "-c", OUTSIDE, json.dumps(call)]
    done = subprocess.run(command, cwd=env["HF_HOME"], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
