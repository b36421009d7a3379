"""What the page does: reading images, many people's pairs at once, and the server that programs call."""

import io
import json
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import modeling_blip2idc
from modeling_blip2idc.__main__ import main
from modeling_blip2idc.demo_blip2idc import load_examples
from modeling_blip2idc.image_errors_blip2idc import ImageLoadError
from modeling_blip2idc.space_batches_blip2idc import Batches
from modeling_blip2idc.space_captions_blip2idc import (
    EMBEDDED_MODEL,
    CaptionError,
    Captioners,
    read_image,
    same_frame,
    write_images,
)
from modeling_blip2idc.space_style_blip2idc import answer_html, error_html, examples_html
from tests.modeling_blip2idc.space_server import serving

EXAMPLES = load_examples()
PAIRS = [(example["before"], example["after"]) for example in EXAMPLES]


@pytest.fixture(scope="module")
def captioners():
    return Captioners(["/no/such/model"])


@pytest.fixture(scope="module")
def captions():
    """What the pipeline says of the examples."""
    model, processor = modeling_blip2idc.load_idc()
    pipe = modeling_blip2idc.ImageDifferenceCaptioningPipeline(model=model, processor=processor)
    return [best["generated_text"] for (best,) in pipe(PAIRS)]


def claim(path, width, height):
    """A PNG whose header says that size, without the pixels."""
    Image.new("1", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    path.write_bytes(content)
    return path


def test_limits_are_checked_before_decoding(tmp_path):
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(20_000_001)
    with pytest.raises(ImageLoadError, match="^The after image large.png has 20.00 MB; the limits are 20 MB and"):
        read_image(large, "after")
    with pytest.raises(ImageLoadError, match="wide.png has 10000 x 5001 = 50.01 megapixels; the limits are 20 MB"):
        read_image(claim(tmp_path / "wide.png", 10_000, 5_001), "before")
    with pytest.raises(ImageLoadError, match="bomb.png has far too many pixels; the limits are"):
        read_image(claim(tmp_path / "bomb.png", 60_000, 60_000), "before")


def test_just_below_the_limit_is_read(tmp_path):
    Image.new("1", (10_000, 5_000)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", "before").size == (1024, 512)


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n1234", b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n"]
)
def test_what_is_no_image_is_refused_without_its_path(tmp_path, content):
    (tmp_path / "it.png").write_bytes(content)
    with pytest.raises(ImageLoadError) as caught:
        read_image(tmp_path / "it.png", "before")
    assert str(caught.value) == (
        "The before image it.png is damaged, or not an image: choose a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file."
    )


def test_a_truncated_image_is_refused_without_its_path(tmp_path):
    content = open(PAIRS[0][0], "rb").read()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageLoadError, match="^The before image half.png.*damaged or truncated") as caught:
        read_image(tmp_path / "half.png", "before")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("path", [None, ""])
def test_a_missing_image(path):
    with pytest.raises(ImageLoadError, match="^The after image is missing: choose two images.$"):
        read_image(path, "after")


def test_a_deleted_upload(tmp_path):
    with pytest.raises(ImageLoadError, match="^The before image gone.png is not there any more: choose it again.$"):
        read_image(tmp_path / "gone.png", "before")


