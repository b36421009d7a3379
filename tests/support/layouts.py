"""Writes benchmarks in the layout of their authors, small and with real image files."""

import hashlib
import io
import json
from pathlib import Path

from datasets import Dataset, Features, Value, load_dataset
from datasets import Image as ImageFeature
from PIL import Image


def png(color: int | tuple = 0, size: tuple[int, int] = (8, 6), mode: str = "RGB", file_format: str = "PNG") -> bytes:
    """Content of an image file of one color."""
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, file_format)
    return buffer.getvalue()


def load(config: str, root: Path, **arguments):
    """The configuration that reads `root`, with a cache beside it."""
    arguments = {"cache_dir": str(root.parent / "cache"), **arguments}
    return load_dataset("syned", config, data_dir=str(root), **arguments)


def raw(rows) -> list[dict]:
    """Rows with their images as they are stored."""
    for column, feature in rows.features.items():
        if isinstance(feature, ImageFeature):
            rows = rows.cast_column(column, ImageFeature(decode=False))
    return list(rows)


def counts(data) -> dict[str, int]:
    return {split: len(rows) for split, rows in data.items()}


def write(path: Path, content: bytes | str | dict | list) -> Path:
    """Writes bytes, text, or anything else as JSON; makes the folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")
    return path


def spot_the_diff(root: Path, records: dict[str, list[dict]], image: bytes | None = None) -> Path:
    """`records` by split: "train", "val", "test". Every image is another one, or all are `image`."""
    for split, rows in records.items():
        write(root / f"{split}.json", rows)
        for row in rows:
            for name in (row["img_id"], f"{row['img_id']}_2"):
                write(root / f"{name}.png", image or png((len(name) % 256, hash(name) % 256, 0)))
    return root


def image_editing_request(root: Path, records: dict[str, list[dict]], image: bytes | None = None) -> Path:
    """`records` by split: "train", "valid", "test"."""
    for split, rows in records.items():
        write(root / f"{split}.json", rows)
        for row in rows:
            for name in (row["img0"], row["img1"]):
                write(root / "images" / name, image or png(hash(name) % 256, mode="L", file_format="JPEG"))
    return root


def clevr_change(root: Path, splits: dict[str, list[int]], types: dict[int, str]) -> Path:
    """Scenes by split: "train", "val", "test"; the type of change of each."""
    scenes = [scene for chosen in splits.values() for scene in chosen]
    for scene in scenes:
        for folder, word in (("images", "default"), ("sc_images", "semantic"), ("nsc_images", "nonsemantic")):
            write(root / folder / f"CLEVR_{word}_{scene:06d}.png", png((scene % 256, len(word), 9)))
    names = {scene: f"CLEVR_default_{scene:06d}.png" for scene in scenes}
    by_type = {}
    for scene in scenes:
        by_type.setdefault(types[scene], []).append(names[scene])
    write(root / "change_captions.json", {names[s]: [f"the cube {s} moved", "it is elsewhere"] for s in scenes})
    write(root / "no_change_captions.json", {names[s]: ["no change was made", "nothing changed"] for s in scenes})
    write(root / "splits.json", splits)
    write(root / "type_mapping.json", by_type)
    return root


def clevr_dc(root: Path, captions: dict[str, list[str]], splits: dict[str, list]) -> Path:
    for number, name in enumerate(captions):
        for folder in ("bef", "aft"):
            write(root / folder / f"{name}.png", png((number % 256, len(folder), len(folder[0]))))
    write(root / "captions_dc.json", captions)
    write(root / "split_dc.json", splits)
    return root


def pixels(name: str, size: tuple[int, int] = (5, 2), file_format: str = "PNG") -> bytes:
    """Content of an image file whose pixels follow from a name; other names have other pixels."""
    stream = hashlib.shake_256(name.encode()).digest(3 * size[0] * size[1])
    buffer = io.BytesIO()
    Image.frombytes("RGB", size, stream).save(buffer, file_format)
    return buffer.getvalue()


def images(root: Path, names: list[str]) -> Path:
    """Small image files under `root`, no two with the same pixels."""
    for name in names:
        is_jpeg = name.lower().endswith((".jpg", ".jpeg"))
        write(root / name, pixels(name, file_format="JPEG" if is_jpeg else "PNG"))
    return root


def image(content: bytes, name: str | None = None) -> dict:
    """A cell of a column of images, as the library stores them."""
    return {"bytes": content, "path": name}


def color_of(*key) -> tuple[int, ...]:
    """A color for each key, the same in every process."""
    return tuple(hashlib.sha256(repr(key).encode()).digest()[:3])


def parquet(folder: Path, prefix: str, rows: list[dict], features: dict, files: int = 2, group: int = 2) -> None:
    """Rows as the Hub has them: some files with images embedded, row groups of `group` rows."""
    folder.mkdir(parents=True, exist_ok=True)
    table = Dataset.from_list(rows, features=Features(features))
    for number in range(files):
        path = folder / f"{prefix}-{number:05d}-of-{files:05d}.parquet"
        table.shard(files, number, contiguous=True).to_parquet(path, batch_size=group)


def magicbrush(root: Path, splits: dict[str, list[tuple[str, int, str]]], **arguments) -> Path:
    """Turns `(img_id, turn_index, instruction)` by split: "train", "dev". Every image is another one."""
    kinds = ("source", "mask", "target")
    features = {"img_id": Value("string"), "turn_index": Value("int32"), "instruction": Value("string")}
    features |= {f"{kind}_img": ImageFeature() for kind in kinds}
    for split, turns in splits.items():
        rows = []
        for name, turn, instruction in turns:
            row = {"img_id": name, "turn_index": turn, "instruction": instruction}
            for kind in kinds:
                row[f"{kind}_img"] = image(png(color_of(split, name, turn, kind)), f"{name}-{kind}{turn}.png")
            rows.append(row)
        parquet(root / "data", split, rows, features, **arguments)
    return root


def emu_edit(
    root: Path, splits: dict[str, list[tuple[int, str, str]]], content: bytes | None = None, **arguments
) -> Path:
    """Rows `(idx, instruction, task)` by split: "validation", "test". Every image is another one, or all `content`."""
    kinds = ("image", "edited_image")
    features = {"instruction": Value("string"), "idx": Value("int64"), "task": Value("string")}
    features |= {kind: ImageFeature() for kind in kinds}
    for split, given in splits.items():
        rows = []
        for index, instruction, task in given:
            row = {"idx": index, "instruction": instruction, "task": task}
            rows.append(row | {kind: image(content or png(color_of(split, index, kind))) for kind in kinds})
        parquet(root / "data", split, rows, features, **arguments)
    return root
