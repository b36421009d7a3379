"""What must not be published: places of this machine, its name, and tokens."""

import json
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..image_files_blip2idc import decoding, open_image

# Homes and temporary folders of any machine, in files where nothing but a leak looks like one.
_PLACE = re.compile(r"(?<![\w.~:/])(?:/(?:home|Users|root|tmp|private|scratch|mnt)/|[A-Z]:\\{1,2}Users\\)[^\s\"'<>)]+")
_NO_WORDS = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json")  # words of a language
_HEADER = 8  # bytes of a safetensors file that tell the length of its header


def check_private_paths(
    folder: str | os.PathLike, places: Iterable[str | os.PathLike] = (), tokens: Iterable[str] = ()
) -> None:
    """
    Refuses a folder that names a place of this machine (the home folder, the working folder, that of temporary files,
    that of Python, or one of `places`), the machine, or one of `tokens`. All of every file is searched; of safetensors
    files the header, and of pictures also the texts in them. Raises a `ValueError` that names the file and what is in
    it (of a token only that it is one), and one for a damaged picture.
    """
    folder = Path(folder)
    places = [Path.home(), Path.cwd(), tempfile.gettempdir(), sys.prefix, folder, *places]
    # "/root" alone may be a word, and end an address; "/" and "/usr" are on every machine
    shown = {str(form) for place in places for form in (Path(place), Path(os.path.realpath(place)))}
    exact = [(re.compile(re.escape(text) + r"(?![\w-])"), "the folder {}") for text in shown if text.count(os.sep) > 1]
    top = [text for text in shown - {"/", "/usr"} if text.count(os.sep) == 1]
    exact += [(re.compile(rf"(?<![\w.~:/-]){re.escape(text)}/"), "the folder {}") for text in top]
    host = socket.gethostname()
    if len(host) > 3 and re.search(r"[\d.-]", host):  # others are words
        exact.append((re.compile(rf"(?<![\w-]){re.escape(host)}(?![\w-])"), "the name of this machine, {}"))
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        try:
            text = _text(file)
        except Exception as error:  # whatever a damaged picture provokes
            said = " ".join(str(error).replace(f"{folder}{os.sep}", "").split())[:200]
            raise ValueError(f"{name} is damaged, and not published ({said})") from error
        if any(token and token in text for token in tokens):
            raise ValueError(f"{name} is not published: a token is in it; take it out, and make a new token")
        general = [] if file.suffix == ".py" or file.name in _NO_WORDS else [(_PLACE, "the place {}")]
        for pattern, what in (*exact, *general):
            if found := pattern.search(text):
                said = what.format(repr(found.group().rstrip("/")))
                raise ValueError(f"{name} is not published: it names {said}, which is of use on one machine only")


def _text(file: Path) -> str:
    """What is searched of a file."""
    if file.suffix == ".safetensors":
        with file.open("rb") as stream:
            return stream.read(int.from_bytes(stream.read(_HEADER), "little")).decode("utf-8", "replace")
    text = file.read_bytes().decode("utf-8", "replace")
    if file.suffix == ".json":
        try:  # as it is read, whatever was escaped
            return text + json.dumps(json.loads(text), ensure_ascii=False)
        except ValueError:
            return text
    if file.suffix == ".png":
        with open_image(file, str(file)) as image, decoding(str(file)):
            image.load()  # texts may stand behind the pixels
            return text + " ".join(str(value) for value in image.info.values())
    return text


__all__ = ["check_private_paths"]
