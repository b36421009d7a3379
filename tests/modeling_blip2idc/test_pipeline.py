"""The pipeline `image-difference-captioning` as its users meet it: what goes in, what comes out."""

from pathlib import Path

import datasets
import pytest
import torch
from PIL import Image
from transformers import (
    GenerationConfig,
    pipeline,
)

from modeling_blip2idc import ImageDifferenceCaptioningPipeline
from modeling_blip2idc.image_files_blip2idc import ImageLoadError
from tests.support.pictures import encode, noise
from tests.support.pipelines import TASK, pipeline_of, texts
from tests.support.tiny_blip2 import tiny_instructblip, tiny_pair

MISSING = "no/such/file.png"


def generated(pipe, pairs, **kwargs) -> tuple[list, list]:
    """Results, and the new tokens behind them, (1, num_return_sequences, length) for each pair."""
    outputs, postprocess = [], pipe.postprocess
    pipe.postprocess = lambda output, **options: (
        outputs.append(output["generated_ids"]) or postprocess(output, **options)
    )
    try:
        return pipe(pairs, **kwargs), outputs
    finally:
        del pipe.postprocess


class PairDataset(torch.utils.data.Dataset):
    """Rows that raise what `broken` has for them."""

    def __init__(self, pairs, broken=None):
        self.pairs, self.broken = pairs, broken or {}

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        if index in self.broken:
            raise self.broken[index]
        return self.pairs[index]


def test_one_pair_in_every_form(pipe, pairs, tmp_path):
    before, after = (Image.fromarray(array) for array in pairs[0])
    files = [str(tmp_path / name) for name in ("before.png", "after.png")]
    before.save(files[0])
    after.save(files[1])
    expected = pipe((before, after))
    assert len(expected) == 1 and set(expected[0]) == {"generated_text", "score", "changed"}
    row = {"id": "x", "before": before, "after": after, "captions": ["a"], "category": "color"}
    for result in (
        pipe(before, after),
        pipe(before, after=after),
        pipe(before=before, after=after),
        pipe({"before": before, "after": after}),
        pipe(row),
        pipe(pairs[0]),
        pipe(files[0], files[1]),
        pipe((Path(files[0]), Path(files[1]).read_bytes())),
        pipe([(before, after)])[0],
        pipe([[before, after]])[0],
    ):
        assert result == expected


def test_order_of_the_images_counts(pipe, pairs):
    forward, backward = pipe(pairs), pipe([(after, before) for before, after in pairs])
    assert texts(forward) != texts(backward)


def test_many_pairs_in_every_form(pipe, pairs):
    pairs = pairs[:5]
    expected = pipe(pairs)
    assert isinstance(expected, list) and len({text for (text,) in texts(expected)}) > 1
    images = [[Image.fromarray(array) for array in pair] for pair in pairs]
    rows = [{"id": str(i), "before": before, "after": after} for i, (before, after) in enumerate(images)]
    features = datasets.Features(
        {"id": datasets.Value("string"), "before": datasets.Image(), "after": datasets.Image()}
    )
    dataset = datasets.Dataset.from_list(rows, features=features)
    for many in (
        rows,
        (row for row in rows),
        iter(pairs),
        zip(*zip(*pairs, strict=True), strict=True),
        PairDataset(pairs),
        dataset,
        dataset.to_iterable_dataset(),
    ):
        assert texts(pipe(many, batch_size=2)) == texts(expected)
    assert texts(pipe(dataset, batch_size=2, num_workers=1)) == texts(expected)
    assert pipe([]) == []


def test_only_the_two_columns_are_read(pipe, pairs):
    broken = {"bytes": b"not an image", "path": None}
    images = [[Image.fromarray(array) for array in pair] for pair in pairs[:2]]
    rows = [{"before": before, "after": after, "mask": broken} for before, after in images]
    features = datasets.Features({name: datasets.Image() for name in ("before", "after", "mask")})
    dataset = datasets.Dataset.from_list(rows, features=features)
    assert texts(pipe(dataset)) == texts(pipe(pairs[:2]))


def test_a_generator_is_read_as_results_are_asked_for(pipe, pairs):
    taken = []

    def stream():
        for index, pair in enumerate(pairs):
            taken.append(index)
            yield pair

    results = pipe(stream(), batch_size=4)
    assert len(taken) <= 1  # the base class looks at the first
    next(iter(results))
    assert len(taken) <= 8 < len(pairs)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3, "num_return_sequences": 2}])
def test_a_caption_does_not_depend_on_its_batch(pipe, pairs, options):
    one, many = pipe(pairs, **options), list(pipe(iter(pairs), batch_size=32, **options))
    assert texts(one) == texts(many)
    for a, b in zip(one, many, strict=True):
        assert [c["score"] for c in a] == pytest.approx([c["score"] for c in b], rel=1e-4)
        assert [c["changed"] for c in a] == [c["changed"] for c in b]


