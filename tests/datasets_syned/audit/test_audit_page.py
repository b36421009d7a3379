"""What the audit shows: a page that stands alone, and text for a terminal."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

import datasets_syned
from datasets_syned.__main__ import main
from datasets_syned.audit.audit import audit
from datasets_syned.audit.render import page, text
from tests.support.layouts import pixels, png

EVIL = "<script>alert('x')</script> & \"q\" \x1b[31m"


def row(name, captions, before=None, after=None, category="change"):
    images = {"before": before or pixels(f"{name} 1"), "after": after or pixels(f"{name} 2")}
    columns = {"id": name, "captions": captions, "category": category, "changed": True, "provenance": None}
    return columns | {side: {"bytes": content, "path": None} for side, content in images.items()}


@pytest.fixture
def data():
    rows = [
        row(EVIL, [EVIL, EVIL, "a\ncar"], category=EVIL),
        row("b", [" ", '"quoted'], after=png()[:30]),
        row("c", ["large"], before=png(size=(900, 30)), after=png(size=(900, 30))),
    ]
    splits = {"train": rows, "test": [row("d", ["a b"], category="add"), rows[0]]}
    return DatasetDict({name: Dataset.from_list(r, features=datasets_syned.FEATURES) for name, r in splits.items()})


class Parsed(HTMLParser):
    """Tags of a page, which have to close in the order in which they open."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_stands_alone_and_escapes(data):
    content = page(audit(data, published={"train": 4}, thumbnails=True), EVIL)
    parsed = Parsed(content)
    assert parsed.all("script") == [] and parsed.all("link") == [] and "http" not in content
    assert all(
        "url(" not in style and "@import" not in style for style in re.findall("<style>(.*?)</style>", content, re.S)
    )
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert {"a\ncar", EVIL, "after: not readable", "empty"} <= set(parsed.text)
    anchors = [link["href"].removeprefix("#") for link in parsed.all("a")]
    assert anchors == [heading["id"] for heading in parsed.all("h2") if "id" in heading] and len(anchors) == 8
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in parsed.all("meta")
    sources = [image["src"] for image in parsed.all("img")]
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    for source in sources:
        image = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
        image.load()
        assert image.format == "JPEG" and max(image.size) <= 360


def test_a_page_without_images_or_findings(data):
    assert Parsed(page(audit(data), "t")).all("img") == []
    clean = audit(DatasetDict(train=data["test"].select([0])), thumbnails=True)
    content = page(clean, "t")
    assert "No problems found." in content and "Findings" not in content and "In two splits" not in content
    assert Parsed(page(audit(data["test"], samples=0, thumbnails=True), "t")).all("img") == []


def test_text(data):
    lines = text(audit(data, published={"train": 3, "validation": 1}), "Audit").splitlines()
    assert lines[:6] == [
        "Audit",
        "",
        "split       pairs  published  changed  captions  per pair",
        "train           3          3        3         5      1.67",
        "test            2                   2         4      2.00",
        "validation      0          1",
    ]
    assert "\x1b" not in "".join(lines)
    assert "Pairs in two splits: 1 pair (train/test 1)" in lines
    assert any(line.startswith("  - train row 1 (id b): after: ") for line in lines)
    assert lines[-1].startswith("8 kinds of problems: other numbers than published, unreadable images, pairs in two")
    assert text(audit(data["test"].select([0])), "x").splitlines()[-1] == "No problems found."


def test_the_command_writes_the_page_and_no_images_into_the_json(tmp_path, data):
    for split, rows in data.items():
        rows.to_parquet(tmp_path / "in" / f"{split}.parquet")
    out = ["--html", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json")]
    assert main(["audit", "--path", str(tmp_path / "in"), "--cache_dir", str(tmp_path / "cache"), *out]) == 0
    assert "data:image" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "data:image" not in (tmp_path / "a.json").read_text(encoding="utf-8")
