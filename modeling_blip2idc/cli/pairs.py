"""Pairs of image files in folders."""

from pathlib import Path

from PIL import Image

BEFORE, AFTER = "before", "after"

LAYOUTS = """\
  folder/before/NAME.png + folder/after/NAME.png
  folder/NAME_before.png + folder/NAME_after.png
  two folders, before first, with the same names in both
The two files of a pair may differ in their extension (any image format of Pillow); other files are ignored."""


def find_pairs(folder: str | Path, after_folder: str | Path | None = None) -> tuple[list[dict], list[str]]:
    """
    The pairs of images in a folder, in one of these layouts:

    - two subfolders `before/` and `after/` with the same names in both;
    - files `NAME_before.EXT` and `NAME_after.EXT` side by side;
    - `folder` and `after_folder`, with the same names in both.

    Subfolders win where a folder has both. Nothing is opened: whether a file holds an image shows later.

    Args:
        folder (`str` or `Path`):
            The folder of pairs; with `after_folder`, the one of the first images.
        after_folder (`str` or `Path`, *optional*):
            The folder of the second images.

    Returns:
        `tuple`: the pairs, sorted by name, as dicts of `id` (`str`), `before` and `after` (`str` paths); and one
        message for each file whose partner is missing or ambiguous.
    """
    folder = Path(folder)
    if after_folder is not None:
        before, after = _by_name(folder, ""), _by_name(Path(after_folder), "")
    elif (folder / BEFORE).is_dir() and (folder / AFTER).is_dir():
        before, after = _by_name(folder / BEFORE, ""), _by_name(folder / AFTER, "")
    else:
        before, after = _by_name(folder, f"_{BEFORE}"), _by_name(folder, f"_{AFTER}")
    pairs, problems = [], []
    for name in sorted(before.keys() | after.keys()):
        found = {BEFORE: before.get(name, []), AFTER: after.get(name, [])}
        wrong = [(side, paths) for side, paths in found.items() if len(paths) != 1]
        for side, paths in wrong:
            several = " and ".join(path.name for path in paths)
            problems.append(f"{name}: {f'several {side} images ({several})' if paths else f'no {side} image'}")
        if not wrong:
            pairs.append({"id": name, BEFORE: str(found[BEFORE][0]), AFTER: str(found[AFTER][0])})
    return pairs, problems


def _by_name(folder: Path, ending: str) -> dict[str, list[Path]]:
    """Image files of a folder whose stem ends so, by the rest of the stem."""
    extensions = {extension for extension, name in Image.registered_extensions().items() if name in Image.OPEN}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in extensions and path.stem.endswith(ending) and not path.name.startswith("."):
            name = path.stem.removesuffix(ending)
            found.setdefault(name, []).append(path)
    return found
