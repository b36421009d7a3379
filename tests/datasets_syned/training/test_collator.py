import io
import os
import pickle
from collections import Counter

import datasets
import numpy as np
import pytest
from PIL import Image

from datasets_syned import FEATURES, BlurJPEG, IDCCollator
from datasets_syned.scenes.settings import SceneSettings
from tests.support.image_bytes import png


@pytest.fixture(scope="module")
def rows():
    settings = SceneSettings()
    made = [settings.row("train", i) for i in range(6)]
    return list(datasets.Dataset.from_list(made, features=FEATURES))


class Recorder:
    """Stands for a processor: keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, **kwargs):
        self.calls.append(kwargs)
        return {"input_ids": kwargs["captions"]}


def texts(collator, *batches):
    return [text for batch in batches for text in collator(batch)["input_ids"]]


def pixels(image):
    return np.asarray(image).tolist()


def test_pairs_and_one_reference_per_row_reach_the_processor(rows):
    recorder = Recorder()
    IDCCollator(recorder)(rows)
    (call,) = recorder.calls
    assert set(call) == {"images", "captions", "return_tensors"} and call["return_tensors"] == "pt"
    assert [tuple(map(pixels, pair)) for pair in call["images"]] == [
        (pixels(row["before"]), pixels(row["after"])) for row in rows
    ]
    assert all(text in row["captions"] for text, row in zip(call["captions"], rows, strict=True))


def test_with_the_real_processor(rows, tiny_processor):
    collator = IDCCollator(tiny_processor, sample_reference=False)
    batch = collator(rows)
    assert set(batch) == {"pixel_values", "input_ids", "attention_mask", "labels"}
    assert batch["pixel_values"].shape == (6, 3, 56, 28)
    learned = batch["labels"].masked_fill(batch["labels"] < 0, tiny_processor.tokenizer.pad_token_id)
    assert tiny_processor.post_process_captions(learned) == [row["captions"][0] for row in rows]
    short = IDCCollator(tiny_processor, sample_reference=False, max_length=10)(rows)
    assert short["input_ids"].shape == (6, 10)
    assert (short["labels"] == tiny_processor.stop_token_id).sum(1).tolist() == [1] * 6


def test_references_are_sampled_at_every_visit(rows):
    collator = IDCCollator(Recorder())
    seen = [Counter() for _ in rows]
    for _ in range(60):
        for counter, text in zip(seen, texts(collator, rows), strict=True):
            counter[text] += 1
    for counter, row in zip(seen, rows, strict=True):
        assert set(counter) == set(row["captions"]) and max(counter.values()) < 25  # 12 on average


def test_sampling_depends_on_seed_epoch_and_visit_only(rows):
    def epoch(batches, seed=0, number=2):
        collator = IDCCollator(Recorder(), seed=seed)
        collator.set_epoch(number)
        said = texts(collator, *batches)
        return dict(zip([row["id"] for batch in batches for row in batch], said, strict=True))

    whole = epoch([rows])
    assert epoch([rows[3:], rows[2:3], rows[:2]]) == whole, "order or batch size matter"
    assert epoch([rows], seed=1) != whole and epoch([rows], number=3) != whole

    used = pickle.loads(pickle.dumps(IDCCollator(Recorder())))  # as a worker process gets it
    texts(used, rows, rows, rows)
    used.set_epoch(2)
    assert texts(used, rows) == list(whole.values()), "what came before the epoch matters"
    assert texts(used, rows) != list(whole.values()), "a second visit repeats the first"

    passes = [[{**row, "epoch": number} for row in rows] for number in range(3)]
    mixed = [*passes[0][:3], *passes[1], *passes[2]]
    expected = [*epoch([rows], number=1).values(), *whole.values()]
    assert texts(IDCCollator(Recorder()), mixed)[3:] == expected, "rows bring their epoch"


def test_augmentation_in_training_and_not_in_evaluation(rows):
    recorder = Recorder()
    collator = IDCCollator(recorder, augment=BlurJPEG(blur=1.0, sigma=(1.0, 1.0)))
    for each in (collator, IDCCollator(recorder, augment=collator.augment), collator.for_evaluation()):
        each(rows[:2])
    assert recorder.calls[-1]["captions"] == [row["captions"][0] for row in rows[:2]]
    first, again, plain = ([pixels(image) for pair in call["images"] for image in pair] for call in recorder.calls)
    originals = [pixels(row[side]) for row in rows[:2] for side in ("before", "after")]
    assert first == again and plain == originals
    assert all(a != b for a, b in zip(first, originals, strict=True))
    assert collator.augment is not None and collator.sample_reference, "for_evaluation changed the collator"


def test_rows_whose_images_are_not_decoded(rows, tiny_processor):
    raw = [SceneSettings().row("train", i) for i in range(6)]
    for augment in (None, BlurJPEG(blur=1.0, jpeg=1.0)):
        decoded, undecoded = (IDCCollator(tiny_processor, augment=augment)(some) for some in (rows, raw))
        assert decoded["pixel_values"].equal(undecoded["pixel_values"])


def test_a_rows_own_prompt_reaches_the_processor(rows, tiny_processor):
    recorder = Recorder()
    own = [{**rows[0], "prompt": "What changed?"}, {**rows[1], "prompt": None}, {**rows[2], "prompt": ""}, rows[3]]
    collator = IDCCollator(recorder, sample_reference=False)
    for each in (collator, collator.for_evaluation()):
        each(own)
        assert recorder.calls[-1]["text"] == ["What changed?", None, "", None]
    collator([rows[0], own[1]])
    assert "text" not in recorder.calls[-1]  # a processor that knows no prompts is not asked for them

    real = IDCCollator(tiny_processor, sample_reference=False)
    batch = real(own)
    for i, row in enumerate(own):  # a row does not depend on those beside it
        learned = [labels[labels != -100].tolist() for labels in (batch["labels"][i], real([row])["labels"][0])]
        seen = [ids[mask == 1].tolist() for ids, mask in ((batch["input_ids"][i], batch["attention_mask"][i]),)]
        assert learned[0] == learned[1] and seen[0] == real([row])["input_ids"][0].tolist()
    with pytest.raises(ValueError, match=r"^row id='train-000001': text\[0\] is a int, a prompt is a string"):
        real([own[0], {**rows[1], "prompt": 7}])


def test_another_caption_column_and_a_single_string(rows):
    renamed = [{"id": row["id"], "before": row["before"], "after": row["after"], "text": "it left"} for row in rows]
    assert texts(IDCCollator(Recorder(), caption_key="text"), renamed) == ["it left"] * 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"captions": []}, "row id='train-000001', column 'captions': needs references"),
        ({"captions": ["a", " "]}, "row id='train-000001', column 'captions': needs references"),
        ({"captions": None}, "row id='train-000001', column 'captions': is None"),
        ({"after": None}, "row id='train-000001', column 'after': is None"),
        ({"after": ...}, "row id='train-000001', column 'after': is missing; the row has id, before"),
        ({"id": ...}, "row 1 of the batch, column 'id': is missing"),
        ({"before": b"no image"}, "row id='train-000001'"),
        ({"before": np.zeros((0, 0, 3), np.uint8)}, "row id='train-000001'"),
        ({"captions": ["a <image> b"]}, "row id='train-000001'"),
    ],
)
@pytest.mark.parametrize("augment", [None, BlurJPEG()])
def test_a_bad_row_is_named(rows, tiny_processor, change, message, augment):
    bad = {key: value for key, value in {**rows[1], **change}.items() if value is not ...}
    with pytest.raises(ValueError) as caught:
        IDCCollator(tiny_processor, augment=augment)([rows[0], bad, rows[2]])
    assert message in str(caught.value)


def test_a_truncated_file_is_named(rows, tiny_processor):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(buffer, "JPEG")
    bad = {**rows[1], "before": {"bytes": buffer.getvalue()[:700], "path": None}}
    for augment in (None, BlurJPEG()):
        with pytest.raises(ValueError, match="row id='train-000001'"):
            IDCCollator(tiny_processor, augment=augment)([rows[0], bad])


@pytest.mark.parametrize("augment", [None, BlurJPEG()])
def test_an_image_too_large_for_pillow_is_named(rows, tiny_processor, augment):
    large = {"bytes": png(14_000, 14_000, kind=0, depth=1), "path": "large.png"}
    with pytest.raises(ValueError, match=r"row id='train-000001'.*large.png.* exceeds limit of 178956970 pixels"):
        IDCCollator(tiny_processor, augment=augment)([{**rows[1], "before": large}])


@pytest.mark.parametrize("augment", [None, BlurJPEG()])
def test_paths_are_read_in_the_data_folder_alone(rows, tiny_processor, tmp_path, augment):
    folder = tmp_path / "data"
    folder.mkdir()
    for place in (tmp_path / "private.png", folder / "a.png"):
        Image.new("RGB", (8, 8), "red").save(place)
    os.mkfifo(folder / "pipe.png")
    collator = IDCCollator(tiny_processor, augment=augment, folders=[folder])
    for path in ("a.png", str(folder / "a.png")):
        for image in (path, {"bytes": None, "path": path}):
            assert collator([{**rows[1], "before": image}])["pixel_values"].shape == (1, 3, 56, 28)
    outside = (str(tmp_path / "private.png"), "../private.png", "http://127.0.0.1:9/a.png", "pipe.png", "gone.png")
    for path in outside:
        for image in (path, {"bytes": None, "path": path}):
            with pytest.raises(ValueError, match=r"row id='train-000001', column 'before': "):
                collator([{**rows[1], "before": image}])
    with pytest.raises(ValueError, match="is only a path, .* Such a path is not followed"):
        IDCCollator(tiny_processor, augment=augment)([{**rows[1], "before": str(folder / "a.png")}])


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="seed"):
        IDCCollator(Recorder(), seed=seed)
