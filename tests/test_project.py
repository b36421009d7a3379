"""What the files around the code promise: commands, versions, declared dependencies, what is packaged."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.source_tree import PACKAGES, ROOT, imports, python_files

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
SHIPPED = set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
SPLITS = {"train_data": "train", "eval_data": "validation", "test_data": "test"}
IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml"}
# Used without an import: by transformers' Trainer, by huggingface_hub's cards, as a command, by the build.
USED_UNIMPORTED = {"accelerate", "jinja2", "ruff", "hatchling", "pytest_xdist"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(*groups: str) -> dict[str, Requirement]:
    """Requirements of the core ("") and of extras, by the name that code imports."""
    lines = [
        line
        for group in groups
        for line in (PROJECT["optional-dependencies"][group] if group else PROJECT["dependencies"])
    ]
    return {IMPORTED_AS.get(r.name, r.name.replace("-", "_")): r for r in map(Requirement, lines)}


def third_party(paths: list[Path]) -> set[str]:
    """Libraries that files import, without the standard library and without our own modules."""
    ours = {*PACKAGES, "tests", "benchmarks", *(script.stem for script in ROOT.glob("*.py"))}
    found = {item.top for path in paths for item in imports(path) if not item.level}
    return found - ours - sys.stdlib_module_names


def versioned_files() -> list[Path]:
    """Files that are, or are about to be, under version control."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), flags=re.MULTILINE))


