"""Writes benchmarks in the layout of their authors, small and with real image files."""

import io
import json
from pathlib import Path

from PIL import Image


def png(color: int | tuple = 0, size: tuple[int, int] = (8, 6), mode: str = "RGB", file_format: str = "PNG") -> bytes:
    """Content of an image file of one color."""
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, file_format)
    return buffer.getvalue()


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
