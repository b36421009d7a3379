"""Pretrained weights in a local folder or on the Hub: what they are is known before they are loaded."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any


class Pretrained:
    """
    A model that is not loaded yet. Nothing is asked of the Hub before `folder` or `revision` is.

    Args:
        name (`str`): a folder, or a name on the Hub.
        revision (`str`, *optional*):
            branch, tag or commit on the Hub; of a folder, what it is called instead of a digest of its files.
        files (`Sequence[str]`, *optional*): patterns of the files on the Hub that say what it is.

    Attributes:
        id (`str`): the name on the Hub, or that of the folder, without its path.
        local (`bool`): whether it is a folder.
    """

    def __init__(self, name: str, revision: str | None = None, files: Sequence[str] = ("config.json",)):
        self.name, self.asked, self.files = str(name), revision, list(files)
        place = Path(self.name).expanduser()
        self.local = place.is_dir()
        self.id = place.resolve().name if self.local else self.name

    @cached_property
    def folder(self) -> Path:
        """Where its files are; of the Hub, a folder of the cache. Raises a `ValueError` if it cannot be had."""
        if self.local:
            return Path(self.name).expanduser().resolve()
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(self.name, revision=self.asked, allow_patterns=self.files))
        except (OSError, ValueError) as error:  # those of the connection and of a name that cannot be one among them
            at = f" at revision {self.asked}" if self.asked else ""
            raise ValueError(
                f"{self.name!r} cannot be loaded: there is no such folder, and the Hub does not give it{at}: "
                f"{one_line(error)}"
            ) from error

    @cached_property
    def revision(self) -> str:
        """The commit on the Hub; of a folder, what was given, or a digest of its files."""
        if not self.local:
            return self.folder.name
        return self.asked or digest_of(self.folder, self.folder.rglob("*"))

    def load(self, auto: Any, **options: Any) -> Any:
        """
        What `auto.from_pretrained` makes of it, from the commit of `revision`.

        Raises:
            ValueError: it cannot be had, or not be loaded.
        """
        where = (self.folder,) if self.local else (self.name,)
        options |= {} if self.local else {"revision": self.revision}
        try:
            return auto.from_pretrained(*where, **options)
        except Exception as error:  # every library has its own
            raise ValueError(f"{self.id!r} cannot be loaded: {one_line(error)}") from error

    def load_model(self, auto: Any, device: str, dtype: str = "float32", **options: Any) -> Any:
        """A model of transformers on its device. It has all of its weights, from safetensors by default."""
        options = {"use_safetensors": True, "dtype": dtype, **options}
        model, info = self.load(auto, output_loading_info=True, **options)
        if missing := sorted(info["missing_keys"]):
            raise ValueError(f"{self.id!r} lacks {len(missing)} of its weights, such as {missing[0]}")
        return model.to(device).eval()


def digest_of(folder: Path, paths: Iterable[Path]) -> str:
    """`sha256:` and 16 hexadecimal digits, over names and contents of the files in a folder that are not hidden."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(name.encode() + b"\0" + content)
    return f"sha256:{digest.hexdigest()[:16]}"


def one_line(error: Exception) -> str:
    """The kind of an exception, and what it says without its explanations."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}".rstrip(": ")