def make(*arguments: str) -> subprocess.CompletedProcess:
    """Runs make as from a shell, also when the tests themselves were started by make."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("page", ["README.md", *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/*.md"))])
def test_commands_of_the_pages_exist(page):
    commands = "\n".join(re.findall(r"```(?:bash|sh)\n(.*?)```", read(page), flags=re.DOTALL))
    commands += "\n" + "\n".join(re.findall(r"`((?:make|python|blip2idc|syned) [^`]+)`", read(page)))
    for line in re.findall(r"^make(?: +[^#\n]*)?", commands, flags=re.MULTILINE):
        named = {word for word in line.split()[1:] if "=" not in word and not word.startswith("-")}
        assert named <= make_targets(), f"{page}: `{line}` names no target of the Makefile"
    for script in re.findall(r"^python +([\w./-]+\.py)", commands, flags=re.MULTILINE):
        assert (ROOT / script).is_file(), f"{page}: python {script}"
    for recipe in re.findall(r"recipes/[\w./-]+\.yaml", commands):
        assert (ROOT / recipe).is_file(), f"{page}: {recipe}"


def test_readme_says_how_to_demo_and_test():
    text = read("README.md")
    assert "make demo" in text and "make quality test" in text
    assert re.search(r"^make quality test\b", read(".ci/run"), flags=re.MULTILINE), ".ci/run runs the README's tests"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_lists_its_targets():
    shown = make()
    assert shown.returncode == 0, shown.stderr
    listed = set(re.findall(r"^  make ([a-z-]+) +\S", shown.stdout, flags=re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)", read("Makefile"), flags=re.MULTILINE).group(1).split())
    assert listed == phony == make_targets()
    assert {"demo", "test", "quality", "mini", "bench"} <= listed


def test_make_runs_files_that_exist():
    for name in re.findall(r"\b(?:[\w-]+/)*[\w-]+\.(?:py|yaml|txt|toml)\b", read("Makefile")):
        assert (ROOT / name).is_file(), f"Makefile: {name}"


def test_make_refuses_an_unsupported_python(tmp_path):
    pretend = "import sys; sys.version_info = (3, 10, 0); exec(sys.argv[2])"
    old = tmp_path / "python"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{pretend}' \"$@\"\n")
    old.chmod(0o755)
    done = make("demo", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert done.returncode != 0
    assert f"blip2idc needs Python 3.11 to 3.13, but PYTHON={old} is 3.10" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_one_version_everywhere():
    version = PROJECT["version"]
    assert re.search(r"^version: (.+)$", read("CITATION.cff"), flags=re.MULTILINE).group(1) == version
    assert re.search(r"^## (\S+)", read("CHANGELOG.md"), flags=re.MULTILINE).group(1) == version
    for path in python_files(*PACKAGES):
        for written in re.findall(r'^__version__ = "(.+)"', path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert written == version, path
    try:
        assert importlib.metadata.version("blip2idc") == version
    except importlib.metadata.PackageNotFoundError:
        pass  # run from a checkout that is not installed


def test_licence_is_the_one_that_is_named():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0, January 2004" in read("LICENSE")
    assert re.search(r"^license: Apache-2.0$", read("CITATION.cff"), flags=re.MULTILINE)


def test_pins_are_exact_and_within_what_is_declared():
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    pins = dict(re.fullmatch(r"([\w.-]+)==([\w.+]+)", line).groups() for line in lines)
    assert len(pins) == len(lines), "a name is pinned twice"
    for requirement in requirements("", *PROJECT["optional-dependencies"]).values():
        assert pins[requirement.name] in requirement.specifier, requirement
    assert f"torch=={pins['torch']}" in read("Makefile")


def test_captioning_needs_only_the_core():
    files = [*python_files("modeling_blip2idc")]
    files.remove(page := ROOT / "modeling_blip2idc" / "app" / "page.py")
    missing = third_party(files) - set(requirements(""))
    assert not missing, f"modeling_blip2idc imports {missing}, not in [project.dependencies]"
    assert third_party([page]) - set(requirements("", "app")) == set()


def test_training_needs_only_the_train_extra():
    files = [*python_files("datasets_syned", "metrics"), *ROOT.glob("*.py")]
    files.remove(ROOT / "metrics" / "cider" / "app.py")  # has requirements of its own, beside it
    files = [file for file in files if ROOT / "datasets_syned" / "synthesis" not in file.parents]
    missing = third_party(files) - set(requirements("", "train"))
    assert not missing, f"imported, but neither in the core nor in the train extra: {missing}"


def test_synthesis_needs_only_its_extras():
    missing = third_party(python_files("datasets_syned/synthesis")) - set(requirements("", "synth", "ray"))
    assert not missing, f"imported, but neither in the core nor in the extras synth and ray: {missing}"


def test_tests_and_benchmarks_need_only_the_dev_extra():
    extras = ("", "train", "synth", "ray", "app", "dev")
    missing = third_party(python_files("tests", "benchmarks")) - set(requirements(*extras))
    assert not missing, f"imported, but in no list of pyproject.toml: {missing}"


def test_nothing_is_declared_that_nothing_uses():
    code = third_party([*python_files(*PACKAGES), *ROOT.glob("*.py")])
    checks = third_party(python_files("tests", "benchmarks"))
    assert set(requirements("", "train")) - code <= USED_UNIMPORTED
    assert set(requirements("dev")) - checks <= USED_UNIMPORTED


@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_commands_have_a_main(command):
    module, function = PROJECT["scripts"][command].split(":")
    path = ROOT / (module.replace(".", "/") + ".py")
    defined = [node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if hasattr(node, "name")]
    assert function in defined


# A path of somebody's machine; written so that this line does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|root|home/\w+|Users/\w+|opt)/\w|[A-Z]:\\Users")
INDEX_HOST = re.compile(r"pypi[.]org|pythonhosted[.]org|download[.]pytorch[.]org")


def test_no_path_of_a_machine_and_no_index_host():
    found = []
    for path in versioned_files():
        content = path.read_bytes()
        if b"\0" in content:
            continue  # an image or weights
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line) or INDEX_HOST.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_path"),
    [
        ('"base": "' + "/".join(["", "root", "runs", "mini"]) + '"', True),
        ("see " + "/".join(["", "home", "ana", "x"]), True),
        ("a/work/b and docs/home/x", False),
        ("Path('/tmp') / name", False),
    ],
)
def test_what_counts_as_a_path_of_a_machine(line, is_path):
    assert bool(MACHINE_PATH.search(line)) is is_path


def test_files_have_one_job():
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in [*python_files(*PACKAGES, "benchmarks"), *ROOT.glob("*.py")]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert not long, f"files of more than 300 lines: {long}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this checkout by the declared build backend."""
    out = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


