"""Pairs of images as people name them: two files, folders, or a table."""

import csv
import json
from pathlib import Path

from PIL import Image

BEFORE, AFTER = "before", "after"
LAYOUTS = "before/NAME.png and after/NAME.png, or NAME_before.png and NAME_after.png"


class WrongUse(ValueError):
    """A command line that cannot be meant so; the command then ends with status 2."""

    exit_code = 2


def collect_pairs(paths: list[str], heatmap: str | None = None) -> tuple[list[dict], list[dict], bool]:
    """
    What the paths on the command line mean.

    Args:
        paths (`list[str]`): two images; a folder of pairs, or one of first and one of second images; or a table.
        heatmap (`str`, *optional*): the picture that is drawn of two images.

    Returns:
        `tuple`: pairs, with `before`, `after` (`str`) and maybe `id` and `prompt`; what is not a pair, with `id` and
        `error`; and whether it is one pair given by its two images.

    Raises:
        `WrongUse`: for another number of paths, one image, folders without a pair, and a heat map of many pairs.
    """
    folders = [path for path in paths if Path(path).is_dir()]
    single = len(paths) == 2 and not folders
    if heatmap and not single:
        raise WrongUse("--heatmap draws one pair: give two images")
    if single:
        return [{BEFORE: paths[0], AFTER: paths[1]}], [], True
    if len(paths) == 1 and not folders:
        return *_one_path(paths[0]), False
    if len(paths) != len(folders) or len(paths) > 2:
        raise WrongUse(f"give two images, one or two folders, or a table of pairs, not {' '.join(paths)}")
    pairs, problems = find_pairs(*folders)
    if not pairs and not problems:
        raise WrongUse(f"no pairs in {' and '.join(folders)}: name the images {LAYOUTS}")
    return pairs, problems, False


def _one_path(path: str) -> tuple[list[dict], list[dict]]:
    if Path(path).suffix.lower() in (".csv", ".tsv", ".jsonl"):
        return read_table(path)
    if Path(path).exists() or "://" in path:
        raise WrongUse(f"only one image given, {path}: give two, or a folder or a .csv, .tsv or .jsonl file of pairs")
    raise WrongUse(f"{path}: no such file or folder")


def find_pairs(folder: str | Path, after_folder: str | Path | None = None) -> tuple[list[dict], list[dict]]:
    """
    The pairs of images in a folder, in one of these layouts:

    - two subfolders `before/` and `after/` with the same names in both;
    - files `NAME_before.EXT` and `NAME_after.EXT` side by side;
    - `folder` and `after_folder`, with the same names in both.

    Subfolders win where a folder has both. Nothing is opened: whether a file holds an image shows later.

    Returns:
        `tuple`: the pairs, sorted by `id`; and `id` and `error` of each file whose partner is missing or ambiguous.
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
            error = f"several {side} images ({several})" if paths else f"no {side} image"
            problems.append({"id": name, "error": error})
        if not wrong:
            pairs.append({"id": name, BEFORE: str(found[BEFORE][0]), AFTER: str(found[AFTER][0])})
    return pairs, problems


def _by_name(folder: Path, ending: str) -> dict[str, list[Path]]:
    """Image files of a folder whose stem ends so, by the rest of the stem."""
    extensions = {extension for extension, name in Image.registered_extensions().items() if name in Image.OPEN}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in extensions and path.stem.endswith(ending) and not path.name.startswith("."):
            found.setdefault(path.stem.removesuffix(ending), []).append(path)
    return found


def read_table(path: str | Path) -> tuple[list[dict], list[dict]]:
    """
    Pairs from a table, which needs no captions.

    Args:
        path (`str` or `Path`):
            A `.csv`, `.tsv` or `.jsonl` file with `before` and `after`, paths (seen from its folder) or URLs; and
            maybe `id` (by default the row's number, from 1) and `prompt`. Other columns are ignored.

    Returns:
        `tuple`: the pairs; and `id` and `error` of each row that is not a pair.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".jsonl":
                rows = [json.loads(line) for line in file if line.strip()]
            else:
                rows = list(csv.DictReader(file, dialect="excel-tab" if path.suffix.lower() == ".tsv" else "excel"))
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUse(f"{path} is not a table of pairs, but something else than text: {error}") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise WrongUse(f"{path} is not a table of pairs: {error}") from error
    if not rows or not all(isinstance(row, dict) for row in rows) or not {BEFORE, AFTER} <= rows[0].keys():
        raise WrongUse(f"{path} is not a table of pairs: it needs the columns before and after, and a row for each")
    pairs, problems = [], []
    for number, row in enumerate(rows, 1):
        pair = {"id": str(row.get("id") or number)}
        missing = [side for side in (BEFORE, AFTER) if not isinstance(row.get(side), str) or not row[side]]
        if missing:
            problems.append({**pair, "error": f"no {' and no '.join(missing)} image"})
            continue
        images = {side: row[side] if "://" in row[side] else str(path.parent / row[side]) for side in (BEFORE, AFTER)}
        pairs.append({**pair, **images, **({"prompt": row["prompt"]} if row.get("prompt") else {})})
    return pairs, problems
