"""Sources, editors and folders that are not as they should be."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from datasets_syned.__main__ import main
from datasets_syned.synthesis import synthesize
from datasets_syned.synthesis.dry_run import dry_run
from datasets_syned.synthesis.editors.procedural import ProceduralEditor
from datasets_syned.synthesis.images import opened
from datasets_syned.synthesis.sources import SourceError
from tests.support import layouts
from tests.support.synthesis_runs import content, rows, settings
from tests.support.tiny_encoders import save_dinov2


def pictures(folder, *lines, **files):
    """A source: lines of `metadata.jsonl`, and image files of those names, one gray picture where none is given."""
    for line in lines:
        name = line["file_name"]
        layouts.write(folder / name, files.get(name.partition(".")[0], layouts.png(99, (16, 12))))
    layouts.write(folder / "metadata.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return {"path": str(folder), "split": "train", "cache_dir": str(folder.parent / "cache")}


def png(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


class Giving(ProceduralEditor):
    """Gives back what it is told to."""

    def __init__(self, results):
        super().__init__(batch_size=4)
        self.results = results

    def edit(self, images, instructions, seeds):
        return self.results(images)


class TestImages:
    @pytest.mark.parametrize("white", [4095, 65535])  # cameras write 12 bits into files of 16
    def test_16_bits_are_scaled_by_their_range(self, white):
        ramp = np.linspace(0, white, 256, dtype=np.uint16).reshape(1, 256)
        image, file = opened(png(Image.fromarray(ramp)))
        assert image.mode == "RGB"
        assert (np.asarray(image)[0, :, 0] == np.rint(ramp[0] * (255 / white))).all()
        assert Image.open(io.BytesIO(file)).mode == "RGB"

    def test_numbers_without_a_white(self):
        buffer = io.BytesIO()
        Image.fromarray(np.array([[1, 300]], np.float32)).save(buffer, "TIFF")
        with pytest.raises(SourceError, match="the image has values from 1 to 300; right are 0 to 1, or 0 to 255"):
            opened(buffer.getvalue())

    def test_an_orientation_that_cannot_be_read_turns_nothing(self):
        text = PngImagePlugin.PngInfo()
        text.add_text("Raw profile type exif", "no hexadecimal number")
        file = png(Image.new("RGB", (3, 2)), pnginfo=text)
        image, same = opened(file)
        assert image.size == (3, 2) and same == file


class TestEditors:
    def test_no_image_is_a_failure(self, tmp_path):
        editor = Giving(lambda images: [image if k else None for k, image in enumerate(images)])
        (tally,) = synthesize(settings(), tmp_path / "run", editor=editor).splits.values()
        assert tally.failed == {"editor: it returned NoneType, not an image": 6} and tally.kept == 18
        assert all(row["after"]["bytes"] for row in rows(tmp_path / "run"))

    def test_an_image_that_cannot_be_written_is_a_failure_of_its_row(self, tmp_path):
        def wide():
            return Image.fromarray(np.full((32, 48), 60000, np.uint16))

        odd = [lambda: Image.new("RGB", (5, 0)), lambda: Image.open(io.BytesIO(png(wide())[:60])), wide]
        editor = Giving(lambda images: [make() for make, _ in zip([*odd, lambda: images[0]], images, strict=False)])
        (tally,) = synthesize(settings(sources=1), tmp_path / "run", editor=editor).splits.values()
        assert set(tally.failed) == {
            "editor: ImageError: the edited image has no pixels",
            "editor: ImageError: the edited image is damaged or cut off: image file is truncated",
        }
        seen, _ = (Image.open(io.BytesIO(row["after"]["bytes"])) for row in rows(tmp_path / "run"))
        assert seen.getpixel((0, 0)) == (60000 // 257,) * 3

    def test_too_few_images(self, tmp_path):
        editor = Giving(lambda images: images[:1])
        (tally,) = synthesize(settings(), tmp_path / "run", editor=editor).splits.values()
        assert tally.kept == 24, "one by one they are enough"

    @pytest.mark.parametrize("size", [0, -1, 1.5, True])
    def test_a_batch_of_nothing(self, size):
        with pytest.raises(ValueError, match="batch_size=.* must be a whole number from 1"):
            ProceduralEditor(batch_size=size)


class TestSources:
    def test_category_and_captions_that_say_nothing(self, tmp_path):
        lines = [
            {"file_name": f"{k}.png", "category": "None", "captions": said} for k, said in enumerate([[None], ["x"]])
        ]
        spec = pictures(tmp_path / "pics", *lines)
        editor = Giving(lambda images: [image.rotate(180) for image in images])
        synthesize(settings(source=spec, variants=1), tmp_path / "run", editor=editor)
        assert [(row["id"], row["category"], row["captions"]) for row in rows(tmp_path / "run")] == [
            ("1-0", "edit", ["x"])
        ]

    @pytest.mark.parametrize(
        ("said", "error"),
        [
            (None, "pics' cannot be loaded: StopIteration: no data"),
            ({"text": "red"}, "pics': column 'instruction' holds no texts but .'text'"),
            (5, "pics': column 'instruction' holds no texts but Value.'int64'"),
        ],
    )
    def test_instructions_that_are_none(self, tmp_path, said, error):
        spec = pictures(tmp_path / "pics", *([] if said is None else [{"file_name": "0.png", "instruction": said}]))
        with pytest.raises(ValueError, match=error):
            dry_run(settings(source=spec), rate=1)

    def test_a_very_long_image(self, tmp_path):
        """Of which a line is left on the contact sheet."""
        file = layouts.png(99, (800, 2))
        spec = pictures(tmp_path / "pics", {"file_name": "0.png", "instruction": "x"}, **{"0": file})
        editor = Giving(lambda images: [image.rotate(180) for image in images])
        (tally,) = synthesize(settings(source=spec), tmp_path / "run", editor=editor).splits.values()
        assert tally.kept == 4 and (tmp_path / "run" / "contact_sheet.png").exists()

    def test_a_dry_run_of_a_source_that_begins_badly(self, tmp_path):
        lines = [{"file_name": f"{k}.png", "instruction": said} for k, said in enumerate(["", "make it red"])]
        spec = pictures(tmp_path / "pics", *lines, **{"1": b"no image"})
        said = dry_run(settings(source=spec, variants=1))
        assert "train: 1 images x 1 variants = 1 pairs" in said
        assert "the rate was not measured (the image is damaged, or not an image that is read here" in said


class TestFolders:
    def test_results_of_another_run_are_not_taken_over(self, tmp_path):
        synthesize(settings(), tmp_path / "run")
        (tmp_path / "run" / "synthesis.json").unlink()
        with pytest.raises(ValueError, match="holds other files"):
            synthesize(settings(seed=1), tmp_path / "run")

    def test_a_broken_record(self, tmp_path):
        synthesize(settings(), tmp_path / "run")
        layouts.write(tmp_path / "run" / "synthesis.json", "{")
        with pytest.raises(ValueError, match="synthesis.json is broken, or of an older version"):
            synthesize(settings(), tmp_path / "run")

    def test_settings_may_change_until_something_is_made(self, tmp_path):
        class Unloadable(ProceduralEditor):
            def load(self):
                raise ValueError("no weights")

        with pytest.raises(ValueError, match="no weights"):
            synthesize(settings(), tmp_path / "run", editor=Unloadable())
        synthesize(settings(seed=1), tmp_path / "run")
        synthesize(settings(seed=1), tmp_path / "fresh")
        assert content(tmp_path / "run") == content(tmp_path / "fresh")

    def test_a_plan_and_a_shard_that_were_lost(self, tmp_path):
        synthesize(settings(), tmp_path / "run")
        before = content(tmp_path / "run")
        (tmp_path / "run" / "plan" / "train-0000001.parquet").unlink()
        next((tmp_path / "run" / "data").iterdir()).unlink()
        synthesize(settings(), tmp_path / "run")
        assert content(tmp_path / "run") == before

    def test_what_a_killed_process_left_is_removed(self, tmp_path):
        layouts.write(tmp_path / "run" / "plan" / ".train-0000000.parquet.9.unfinished", b"half")
        synthesize(settings(), tmp_path / "run")
        for name in (".summary.json.123.unfinished", "data/.train-0.parquet.123.unfinished"):
            layouts.write(tmp_path / "run" / name, b"half")
        (tmp_path / "run" / "summary.json").unlink()
        synthesize(settings(), tmp_path / "run")
        left = {path.name for path in (tmp_path / "run").rglob(".*")}
        assert left == {".lock", ".process-0"}

    def test_another_folder_of_the_same_name(self, tmp_path):
        """`data_dir` says which images, unless it is where a benchmark of this package lies."""
        line = {"file_name": "0.png", "instruction": "x"}
        editor = Giving(lambda images: [image.rotate(180) for image in images])
        for name in "ab":
            pictures(tmp_path / name, line)
        spec = {"path": "imagefolder", "split": "train", "cache_dir": str(tmp_path / "cache")}
        first, second = (settings(source={**spec, "data_dir": str(tmp_path / name)}, variants=1) for name in "ab")
        synthesize(first, tmp_path / "run", editor=editor)
        with pytest.raises(ValueError, match="in this folder were made with splits.train.source.data_dir"):
            synthesize(second, tmp_path / "run", editor=editor)


def test_a_model_of_another_kind_is_refused_before_anything_is_scored(tmp_path, capsys):
    save_dinov2(tmp_path / "dino")
    words = ["synthesize", "--source", "scenes", "--editor", "procedural", "--limit", "2"]
    words += ["--out", str(tmp_path / "run")]
    words += ["--filter", "image_similarity", "--clip_model", str(tmp_path / "dino")]
    assert main(words) == 1
    assert (
        "image_similarity: 'dino' is a Dinov2Model, and no clip" in capsys.readouterr().err
        and not (tmp_path / "run" / "score").exists()
    )


def test_the_first_process_to_end_does_not_speak_for_all(tmp_path, monkeypatch, capsys):
    """A launcher ends the others when one ends with another status than 0."""
    pictures(
        tmp_path / "pics", *({"file_name": f"{k}.png", "instruction": "x"} for k in range(2)), **{"0": b"no image"}
    )
    words = ["synthesize", "--source", str(tmp_path / "pics"), "--editor", "procedural", "--variants", "1"]
    words += ["--sources_per_part", "1", "--out", str(tmp_path / "run")]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, status in (("0", 0), ("1", 1)):
        monkeypatch.setenv("RANK", rank)
        assert main(words) == status
    assert "1 results of stage edit are missing" in capsys.readouterr().out
    monkeypatch.setenv("RANK", "0")
    assert main(words[:-1] + ["memory://run"]) == 1
    assert "several processes" in capsys.readouterr().err


def test_no_row_is_kept(tmp_path, capsys):
    words = ["synthesize", "--source", "scenes", "--editor", "procedural", "--variants", "1", "--limit", "2"]
    assert main([*words, "--filter", "changed_area=0.8", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "no row was kept; select/*.parquet says why of each" in said and "load_dataset" not in said
    shutil.rmtree(tmp_path / "run")