def test_generate_arguments_at_construction_and_in_the_call(tiny_model_dir, pairs):
    def length(pipe, **kwargs):
        return generated(pipe, pairs[:1], **kwargs)[1][0].shape[-1]

    pipe = pipeline(TASK, model=str(tiny_model_dir), device="cpu", max_new_tokens=3, eos_token_id=-1)
    assert length(pipe) == 3
    assert length(pipe, max_new_tokens=5) == length(pipe, generate_kwargs={"max_new_tokens": 5}) == 5
    assert length(pipe) == 3
    del pipe._forward_params["max_new_tokens"]
    assert length(pipe, generation_config=GenerationConfig(max_new_tokens=4)) == 4
    assert (
        length(pipe, generation_config=GenerationConfig(max_new_tokens=4), generate_kwargs={"max_new_tokens": 7}) == 7
    )
    pipe.model.generation_config.max_new_tokens = 2
    assert length(pipe) == 2
    with pytest.raises(ValueError, match="max_new_token"):
        pipe(pairs[0], max_new_token=5)  # a slip of the pen
    pipe = pipeline(TASK, model=str(tiny_model_dir), device="cpu", generate_kwargs={"max_new_tokens": 3})
    assert length(pipe, eos_token_id=-1) == 3


def test_captions_end_with_the_processors_stop_token(tiny_model_dir, pairs):
    """Also where the model's generation config knows another end, as in plain BLIP-2 folders."""
    pipe = pipeline(TASK, model=str(tiny_model_dir), device="cpu", max_new_tokens=6)
    pipe.model.generation_config.eos_token_id = None
    (free,) = generated(pipe, pairs[:1])[1]
    third = free[0, 0, 2].item()
    pipe.processor.stop_token = pipe.tokenizer.convert_ids_to_tokens(third)
    captions, (stopped,) = generated(pipe, pairs[:1])
    assert stopped[0, 0].tolist() == free[0, 0, : free[0, 0].tolist().index(third) + 1].tolist()
    assert captions[0][0]["generated_text"] == pipe.processor.post_process_captions(stopped[0])[0]


def test_changed_is_read_from_the_caption(pipe, pairs):
    text = pipe(pairs[0])[0]["generated_text"]
    assert pipe(pairs[0])[0]["changed"] is True
    said = f"  {text.upper()} . "
    assert pipe(pairs[0], no_change_captions=[said])[0]["changed"] is False
    before = pipe.model.config.no_change_captions
    pipe.model.config.no_change_captions = [said]
    try:
        assert pipe(pairs[0])[0]["changed"] is False
        assert pipe(pairs[0], no_change_captions=["something else"])[0]["changed"] is True
    finally:
        pipe.model.config.no_change_captions = before
    with pytest.raises(TypeError, match="list of captions"):
        pipe(pairs[0], no_change_captions="there is no change")


PROMPTS = ["the small", "the large green rubber cube has", None, "the", "the yellow cylinder was moved and"]


@pytest.mark.parametrize("family", ["opt", "t5", "instructblip"])
@pytest.mark.parametrize("options", [{}, {"num_beams": 2, "num_return_sequences": 2}], ids=["greedy", "beams"])
def test_a_prompt_for_each_pair(family, options, pairs):
    """Of unequal length in one batch: each caption is that of its pair alone."""
    model, processor = tiny_instructblip() if family == "instructblip" else tiny_pair(t5=family == "t5")
    pipe, pairs = pipeline_of(model, processor), pairs[: len(PROMPTS)]
    alone = [pipe(pair, text=[prompt], **options) for pair, prompt in zip(pairs, PROMPTS, strict=True)]
    assert alone[0] == pipe(pairs[0], text=PROMPTS[0], **options) != pipe(pairs[0], **options)
    rows = [{"before": b, "after": a, "prompt": p} for (b, a), p in zip(pairs, PROMPTS, strict=True)]
    images = [{**row, **{side: Image.fromarray(row[side]) for side in ("before", "after")}} for row in rows]
    for many, text in (
        *((pairs, PROMPTS), (iter(pairs), PROMPTS), (PairDataset(pairs), PROMPTS)),
        *((rows, None), (iter(rows), None), (datasets.Dataset.from_list(images), None)),
    ):
        for together, single in zip(pipe(many, text=text, batch_size=3, **options), alone, strict=True):
            assert [one["generated_text"] for one in together] == [one["generated_text"] for one in single]
            assert [one["score"] for one in together] == pytest.approx([one["score"] for one in single], rel=1e-4)
    assert pipe(rows, text="a", **options) == pipe(pairs, text="a", **options)  # the call's wins
    with_default = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu", text="a")
    assert with_default(rows[0], max_new_tokens=6, **options) == alone[0]  # the row's wins
    assert with_default(pairs[0], max_new_tokens=6, **options) == pipe(pairs[0], text="a", **options)


def test_prompts_that_cannot_be_meant(pipe, pairs):
    for inputs, text in ((pairs[:3], ["a", "b"]), (pairs[0], ["a", "b"]), (PairDataset(pairs[:1]), [])):
        with pytest.raises(ValueError, match=f"text has {len(text)} prompts for . pairs"):
            pipe(inputs, text=text)
    with pytest.raises(ValueError, match="shorter"):
        list(pipe(iter(pairs[:3]), text=["a", "b"]))
    with pytest.raises(TypeError, match="prompt= is not an argument.* text="):
        pipe(pairs[0], prompt="a")


