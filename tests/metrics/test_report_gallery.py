"""The gallery: what it shows, that it loads nothing, and, slow, what it does in a browser."""

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from PIL import Image

from metrics.report import write_report
from metrics.report.gallery import gallery_page, shown_places
from metrics.report.thumbnails import data_uri

CAPTIONS = ['</script><b>bold</b> & "quoted" $title', "a red cube was added", "", "nothing changed"]
REFERENCES = [["a <i>b</i>"], ["A red ball was added", "a cube"], ["c d"], ["nothing changed"]]
SCORES = [1.5, 2.5, 0.0, 10.0]
CATEGORIES = ["add", "add", 'dr"op', "none"]


def report(**about):
    columns = zip("wxyz", CATEGORIES, CAPTIONS, REFERENCES, SCORES, strict=True)
    names = ("id", "category", "caption", "references", "cider")
    return {
        "benchmark": "a<b", "about": about, "count": 4, "confidence": 0.95,
        "scores": {"cider": 3.5, "cider_interval": [1.0, 6.0]},
        "pairs": [dict(zip(names, row, strict=True)) for row in columns],
    }  # fmt: skip


def rows(width=600, height=300):
    return [
        {
            side: Image.new("RGB", (width, height), (60 * n, shade, 0))
            for side, shade in (("before", 0), ("after", 250))
        }
        for n in range(4)
    ]


class Page(HTMLParser):
    """Every tag with its attributes, and the text of every tag that the tests look at."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def attributes(self, tag, name):
        return [attrs.get(name) for one, attrs in self.tags if one == tag]


def test_everything_is_shown_lowest_first_and_escaped():
    text = gallery_page(report(model="me & you"), rows())
    page = Page(text)
    assert page.attributes("article", "data-place") == ["2", "0", "1", "3"]
    assert page.attributes("article", "data-category") == ['dr"op', "add", "add", "none"]
    assert page.texts["h2"] == ["empty", CAPTIONS[0], CAPTIONS[1], CAPTIONS[3]]
    assert page.texts["li"] == [one for n in (2, 0, 1, 3) for one in REFERENCES[n]]
    assert page.texts["h1"] == ["Captions of a<b"]
    assert page.texts["p"][0] == (
        "4 pairs, captioned by me & you: CIDEr 350.0 (95 % interval 100.0 to 600.0). Shown are all pairs."
    )
    assert page.texts["option"][:4] == ["all categories", "add", 'dr"op', "none"]
    # Of the tags in captions none has become one.
    assert [tag for tag, _ in page.tags].count("script") == 1 and "<b>bold" not in text


def test_words_that_no_reference_has_are_marked():
    page = Page(gallery_page(report(), rows()))
    marked = page.texts["u"][1:]  # the first one is in the explanation
    assert marked == ["script", "bold", "quoted", "title"]  # "a red cube was added" has all of its words in some


def test_nothing_is_loaded_from_anywhere():
    text = gallery_page(report(), rows())
    page = Page(text)
    assert "default-src 'none'" in page.attributes("meta", "content")[-1]
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "audio", "video"})
    assert [
        name for _, attrs in page.tags for name in attrs if name in ("href", "srcset", "action", "background")
    ] == []
    sources = [attrs["src"] for _, attrs in page.tags if "src" in attrs]
    assert len(sources) == 8 and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert re.findall(r"https?://|url\(|@import|fetch\(|XMLHttpRequest|import\(", text) == []


def test_thumbnails_are_small_and_of_their_pair():
    page = Page(gallery_page(report(), rows()))
    images = [attrs for tag, attrs in page.tags if tag == "img" and "src" in attrs]
    assert [(one["alt"], one["width"], one["height"]) for one in images[:2]] == [
        ("before", "256", "128"), ("after", "256", "128"),
    ]  # fmt: skip
    opened = [Image.open(io.BytesIO(base64.b64decode(one["src"].split(",")[1]))) for one in images]
    assert {one.size for one in opened} == {(256, 128)} and {one.format for one in opened} == {"JPEG"}
    red = [round(one.getpixel((9, 9))[0] / 60) for one in opened]
    assert red == [2, 2, 0, 0, 1, 1, 3, 3]


def test_images_of_every_kind():
    clear = Image.new("RGBA", (10, 20), (255, 0, 0, 0))
    deep = Image.frombytes("I;16", (2, 1), b"\x00\x00\xff\xff").resize((16, 8), Image.Resampling.NEAREST)
    for image in (clear, clear.convert("LA"), clear.convert("P")):
        uri, *size = data_uri(image)
        assert size == [10, 20]
        if image.mode != "P":  # which has lost its transparency
            assert min(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).getpixel((5, 5))) > 250
    shades = Image.open(io.BytesIO(base64.b64decode(data_uri(deep)[0].split(",")[1])))
    assert shades.getpixel((2, 4))[0] < 10 and shades.getpixel((13, 4))[0] > 245


def test_the_two_ends_are_shown():
    scores = [5.0, 1.0, 4.0, 1.0, 3.0]
    assert shown_places(scores, 5) == shown_places(scores, 9) == [1, 3, 4, 2, 0]
    assert shown_places(scores, 4) == [1, 3, 2, 0]
    assert shown_places(scores, 3) == [1, 3, 0]
    assert shown_places(scores, 1) == [1]
    page = Page(gallery_page(report(predictions="f.json"), rows(), 3))
    assert page.attributes("article", "data-place") == ["2", "0", "3"]
    assert page.texts["p"][0].endswith("Shown are 3 of them: the 2 with the lowest CIDEr and the 1 with the highest.")
    assert page.texts["p"][0].startswith("4 pairs, captions from f.json: CIDEr")


def test_what_is_wrong_with_images_is_named():
    with pytest.raises(ValueError, match="rows has 3 pairs and the report 4; give those that were scored"):
        gallery_page(report(), rows()[:3])
    for value, message in (
        ({"bytes": b"", "path": "a.png"}, "it is a dict, and not a"),
        (cut(), "image file is trunc"),
    ):
        broken = rows()
        broken[1]["after"] = value
        with pytest.raises(ValueError, match=f"pair 'x': the image 'after' cannot be read: {message}") as caught:
            gallery_page(report(), broken)
        assert caught.value.__cause__ is not None


def cut():
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "JPEG")
    return Image.open(io.BytesIO(buffer.getvalue()[:-200]))


def test_a_gallery_that_is_not_wanted_is_not_left_over(tmp_path):
    from metrics.report import build_report

    made = build_report(["a b", "c"], [["a b"], ["d"]], ids=["1", "2"], meteor=False)
    write_report(tmp_path, made, rows()[:2])
    assert Page((tmp_path / "gallery.html").read_text()).attributes("article", "data-place") == ["1", "0"]
    write_report(tmp_path, made, rows()[:2], gallery=0)
    assert not (tmp_path / "gallery.html").exists()


BROWSER = """
const state = () => Array.from(document.querySelectorAll("article")).filter((one) => !one.hidden)
  .map((one) => one.querySelector(".id").textContent).join("") + "|" + get("count").value + "|" + get("empty").hidden;
