"""Images of rows that are stored as bytes or as a path: a path is followed into the folder of the data only."""

import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .images import MISSING, ImageError, is_inside, load_image, printable, read_file, too_large


def content_of(image: Mapping[str, Any], name: str, folders: Iterable[str | Path] = ()) -> bytes:
    """
    The file of an image that is stored as `datasets.Image(decode=False)` gives it.

    Args:
        image (`dict`): `{"bytes", "path"}`. A path came with the data and may name anything, also a URL. It is
            followed to a file in one of `folders` only.
        name (`str`): what messages call the image.
        folders (`Iterable[str | Path]`, *optional*): where the files of the data set are; see [`data_folders`].

    Raises:
        ImageError: there is no image, its file cannot be read, or is somewhere else.
    """
    path = image.get("path")
    if image.get("bytes") is not None or not path:
        return image.get("bytes") or b""
    zipped = path.startswith("zip://")  # as "imagefolder" names what is in an archive
    member, _, place = path.removeprefix("zip://").partition("::") if zipped else ("", "", path)
    for folder in folders:
        if is_inside(file := os.path.join(folder, place), folder):
            shown = f"{name} {printable(path)!r}"
            return _read_member(file, member, shown) if zipped else read_file(file, shown)
    raise ImageError(
        name,
        f"is only a path, {printable(path)!r}, and not in the folder of the data. Such a path is not followed: give "
        "data_dir=<the folder that holds the images>, or store the images themselves",
    )


def _read_member(archive: str, member: str, name: str) -> bytes:
    if not os.path.isfile(archive):  # opening a pipe would wait
        raise ImageError(name, MISSING)
    try:
        with zipfile.ZipFile(archive) as files:
            if wrong := too_large(files.getinfo(member).file_size):
                raise ImageError(name, wrong)
            return files.read(member)
    except ImageError:
        raise
    except Exception as error:  # of the archive, of its compression, of a password
        raise ImageError(name, f"cannot be read: {error}") from error


def data_folders(spec: Mapping[str, Any]) -> list[str]:
    """
    Where the image files of a data set are, by the arguments of `datasets.load_dataset`: the local folders that these
    name, and those of its `data_files`; for a repository of the Hub the folder of its downloads; and in both cases
    where archives are unpacked.
    """
    from datasets.config import EXTRACTED_DATASETS_PATH  # training on a machine without `datasets` reads images, too
    from datasets.utils.py_utils import NestedDataStructure
    from huggingface_hub.constants import HF_HUB_CACHE

    files = NestedDataStructure(spec.get("data_files") or []).flatten()
    places = [os.path.expanduser(str(spec[key])) for key in ("data_dir", "path") if spec.get(key)]
    places += [os.path.dirname(file.partition("*")[0]) or os.curdir for file in files]
    places += [os.path.join(HF_HUB_CACHE, f"datasets--{str(spec.get('path')).replace('/', '--')}")]
    places += [str(EXTRACTED_DATASETS_PATH)]
    return [
        form for place in places if os.path.isdir(place) for form in dict.fromkeys((place, os.path.realpath(place)))
    ]


def open_images(batch: Mapping[str, list], folders: Iterable[str | Path]) -> dict[str, list]:
    """Decodes the images of a batch, as a transform for `with_transform` of data whose images are not decoded."""

    def opened(value: Any) -> Any:
        if not (isinstance(value, Mapping) and {"bytes", "path"} == set(value)):
            return value
        name = value["path"] or "an image"
        return load_image(content_of(value, name, folders), name)

    return {name: [opened(value) for value in values] for name, values in batch.items()}
