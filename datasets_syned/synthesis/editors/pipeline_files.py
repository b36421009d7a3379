"""Which weights an editor is: a folder, or a commit on the Hub, found out without loading them."""

import json
from functools import cached_property
from pathlib import Path

from ..pretrained.revisions import first_line, folder_digest
from .presets import preset_revision

# Conversions of the first checkpoints name the class of the base model: what edits is told by the UNet, which sees
# eight channels, four of them the source image.
EDITING_CLASS = {
    "StableDiffusionPipeline": "StableDiffusionInstructPix2PixPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLInstructPix2PixPipeline",
}
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
NO_PICKLES = (
    "editor {!r}: {} would have to be unpickled, which can run code; safetensors are needed: ask for a revision that "
    "has them, or convert it once (save_pretrained writes safetensors)"
)


class PipelineFiles:
    """
    The files of a diffusers pipeline.

    Args:
        model (`str`): a name on the Hub, or a folder.
        revision (`str`, *optional*):
            a branch, tag or commit of the Hub, its main branch or what is known to be better by default; of a folder,
            what it is called instead of a digest.

    Attributes:
        id (`str`): the name on the Hub, or of the folder, without its path.
        pipeline (`str`): name of the diffusers class.

    Raises:
        ValueError: there is no such thing, or it is no pipeline of diffusers.
    """

    def __init__(self, model: str, revision: str | None = None):
        self.model, self.asked = str(model), revision
        self.local = Path(self.model).expanduser().is_dir()
        if self.local:
            self._root = Path(self.model).expanduser().resolve()
            self.id = self._root.name
        else:
            self.id = self.model
            self.asked = revision or preset_revision(self.model)
            self._root = self._fetch("model_index.json", self.asked).parent
        self.pipeline = self._pipeline()

    @cached_property
    def revision(self) -> str:
        """The commit; of a folder, what was given, or a digest of the names and contents of its files."""
        if not self.local:
            return self._root.name
        return self.asked or folder_digest(self._root)

    def folder(self) -> Path:
        """The folder of all files, downloaded if need be. Raises `ValueError` if the weights are no safetensors."""
        if self.local:
            return without_pickles(self._root, self.model)
        from diffusers import DiffusionPipeline

        try:
            folder = DiffusionPipeline.download(self.model, revision=self.revision, use_safetensors=True)
            return without_pickles(Path(folder), self.model)
        except (OSError, ValueError) as error:  # those of requests and of huggingface_hub among them
            if "safetensors" in str(error):
                raise ValueError(NO_PICKLES.format(self.model, "its weights")) from None
            raise ValueError(f"editor {self.model!r}: cannot be downloaded: {first_line(error)}") from error

    def _fetch(self, name: str, revision: str | None) -> Path:
        """One file of the model on the Hub; one of a commit is not asked for again when it is in the cache."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError

        try:
            return Path(hf_hub_download(self.model, name, revision=revision))
        except HFValidationError:
            raise ValueError(f"editor {self.model!r}: there is no such folder, nor is it a name on the Hub") from None
        except (OSError, ValueError) as error:
            at = f" at revision {revision}" if revision else ""
            raise ValueError(
                f"editor {self.model!r}: no such folder, and {name} of it{at} cannot be had from the Hub: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error

    def _read(self, name: str) -> dict:
        path = self._root / name
        if not self.local and not path.is_file():
            path = self._fetch(name, self.revision)
        if not path.is_file():
            raise ValueError(f"editor {self.model!r}: there is no {name}: not the folder of a diffusers pipeline")
        return json.loads(path.read_text(encoding="utf-8"))

    def _pipeline(self) -> str:
        name = self._read("model_index.json").get("_class_name")
        if not isinstance(name, str):
            raise ValueError(f"editor {self.model!r}: needs code of its own ({name}), and only diffusers' is run")
        if name in EDITING_CLASS and self._read("unet/config.json").get("in_channels") == 8:
            return EDITING_CLASS[name]
        return name


def without_pickles(folder: Path, model: str) -> Path:
    """The folder. Raises `ValueError` if a component of it has pickles only, before any other is loaded."""
    for part in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        names = [path.name for path in part.iterdir()]
        pickles = [name for name in names if name.endswith(PICKLES)]
        if pickles and not any(name.endswith(".safetensors") for name in names):
            raise ValueError(NO_PICKLES.format(model, f"{part.name}/{pickles[0]}"))
    return folder
