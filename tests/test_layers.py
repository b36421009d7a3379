"""
Who may import whom: `metrics`, `datasets_syned` and `modeling_blip2idc` know nothing of each other, the scripts at the
root know all three; each package stands on few libraries; and importing a package does nothing but define names.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source_tree import PACKAGES, ROOT, imports, python_files

NOT_FOR_PACKAGES = {*PACKAGES, "baselines", "benchmarks", "tests", *(script.stem for script in ROOT.glob("*.py"))}

MODELING = {"torch", "transformers", "peft", "PIL", "numpy", "huggingface_hub", "safetensors", "tokenizers", "jinja2"}
MODELING |= {"filelock"}
TRAINING = {"accelerate", "yaml"}  # only where training needs them: captioning does without
DATA = {"datasets", "filelock", "jinja2", "PIL", "numpy", "pyarrow"}
SYNTHESIS = {"accelerate", "diffusers", "fsspec", "ray", "safetensors", "torch", "transformers", "yaml"}
METRIC = {"evaluate", "datasets", "numpy"}
REPORT = {"numpy"}


def allowed_libraries(path: str, on_import: bool) -> set[str]:
    """Third-party packages that a file of one of the packages may import, when it is imported or later."""
    package, *rest = Path(path).parts
    if package == "modeling_blip2idc":
        page = {"gradio", "fastapi", "uvicorn"} if rest[-1] == "page.py" else set()
        return MODELING | (set() if on_import else TRAINING | page)
    if package == "metrics" and rest[0] == "report":
        later = {"PIL", "matplotlib"} if rest[-1] == "curves.py" else {"PIL"}
        return REPORT | (set() if on_import else later)
    if package == "metrics":
        # The page has requirements of its own, beside it, because it runs in a Space; publishing is a command.
        later = {"app.py": {"gradio"}, "__main__.py": {"huggingface_hub"}}
        return METRIC | (set() if on_import else later.get(rest[-1], set()))
    if on_import:
        return DATA
    command = {"yaml"} if rest == ["cli", "synthesize.py"] else set()
    return DATA | {"huggingface_hub", "jinja2"} | command | (SYNTHESIS if rest[0] == "synthesis" else set())


def forbidden_imports(root: Path) -> list[str]:
    """Imports of the three packages under `root` that break the direction, one line each."""
    found = []
    for path in python_files(*PACKAGES, root=root):
        name = path.relative_to(root).as_posix()
        depth = len(path.relative_to(root).parts) - 1
        for item in imports(path, root=root):
            if item.level:
                if item.level > depth:
                    found.append(f"{item.where} climbs out of its package")
                elif name.startswith("metrics/") and item.level > 1 and item.module != "cider":
                    found.append(f"{item.where} imports {'.' * item.level}{item.module}, not what `cider` offers")
            elif item.top == "blip2idc_cli" and name == "modeling_blip2idc/__main__.py":
                pass  # the command stands outside the package, whose import takes seconds
            elif item.top in NOT_FOR_PACKAGES:
                found.append(f"{item.where} imports {item.module}")
            elif item.top not in sys.stdlib_module_names and item.top not in allowed_libraries(name, item.on_import):
                found.append(f"{item.where} imports {item.module}{' on import' if item.on_import else ''}")
    return found


def unportable_imports(root: Path) -> list[str]:
    """
    Imports in the core of `modeling_blip2idc` that a saved folder would lose. transformers copies the files that it
    finds by the pattern `from .name import` into one flat folder (dynamic_module_utils.get_relative_imports), so the
    core is the `*_blip2idc.py` at the package's root and imports nothing but itself.
    """
    found = []
    for path in sorted((root / "modeling_blip2idc").glob("*_blip2idc.py")):
        for item in imports(path, root=root):
            if item.level and not (item.level == 1 and re.fullmatch(r"\w+_blip2idc", item.module)):
                found.append(f"{item.where} is not of the form `from .name_blip2idc import ...`")
            elif item.level and not (path.parent / f"{item.module}.py").is_file():
                found.append(f"{item.where} imports .{item.module}, and there is no such file beside it")
    return found


# What the folders of a package may import beside the model's core; `__init__` and `__main__` may import all.
FOLDERS = {
    "modeling_blip2idc": {
        "loading": set(),
        "attribution": {"loading"},
        "from_scratch": {"loading"},
        "training": {"loading", "from_scratch"},
        "hub": {"loading"},
        "app": {"loading", "attribution", "hub"},
        "cli": {"loading", "attribution", "hub", "app"},
    },
    "datasets_syned": {
        "common": set(),
        "benchmarks": {"common"},
        "scenes": {"common"},
        "photos": {"common"},
        "loading": {"common", "benchmarks", "scenes", "photos"},
        "audit": {"common", "loading"},
        "training": {"common", "scenes", "photos", "loading"},
        "synthesis": {"common", "benchmarks", "scenes", "photos", "loading"},
        "hub": {"common", "loading", "audit", "synthesis"},
        "cli": {"common", "scenes", "loading", "audit", "synthesis", "hub"},
    },
    "datasets_syned/synthesis": {
        "pretrained": set(),
        "sources": {"pretrained"},
        "editors": {"pretrained"},
        "filters": {"pretrained"},
        "paraphrasers": {"pretrained"},
    },
}


def upward_imports(root: Path) -> list[str]:
    """Imports between the folders of a package that `FOLDERS` does not allow, one line each."""
    found = []
    for package, folders in FOLDERS.items():
        for folder, allowed in folders.items():
            for path in python_files(f"{package}/{folder}", root=root):
                depth = len(path.relative_to(root / package).parts)  # the dots that reach the package
                for item in imports(path, root=root):
                    target = item.module.split(".")[0]
                    if item.level == depth and target != folder and target not in allowed | core_of(package, target):
                        found.append(f"{item.where}: {folder}/ may not import {target}")
    return found


def core_of(package: str, module: str) -> set[str]:
    return {module} if package == "modeling_blip2idc" and module.endswith("_blip2idc") else set()


def unpublishable_imports(root: Path) -> list[str]:
    """
    Lines of `metrics` that `evaluate.load` trips over. It reads the entry file line by line (evaluate.loading): takes
    the rest of a line for one name, a comment behind a relative import for an address, and copies only those helpers
    that the entry file imports itself.
    """
    found = []
    for entry in (path for path in python_files("metrics", root=root) if path.stem == path.parent.name):
        copied = {item.module for item in imports(entry, root=root) if item.level and item.on_import}
        for path in sorted(entry.parent.glob("*.py")):
            where = path.relative_to(root).as_posix()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if re.match(r"\s*import .*,", line):
                    found.append(f"{where}:{number} imports several modules in one line")
                if re.match(r"\s*from \..*#", line):
                    found.append(f"{where}:{number} has a comment behind a relative import")
            for item in imports(path, root=root):
                if item.level and (item.level > 1 or item.module not in copied):
                    found.append(f"{item.where} imports {'.' * item.level}{item.module}, not imported by {entry.name}")
    return found


@pytest.mark.parametrize(
    "file", ["modeling_blip2idc/__init__.py", "datasets_syned/__init__.py", "metrics/cider/cider.py"]
)
def test_the_packages_are_there(file):
    assert (ROOT / file).is_file()


def test_import_direction():
    assert forbidden_imports(ROOT) == []


def test_saved_folders_carry_their_code():
    assert unportable_imports(ROOT) == []


def test_folders_import_downwards():
    assert upward_imports(ROOT) == []
    for package, folders in FOLDERS.items():
        assert {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} == set(folders)


def test_the_metric_is_publishable_as_it_stands():
    assert unpublishable_imports(ROOT) == []


@pytest.mark.parametrize(
    ("check", "file", "line"),
    [
        (forbidden_imports, "metrics/cider/cider.py", "import datasets_syned.common.row"),
        (forbidden_imports, "datasets_syned/common/row.py", "def f():\n    from modeling_blip2idc import x"),
        (
            forbidden_imports,
            "datasets_syned/common/row.py",
            "import importlib\nimportlib.import_module('metrics.cider')",
        ),
        (forbidden_imports, "modeling_blip2idc/__main__.py", "import train_trainer"),
        (forbidden_imports, "modeling_blip2idc/a.py", "from ..datasets_syned import x"),
        (forbidden_imports, "modeling_blip2idc/a.py", "def f():\n    import matplotlib"),
        (forbidden_imports, "modeling_blip2idc/app/page.py", "import gradio"),
        (forbidden_imports, "modeling_blip2idc/a.py", "def f():\n    import gradio"),
        (forbidden_imports, "metrics/cider/app.py", "import gradio"),
        (forbidden_imports, "metrics/cider/cider.py", "def f():\n    import gradio"),
        (forbidden_imports, "metrics/cider/__main__.py", "import huggingface_hub"),
        (forbidden_imports, "metrics/report/build.py", "from ..cider.scoring import score"),
        (forbidden_imports, "metrics/report/build.py", "import datasets"),
        (forbidden_imports, "metrics/report/thumbnails.py", "from PIL import Image"),
        (forbidden_imports, "metrics/report/thumbnails.py", "def f():\n    import matplotlib"),
        (forbidden_imports, "metrics/report/curves.py", "import matplotlib"),
        (forbidden_imports, "modeling_blip2idc/a.py", "import yaml"),
        (forbidden_imports, "datasets_syned/training/collator.py", "import torch"),
        (forbidden_imports, "datasets_syned/synthesis/editors.py", "import diffusers"),
        (unportable_imports, "modeling_blip2idc/a_blip2idc.py", "from . import b"),
        (unportable_imports, "modeling_blip2idc/a_blip2idc.py", "from .missing_blip2idc import b"),
        (unportable_imports, "modeling_blip2idc/a_blip2idc.py", "def f():\n    from .loading.load import load_idc"),
        (upward_imports, "modeling_blip2idc/loading/a.py", "def f():\n    from ..hub.push import push"),
        (upward_imports, "modeling_blip2idc/hub/a.py", "from ..training.trainer import IDCTrainer"),
        (upward_imports, "datasets_syned/common/a.py", "from ..benchmarks import CONFIGS"),
        (upward_imports, "datasets_syned/synthesis/filters/a.py", "from ...audit.audit import audit"),
        (upward_imports, "datasets_syned/synthesis/filters/a.py", "from ..run import synthesize"),
        (unpublishable_imports, "metrics/cider/cider.py", "import datasets, evaluate"),
        (unpublishable_imports, "metrics/cider/cider.py", "from .core import f  # noqa"),
        (unpublishable_imports, "metrics/cider/cider.py", "def f():\n    from .core import f"),
        (unpublishable_imports, "metrics/cider/cider.py", "from ..bleu import f"),
    ],
)
def test_a_breach_is_found(tmp_path, check, file, line):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n", encoding="utf-8")
    assert len(check(tmp_path)) == 1


def test_what_is_allowed_is_not_reported(tmp_path):
    files = {
        "modeling_blip2idc/a.py": "import os\nimport torch\nfrom .b import f\n",
        "modeling_blip2idc/b.py": "from transformers import pipeline\n",
        "datasets_syned/scenes/pair.py": "from ..common.row import x\nimport numpy as np\n",
        "datasets_syned/synthesis/editors.py": "def f():\n    import diffusers\n",
        "metrics/cider/cider.py": "import datasets\nimport evaluate\nfrom .core import f\nfrom .ngrams import g\n",
        "metrics/cider/core.py": "from .ngrams import g\n",
        "modeling_blip2idc/app/page.py": "def build():\n    import gradio\n",
        "metrics/cider/app.py": "def build():\n    import gradio\n",
        "metrics/cider/__main__.py": "def push():\n    from huggingface_hub import HfApi\n",
        "metrics/report/build.py": "from ..cider import score\nfrom .thumbnails import f\nimport numpy as np\n",
        "metrics/report/thumbnails.py": "def f():\n    from PIL import Image\n",
        "metrics/report/curves.py": "def f():\n    from matplotlib.figure import Figure\n",
        "modeling_blip2idc/c.py": "def f():\n    import accelerate\n    import yaml\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert forbidden_imports(tmp_path) + unportable_imports(tmp_path) + unpublishable_imports(tmp_path) == []


def test_a_helper_that_evaluate_would_leave_behind_is_found(tmp_path):
    folder = tmp_path / "metrics" / "cider"
    folder.mkdir(parents=True)
    (folder / "cider.py").write_text("from .core import f\n")
    (folder / "core.py").write_text("from .ngrams import g\n")
    assert unpublishable_imports(tmp_path) == ["metrics/cider/core.py:1 imports .ngrams, not imported by cider.py"]


def test_the_processor_does_not_postpone_annotations():
    # transformers reads the annotations of a ProcessingKwargs at run time; as strings they cannot be resolved there.
    source = (ROOT / "modeling_blip2idc" / "processing_blip2idc.py").read_text(encoding="utf-8")
    assert "from __future__ import annotations" not in source


# Runs in its own process: every call that reaches for the network is noted and refused.
PROBE = """
import importlib, json, sys
reached = []
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        reached.append(f"{event} {args[1:]}")
        raise OSError("no network while importing")