const give = (id, value) => { get(id).value = value; get(id).dispatchEvent(new Event("input", {bubbles: true})); };
const key = (name) => get("swap").dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
const stage = () => get("words").querySelector(".id").textContent + get("side").textContent +
  (get("one").checkVisibility({visibilityProperty: true}) ? 1 : 2);
const seen = { start: state() };
give("order", "high"); seen.high = state();
give("order", "place"); seen.place = state();
give("category", "add"); seen.add = state();
give("search", "CUBE red"); seen.search = state();
give("search", "zebra"); seen.none = state();
get("all").click(); seen.all = state();
document.querySelector("article:nth-child(2) .images").click(); seen.open = stage();
key("s"); seen.swap = stage();
key("ArrowRight"); seen.next = stage();
key("ArrowLeft"); key("ArrowLeft"); key("ArrowLeft"); seen.round = stage();
key("b"); seen.blink = get("blink").getAttribute("aria-pressed");
get("close").click();
setTimeout(() => {
  seen.focus = document.activeElement.getAttribute("aria-label");
  seen.still = get("blink").getAttribute("aria-pressed");
  seen.overflow = document.documentElement.scrollWidth > innerWidth;
  document.body.textContent = "RESULT" + JSON.stringify(seen) + "RESULT";
}, 50);
"""


@pytest.mark.slow
def test_the_gallery_in_a_browser(tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium on this machine")
    page = gallery_page(report(), rows()).replace("show();\n</script>", f"show();\n{BROWSER}</script>")
    assert BROWSER in page
    (tmp_path / "gallery.html").write_text(page, encoding="utf-8")
    flags = ["headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync", "window-size=500,900",
             "disable-background-networking", "disable-component-update", "virtual-time-budget=5000",
             f"user-data-dir={tmp_path / 'profile'}", "dump-dom"]  # fmt: skip
    command = [browser, *(f"--{flag}" for flag in flags), (tmp_path / "gallery.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "RESULT" in done.stdout, done.stderr[-2000:]
    seen = json.loads(re.sub("&quot;", '"', done.stdout.split("RESULT")[1]))
    assert seen == {
        "start": "ywxz|4 pairs|true",
        "high": "zxwy|4 pairs|true",
        "place": "wxyz|4 pairs|true",
        "add": "wx|2 of 4 pairs|true",
        "search": "x|1 of 4 pairs|true",
        "none": "|0 of 4 pairs|false",
        "all": "ywxz|4 pairs|true",
        "open": "wbefore1",
        "swap": "wafter2",
        "next": "xbefore1",
        "round": "zbefore1",
        "blink": "true",
        "focus": "Compare the images of z",
        "still": "false",
        "overflow": False,
    }