def test_wheel_holds_the_code_and_its_data(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = [path.relative_to(ROOT) for path in versioned_files()]
    expected = {path.as_posix() for path in files if path.parts[0] in SHIPPED}
    expected |= {f"modeling_blip2idc/{path.as_posix()}" for path in files if path.parts[0] == "recipes"}
    assert {name for name in packed if ".dist-info/" not in name} == expected
    assert {"modeling_blip2idc/mini/config.json", "modeling_blip2idc/mini/model.safetensors"} <= packed
    assert any(name.startswith("modeling_blip2idc/examples/") for name in packed)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in packed)


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    """A function that runs a command of the unpacked wheel in a folder, and returns what it printed."""
    zipfile.ZipFile(wheel).extractall(site := tmp_path_factory.mktemp("site"))
    env = os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(site / "cache")}

    def run(folder, command, *words):
        module, function = PROJECT["scripts"][command].split(":")
        # -P keeps the working directory off the path, so that only the unpacked wheel can answer.
        code = f"import sys, {module}; sys.argv[0] = {command!r}; sys.exit({module}.{function}())"
        command = [sys.executable, "-P", "-c", code, *words]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_unpacked_wheel_captions(unpacked, tmp_path):
    unpacked(tmp_path, "blip2idc", "demo", "--out", "demo.html")
    assert "<html" in (tmp_path / "demo.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_unpacked_wheel_does_what_the_readme_shows(unpacked, tmp_path):
    for side in ("before", "after"):
        shutil.copy(ROOT / "modeling_blip2idc" / "examples" / f"add_{side}.png", tmp_path / f"{side}.png")
    (tmp_path / "pairs.csv").write_text("before,after\nbefore.png,after.png\n")
    pair = ("before.png", "after.png")
    unpacked(tmp_path, "blip2idc", "pairs.csv", "--output", "out.csv", "--device", "cpu")
    unpacked(tmp_path, "blip2idc", "merge", str(ROOT / "modeling_blip2idc" / "mini"), "merged")
    unpacked(tmp_path, "blip2idc", *pair, "--heatmap", "where.png", "--model", "merged", "--device", "cpu")
    unpacked(tmp_path, "blip2idc", "canvas", *pair, "canvas.png", "--model", "merged")
    assert {"out.csv", "merged", "where.png", "canvas.png"} <= {path.name for path in tmp_path.iterdir()}
    assert "model.safetensors" in unpacked(tmp_path, "blip2idc", "push", "merged", "someone/x", "--dry_run")
    assert "blip2idc_scripts.py" in unpacked(tmp_path, "blip2idc", "push-space", "someone/x", "--dry_run")


def test_unpacked_wheel_shows_its_recipes(unpacked, tmp_path):
    assert re.search(r"^  clevr_change, .*my_pairs", unpacked(tmp_path, "blip2idc-train", "--help"), re.M)


@pytest.mark.slow
def test_unpacked_wheel_trains_and_evaluates(unpacked, tmp_path):
    rows = {"path": "syned", "name": "scenes", "train": 32, "validation": 6, "test": 6, "width": 48, "height": 32}
    data = [f"--{name}={json.dumps(rows | {'split': split})}" for name, split in SPLITS.items()]
    said = unpacked(tmp_path, "blip2idc-train", "mini", "--dry_run", "--use_cpu", *data)
    assert "training would take" in said
    options = json.dumps({"test": 6, "width": 48, "height": 32})
    unpacked(tmp_path, "blip2idc-evaluate", "--options", options, "--device", "cpu")
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["count"] == 6