sys.addaudithook(refuse)
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except OSError:
        if not reached:
            raise
torch = sys.modules.get("torch")
gpu = torch is not None and torch.cuda.is_initialized()
print(json.dumps({"network": reached, "gpu": gpu, "loaded": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def import_in_new_process(tmp_path: Path, *modules: str) -> dict:
    """Imports `modules` in a new process with an empty home; returns what that reached for and left behind."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_", "TRANSFORMERS_"))}
    env |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *modules], cwd=here, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    report["written"] = sorted(path.name for folder in (home, here) for path in folder.rglob("*"))
    return report


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("modeling_blip2idc", {"datasets", "evaluate", "diffusers", "matplotlib"}),
        ("datasets_syned", {"torch", "transformers", "diffusers", "ray", "evaluate"}),
        ("metrics.cider.cider", {"modeling_blip2idc", "datasets_syned", "diffusers"}),  # evaluate itself loads torch
        ("metrics.report", {"torch", "datasets", "evaluate", "matplotlib", "PIL"}),
    ],
)
def test_importing_a_package_only_defines_names(tmp_path, module, heavy):
    report = import_in_new_process(tmp_path, module)
    assert report["network"] == []
    assert report["gpu"] is False
    assert report["written"] == []
    assert heavy.isdisjoint(report["loaded"]), heavy.intersection(report["loaded"])


def test_the_probe_sees_network_and_files(tmp_path):
    (tmp_path / "careless.py").write_text(
        "import pathlib, socket\npathlib.Path('left.txt').write_text('x')\nsocket.getaddrinfo('localhost', 80)\n"
    )
    report = import_in_new_process(tmp_path, "careless")
    assert len(report["network"]) == 1 and report["network"][0].startswith("socket.getaddrinfo")
    assert report["written"] == ["left.txt"]