def test_unusual_images_are_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg", "before").size == (20, 40)
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    assert read_image(tmp_path / "cmyk.jpg", "before").mode == "RGB"
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", "before").getpixel((0, 0)) == (255, 255, 255)
    Image.fromarray(np.full((8, 8), 65535 // 2, np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", "before").getpixel((0, 0)) == (127, 127, 127)
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "moving.gif", "before").getpixel((0, 0)) == (255, 0, 0)


def test_images_of_one_shape_share_its_larger_size():
    before, after = same_frame(Image.new("RGB", (30, 20)), Image.new("RGB", (60, 40)))
    assert before.size == after.size == (60, 40)


def test_images_of_other_shapes_are_framed():
    before, after = same_frame(Image.new("RGB", (40, 20), "red"), Image.new("RGB", (20, 40), "red"))
    assert before.size == after.size == (40, 40)
    assert before.getpixel((20, 0)) == after.getpixel((0, 20)) == (128, 128, 128)
    assert before.getpixel((20, 20)) == after.getpixel((20, 20)) == (255, 0, 0)


def test_written_images_are_new_files(tmp_path):
    paths = write_images([Image.new("RGB", (8, 6), "red")] * 2, tmp_path / "new")
    assert len(set(paths)) == 2
    with Image.open(paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (8, 6))


def test_what_waits_goes_together():
    sizes, go = [], threading.Event()

    def double(items):
        sizes.append(len(items))
        go.wait(10)
        return [ValueError("three") if item == 3 else 2 * item for item in items]

    batches = Batches(double, max_batch_size=3)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(batches, 0)
        while not sizes:
            pass
        others = [pool.submit(batches, item) for item in range(1, 6)]
        while batches._waiting.qsize() < 5:
            pass
        go.set()
        assert first.result(10) == 0
        assert sorted(future.result(10) for i, future in enumerate(others, 1) if i != 3) == [2, 4, 8, 10]
        with pytest.raises(ValueError, match="three"):
            others[2].result(10)
    assert sizes == [1, 3, 2]


def test_a_batch_that_fails_does_not_end_the_next():
    batches = Batches(lambda items: [1 / item for item in items], max_batch_size=2)
    with pytest.raises(ZeroDivisionError):
        batches(0)
    assert batches(4) == 0.25


def test_everybody_gets_the_own_answer(captioners, captions):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda pair: captioners(*pair, EMBEDDED_MODEL), PAIRS * 2))
    assert [answer.caption for answer in answers] == captions * 2
    for answer, example in zip(answers, EXAMPLES * 2, strict=True):
        assert answer.changed is example["changed"] and 0 < answer.confidence <= 1
        assert [heat.size for heat in answer.heat()] == ([(144, 96)] * 2 if answer.changed else [])
        assert json.loads(json.dumps(answer.as_json())) == {
            "caption": answer.caption,
            "confidence": answer.confidence,
            "changed": answer.changed,
            "model": EMBEDDED_MODEL,
        }


def test_models_have_names_without_folders(captioners, tmp_path):
    assert captioners.names == ["model", "mini (embedded)"]
    same = [tmp_path / "a" / "best", tmp_path / "b" / "best"]
    for folder in same:
        folder.mkdir(parents=True)
    assert Captioners([*map(str, same), "someone/model"]).names == [
        "best", "best (2)", "someone/model", "mini (embedded)"
    ]  # fmt: skip


def test_a_model_that_cannot_be_used_says_why(captioners):
    for _ in range(2):  # and it is tried again
        with pytest.raises(CaptionError, match="^The model model cannot be loaded: No such folder: 'model'"):
            captioners(*PAIRS[0])
    with pytest.raises(CaptionError, match="^There is no model other here, only model, mini"):
        captioners(*PAIRS[0], "other")


def test_what_people_and_models_say_is_escaped():
    answer = {"caption": "<b>&", "confidence": 0.934, "changed": True, "model": "<i>"}
    page = answer_html(answer)
    assert "&lt;b&gt;&amp;" in page and "&lt;i&gt;" in page and "<i>" not in page and "93 %" in page
    assert "Something changed" in page and "Nothing changed" in answer_html({**answer, "changed": False})
    assert "&lt;script&gt;" in error_html("<script>")


def test_examples_are_buttons_with_their_images():
    page = examples_html(EXAMPLES)
    assert page.count("<button") == 6 and page.count('alt="before"') == 6 and page.count("data:image/jpeg") == 12


def test_without_gradio_serve_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == (
        "blip2idc: error: gradio is not installed; the page needs it: pip install 'blip2idc[app]'\n"
    )