def test_prompt_canvas_and_draft_reach_the_processor(pipe, pairs):
    plain = texts(pipe(pairs[:8]))
    prompted = texts(pipe(pairs[:8], text="the small"))
    assert prompted != plain and not any(text.startswith("the small") for (text,) in prompted)
    assert texts(pipe(pairs[:8], concat_axis="horizontal")) != plain
    assert texts(pipe(pairs[:8], size={"height": 28, "width": 28})) != plain
    assert texts(pipe(pairs[:8], draft=True)) == plain


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (["a.png", "b.png"], ValueError, r"tuple: \(before, after\)"),
        ("a.png", TypeError, r"one str; give a pair as \(before, after\)"),
        (Image.new("RGB", (4, 4)), TypeError, "one Image"),
        ((MISSING, MISSING), FileNotFoundError, f"before '{MISSING}': no such file"),
        ((Image.new("RGB", (4, 4)),), ValueError, "two images"),
        ({"before": Image.new("RGB", (4, 4))}, ValueError, "'after'"),
        (
            datasets.DatasetDict(test=datasets.Dataset.from_dict({"before": []})),
            ValueError,
            "no 'before' and no 'after'",
        ),
    ],
)
def test_wrong_inputs_get_one_clear_error(pipe, inputs, error, message):
    with pytest.raises(error, match=message):
        pipe(inputs)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_bad_row_is_named_with_its_cause(pipe, pairs, batch_size):
    with pytest.raises(ImageLoadError, match=f"^row 4: after '{MISSING}': no such file") as caught:
        pipe([*pairs[:4], (pairs[4][0], MISSING), *pairs[5:]], batch_size=batch_size)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    cause = OSError("truncated on disk")
    with pytest.raises(ImageLoadError, match="^row 2: truncated on disk") as caught:
        list(pipe(PairDataset(pairs[:4], {2: cause}), batch_size=batch_size))
    assert caught.value.__cause__ is cause
    image = {"bytes": encode(noise(64, 64))[:-40], "path": None}
    dataset = datasets.Dataset.from_dict(
        {"before": [image], "after": [image]}, datasets.Features({n: datasets.Image() for n in ("before", "after")})
    )
    with pytest.raises(ImageLoadError, match="^row 0: ") as caught:
        list(pipe(dataset, batch_size=batch_size))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ValueError, match="on_error is 'raise' or 'return'"):
        pipe(pairs[0], on_error="ignore")


@pytest.mark.parametrize("on_error", ["raise", "return"])
@pytest.mark.parametrize(
    "error", [KeyError("no such column"), ValueError("mine"), MemoryError(), torch.OutOfMemoryError("GPU"),
              KeyboardInterrupt(), RuntimeError("cuDNN")],
    ids=repr,
)  # fmt: skip
def test_other_errors_of_a_dataset_pass(pipe, pairs, error, on_error):
    def stream():
        yield pairs[0]
        raise error

    for many in (PairDataset(pairs[:3], {1: error}), stream()):
        with pytest.raises(type(error)) as caught:
            list(pipe(many, on_error=on_error))
        assert caught.value is error


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_errors_of_the_model_and_of_the_processor_pass(pipe, pairs, on_error, monkeypatch):
    with pytest.raises(ValueError, match="^concat_axis"):
        pipe(pairs[:2], on_error=on_error, concat_axis="diagonal")
    error = torch.OutOfMemoryError("GPU")
    monkeypatch.setattr(pipe.model, "generate", lambda **kwargs: (_ for _ in ()).throw(error))
    with pytest.raises(torch.OutOfMemoryError) as caught:
        pipe(pairs[:2], on_error=on_error)
    assert caught.value is error


@pytest.mark.parametrize("options", [{}, {"num_beams": 2, "num_return_sequences": 2}])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_bad_rows_leave_the_others_as_they_are(pipe, pairs, batch_size, options):
    good = pipe(pairs[:9], **options)
    bad = {0: "none.png", 3: 5, 4: (1, 2, 3), 5: {"before": pairs[5][0]}}  # two batches of two with nothing else
    rows = [bad.get(i, pair) if i else (pairs[0][0], bad[0]) for i, pair in enumerate(pairs[:9])]
    results = pipe(rows, batch_size=batch_size, on_error="return", **options)
    assert len(results) == 9
    for index, (result, expected) in enumerate(zip(results, good, strict=True)):
        if index in bad:
            assert [list(item) for item in result] == [["error"]]
            assert result[0]["error"].startswith(f"row {index}: ")
        else:
            assert [c["generated_text"] for c in result] == [c["generated_text"] for c in expected]
            assert [c["score"] for c in result] == pytest.approx([c["score"] for c in expected], rel=1e-4)
    broken = dict.fromkeys((0, 1), OSError("truncated on disk"))
    stored = list(pipe(PairDataset(pairs[:4], broken), batch_size=batch_size, on_error="return"))
    assert stored[0] == [{"error": "row 0: truncated on disk"}]
    assert texts(stored[2:]) == texts(pipe(pairs[2:4]))
