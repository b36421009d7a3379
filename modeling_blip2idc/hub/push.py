"""Publishing a model or an adapter: what goes up is put together in a folder of its own, from a list of what may."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, get_token
from huggingface_hub.utils import validate_repo_id

from .card_text import is_unedited
from .private_paths import check_leaks
from .publish import publish, said_plainly
from .push_card import write_push_card
from .stage import EXTRAS, check_source, stage_adapter, stage_model

# Files that are a model's, at the root: those of another one that was in the repository go with the same commit.
OWN = (
    *("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json"),
    *("processor_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "qformer_tokenizer/*"),
    "chat_template.jinja",
    *("*_blip2idc.py", "report.json", "curves.png", "examples.png"),
)


class Pushed(NamedTuple):
    """
    What went up.

    Args:
        repo (`str`): full name of the repository.
        files (`dict[str, int]`): bytes by name.
        notes (`list[str]`): what a user should know.
    """

    repo: str
    files: dict[str, int]
    notes: list[str]


def push(
    folder: str | os.PathLike,
    repo: str,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    dtype: str | None = None,
    merge: bool = False,
    message: str | None = None,
    replace_card: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """
    Publishes a model or an adapter, with processor, generation settings, code and card, in one commit. The folder is
    left as it is.

    Args:
        folder (`str` or `os.PathLike`):
            A run of `train_trainer.py`, or a folder with `config.json` or `adapter_config.json`.
        repo (`str`), token (`str`, *optional*), private (`bool`, *optional*), revision (`str`, *optional*):
            As for [`publish`].
        dtype (`str`, *optional*):
            Of the weights: `"bfloat16"`, `"float16"`, `"float32"` or `"keep"`. By default a model keeps its own, and
            an adapter of 32 bits becomes bfloat16.
        merge (`bool`, *optional*, defaults to `False`):
            Whether an adapter is merged into its base, and the whole model published.
        message (`str`, *optional*):
            Title of the commit.
        replace_card (`bool`, *optional*, defaults to `False`):
            Whether a card on the Hub that somebody edited there gives way to one that a program wrote. (One that was
            edited in `folder` always goes up as it is.)
        dry_run (`bool`, *optional*, defaults to `False`):
            Whether to stop before anything is sent.

    Returns:
        [`Pushed`]

    Raises:
        `OSError`: a file is missing or damaged, the base cannot be read, or as for [`publish`].
        `ValueError`: what is in the folder cannot be published, or as for [`publish`].
    """
    validate_repo_id(repo)
    source = find_source(folder)
    check_source(source, dtype, merge)
    adapter = (source / "adapter_config.json").is_file() and not merge
    name, notes = repo if dry_run else _full_name(repo, token), []
    with tempfile.TemporaryDirectory(prefix="blip2idc-push-") as out:
        out = Path(out)
        facts = (stage_adapter if adapter else stage_model)(source, out, dtype, token)
        for extra in EXTRAS:
            if (source / extra).is_file():
                shutil.copyfile(source / extra, out / extra)
        write_push_card(source, out, name, facts)
        check_leaks(out, [source, Path(folder)], [token or get_token() or ""])
        if not dry_run and not replace_card and _edited_there(out, name, revision, token):
            (out / "README.md").unlink()
            notes.append(f"the card of {name} was edited there and stays; --replace_card replaces it")
        files = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(out.rglob("*"))
                 if path.is_file()}  # fmt: skip
        if not dry_run:
            title = message or ("Adapter" if adapter else "Model")
            publish(out, name, token, private, revision, commit_message=title, replace=OWN)
    return Pushed(name, files, notes)


def find_source(folder: str | os.PathLike) -> Path:
    """
    The folder of the model: this one, or `final/` in that of a run.

    Args:
        folder (`str` or `os.PathLike`):
            As for [`push`].

    Raises:
        `FileNotFoundError`: there is no model.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No such folder: {os.fspath(folder)!r}.")
    for source in (folder, folder / "final"):
        if any((source / name).is_file() for name in ("adapter_config.json", "config.json")):
            return source
    raise FileNotFoundError(
        f"No model in {os.fspath(folder)!r}: neither it nor its final/ has config.json or adapter_config.json. (A run "
        "has final/ when it is done.)"
    )


def _full_name(repo: str, token: str | None) -> str:
    """With the account. The repository itself is not made before all is known to be in order."""
    if "/" in repo:
        return repo
    api = HfApi(token=token)
    with said_plainly(api, repo):
        return f"{api.whoami()['name']}/{repo}"


def _edited_there(out: Path, name: str, revision: str | None, token: str | None) -> bool:
    """Whether a person's card in the repository would be replaced by a program's."""
    if not is_unedited((out / "README.md").read_text(encoding="utf-8")):
        return False
    api = HfApi(token=token)
    with said_plainly(api, name):
        if revision is not None and not api.revision_exists(name, revision):
            revision = None  # the new branch begins with what main has
        if not api.file_exists(name, "README.md", revision=revision):
            return False
        # forced: a card from the cache, of the last push, would stand for it while the Hub fails
        there = api.hf_hub_download(name, "README.md", revision=revision, force_download=True)
    return not is_unedited(Path(there).read_text(encoding="utf-8"))


__all__ = ["Pushed", "find_source", "push"]