@pytest.mark.parametrize("option", [["--port", "70000"], ["--max_batch_size", "0"], ["--queue_size", "-1"]])
def test_serve_refuses_wrong_numbers(option, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["serve", *option])
    assert caught.value.code == 2 and "must be" in capsys.readouterr().err


def test_serve_knows_at_once_that_a_folder_is_missing(capsys):
    assert main(["serve", "--model", "./typo"]) == 2
    assert capsys.readouterr().err == "blip2idc: error: --model: No such folder: './typo'.\n"


def test_the_server(tmp_path, captions, capsys):
    """One process for all of this: starting one takes seconds."""
    pytest.importorskip("gradio", reason="the extra `app` is not installed")
    gradio_client, httpx = (pytest.importorskip(name) for name in ("gradio_client", "httpx"))  # which gradio needs

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("[]")
    with serving(tmp_path, "--model", str(tmp_path / "model")) as server:
        client = gradio_client.Client(server.url, verbose=False, download_files=str(tmp_path))
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        assert list(endpoints) == ["/caption"]
        parameters = endpoints["/caption"]["parameters"]
        assert [parameter["parameter_name"] for parameter in parameters] == ["before", "after", "model"]

        def ask(before, after, model=EMBEDDED_MODEL):
            return client.submit(
                gradio_client.handle_file(before), gradio_client.handle_file(after), model, api_name="/caption"
            )

        (tmp_path / "broken.png").write_bytes(b"no image")
        jobs = [ask(*pair) for pair in PAIRS]
        broken, missing = ask(str(tmp_path / "broken.png"), PAIRS[0][1]), ask(*PAIRS[0], "model")
        junk = httpx.post(f"{server.url}/gradio_api/call/caption", json={"data": [{"path": "/etc/passwd"}, 7, None]})
        for job, caption, example in zip(jobs, captions, EXAMPLES, strict=True):
            answer, *heat = job.result(timeout=60)
            assert (answer["caption"], answer["changed"]) == (caption, example["changed"])
            assert answer["model"] == EMBEDDED_MODEL
            if not example["changed"]:
                assert heat == [None, None]
                continue
            for path in heat:
                with Image.open(path) as image:
                    assert image.size == (144, 96)
        with pytest.raises(
            gradio_client.exceptions.AppError, match="The before image broken.png is damaged, or not an image"
        ):
            broken.result(timeout=60)
        with pytest.raises(gradio_client.exceptions.AppError, match="model cannot be loaded; the server's log"):
            missing.result(timeout=60)
        # a request that is none fails alone
        reply = httpx.get(f"{server.url}/gradio_api/call/caption/{junk.json()['event_id']}", timeout=60)
        assert "event: error" in reply.text and "root:" not in reply.text

        upload = {"files": ("large.png", io.BytesIO(bytes(20_000_001)))}
        assert httpx.post(f"{server.url}/gradio_api/upload", files=upload, timeout=60).status_code == 413
        # nothing gets past the queue
        assert httpx.post(f"{server.url}/gradio_api/api/caption", json={"data": [None] * 3}).status_code == 404

        port = server.url.rsplit(":", 1)[1]
        assert main(["serve", "--port", port]) == 2
        assert capsys.readouterr().err == (
            f"blip2idc: error: cannot listen on port {port} of 127.0.0.1; if another server does so, --port 0 "
            "takes any free one\n"
        )
        # a folder as image fails alone, and gradio's clean-up does not end at it
        (file,) = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("a.png", b"x")}).json()
        data = [{"path": str(Path(file).parent), "meta": {"_type": "gradio.FileData"}}] * 2
        event = httpx.post(f"{server.url}/gradio_api/call/caption", json={"data": [*data, None]}).json()["event_id"]
        assert "event: error" in httpx.get(f"{server.url}/gradio_api/call/caption/{event}", timeout=60).text
        assert server.interrupt() == 0
    assert not [path for path in (tmp_path / "gradio").rglob("*") if path.is_file()]
