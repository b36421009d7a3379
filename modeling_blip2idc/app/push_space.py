"""The page as a Space of the Hub: its folder, and its upload."""

import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from ..hub.push import check_name, claim_repo, hub_errors, publish
from ..hub.saving import temporary_folder

PACKAGE = Path(__file__).parents[1]
COMMANDS, DISTRIBUTION = ("blip2idc_cli.py", "blip2idc_scripts.py"), "blip2idc"
SHORT = "Two images in, what changed in a sentence out"  # the Hub takes 60 characters

APP = '''"""The page. A variable BLIP2IDC_MODELS of the Space, Hub ids with commas between, replaces MODELS."""

import os
import sys

from blip2idc_cli import main

MODELS = "{models}"

if __name__ == "__main__":
    names = filter(None, map(str.strip, os.environ.get("BLIP2IDC_MODELS", MODELS).split(",")))
    sys.exit(main(["serve", *(f"--model={{name}}" for name in names)]))
'''

README = """---
title: Image difference captioning
emoji: 🔎
colorFrom: indigo
colorTo: green
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
pinned: false
license: apache-2.0
{models}tags:
- image-difference-captioning
- blip-2
short_description: {short}
---

# Image difference captioning

Give two images, read what changed between them, and see where. {said}

The same page on your own machine, from this folder:

```bash
pip install gradio=={gradio} -r requirements.txt
python app.py
```

`modeling_blip2idc/` and `blip2idc_*.py` are the package, version {version}; `app.py` names the models.
"""


def push_space(repo: str, models: Sequence[str] = (), token: str | None = None, private: bool | None = None) -> str:
    """
    Uploads the page to a Space, in one commit; in none, if nothing changed.

    Args:
        repo (`str`): name of the Space, which is made if there is none; the account's own without a slash.
        models (`Sequence[str]`, *optional*): Hub ids of models and adapters to choose from, beside the embedded model.
        token, private (*optional*): as for [`publish`].

    Returns:
        `str`: the Space's full name.

    Raises:
        `OSError`: the Hub refuses, or cannot be reached; says why in one line.
        `ValueError`: a model is none that a Space can load, or [`publish`] would raise one.
    """
    check_name(repo)
    check_models(models)
    for model in models:
        _check_on_hub(model, token)
    name = claim_repo(repo, token, private, repo_type="space")
    with temporary_folder(tempfile.gettempdir(), "blip2idc-space-", 0o700) as folder:
        compose_space(folder, models)
        old = [f"{PACKAGE.name}/*"]  # what an older version had, and this one has not
        return publish(folder, name, token, private, repo_type="space", commit_message="The page", replace=old)


def compose_space(folder: str | os.PathLike, models: Sequence[str] = ()) -> None:
    """
    Writes what the Space needs: `app.py`, `README.md`, `requirements.txt`, the package and its command.

    Args:
        folder (`str` or `os.PathLike`): to write to; made if there is none.
        models (`Sequence[str]`, *optional*): as for [`push_space`].

    Raises:
        `ValueError`: a model is none that a Space can load, or the package or gradio is not installed.
    """
    check_models(models)
    core, gradio, version = _requirements()
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(PACKAGE, Path(folder, PACKAGE.name), ignore=skipped, dirs_exist_ok=True)
    for name in COMMANDS:
        shutil.copy(PACKAGE.with_name(name), folder)
    said = f"Models to choose from: {', '.join(f'`{model}`' for model in models)}." if models else ""
    card = README.format(
        gradio=gradio,
        python=re.search(r">=\s*([\d.]+)", importlib.metadata.metadata(DISTRIBUTION)["Requires-Python"])[1],
        models="models:\n" + "".join(f"- {model}\n" for model in models) if models else "",
        short=SHORT,
        said=said or "The model is the small one that comes with the package.",
        version=version,
    )
    texts = {"app.py": APP.format(models=",".join(models)), "README.md": card, "requirements.txt": core}
    for name, text in texts.items():
        Path(folder, name).write_text(text, encoding="utf-8")


def check_models(models: Sequence[str]) -> None:
    """Refuses (`ValueError`) what no Space could load: a folder of this machine, no Hub id, or a name given twice."""
    for place, model in enumerate(models):
        if os.path.exists(model):
            raise ValueError(
                f"{model} is on this machine only; `blip2idc push` it, and give the name it has on the Hub"
            )
        check_name(model)
        if "/" not in model:
            raise ValueError(f"{model!r} is not the name of a model on the Hub, which has the form owner/name")
        if model in models[:place]:
            raise ValueError(f"{model} is there twice")


def describe_space(repo: str, models: Sequence[str] = ()) -> str:
    """What [`push_space`] would upload, as text: the files with their sizes in bytes, and the card."""
    check_name(repo)
    with temporary_folder(tempfile.gettempdir(), "blip2idc-space-", 0o700) as folder:
        compose_space(folder, models)
        sizes = {path: path.stat().st_size for path in sorted(Path(folder).rglob("*")) if path.is_file()}
        lines = [f"{size:>10,}  {path.relative_to(folder).as_posix()}" for path, size in sizes.items()]
        card = Path(folder, "README.md").read_text(encoding="utf-8")
    return "\n".join([*lines, f"{sum(sizes.values()):>10,}  bytes in {len(sizes)} files", "", card])


def _check_on_hub(model: str, token: str | None) -> None:
    api = HfApi(token=token)
    try:
        with hub_errors(api, model):
            private = api.model_info(model).private
    except OSError as error:
        if isinstance(error.__cause__, RepositoryNotFoundError):
            raise ValueError(f"{api.endpoint} has no model {model}, or the token may not see it") from error
        raise
    if private:
        raise ValueError(f"{model} is private: the Space could not load it; make it public first")


def _requirements() -> tuple[str, str, str]:
    """The lines of requirements.txt, a version of gradio, and the one of this package."""
    try:
        needed, version = importlib.metadata.requires(DISTRIBUTION), importlib.metadata.version(DISTRIBUTION)
        gradio = importlib.metadata.version("gradio")
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(f"{error.name} is not installed: pip install 'blip2idc[app]'") from error
    core = sorted(line for line in needed if "extra ==" not in line)
    # gradio 6 does not take the next pillow
    core = [f"{line},<13" if re.match(r"pillow\b", line) else line for line in core]
    return "".join(f"{line}\n" for line in core), gradio, version
