"""The pipeline `image-difference-captioning` as its users meet it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    pipeline,
    set_seed,
)
from transformers.pipelines import PIPELINE_REGISTRY

from modeling_blip2idc import Blip2IDCProcessor, ImageDifferenceCaptioningPipeline
from modeling_blip2idc.loading_blip2idc import load_idc
from modeling_blip2idc.merge_blip2idc import merge
from tests.modeling_blip2idc.adapters import adapter_of
from tests.tiny_blip2 import tiny_pair

TASK = "image-difference-captioning"
MISSING = "no/such/file.png"


def random_pairs(count: int, seed: int = 0) -> list[tuple]:
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)) for _ in range(count)]


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


def texts(results) -> list[list[str]]:
    return [[caption["generated_text"] for caption in captions] for captions in results]


def pipeline_of(model, processor) -> ImageDifferenceCaptioningPipeline:
    return ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu", max_new_tokens=6)


class PairDataset(torch.utils.data.Dataset):
    def __init__(self, pairs, broken=()):
        self.pairs, self.broken = pairs, broken

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        if index in self.broken:
            raise OSError("truncated on disk")
        return self.pairs[index]


@pytest.fixture(scope="module")
def pairs():
    return random_pairs(33)


@pytest.fixture(scope="module")
def pipe(tiny_model_dir):
    return pipeline(TASK, model=str(tiny_model_dir), device="cpu", max_new_tokens=6)


@pytest.fixture(scope="module")
def plain_dir(tiny_model_dir, tmp_path_factory):
    """The same weights as a folder of stock transformers."""
    folder = tmp_path_factory.mktemp("plain")
    Blip2ForConditionalGeneration.from_pretrained(tiny_model_dir).save_pretrained(folder)
    Blip2Processor.from_pretrained(tiny_model_dir).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="blip-2", architectures=["Blip2ForConditionalGeneration"])
    for name in ("auto_map", "no_change_captions"):
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module", params=["ours", "plain"])
def base_dir(request, tiny_model_dir, plain_dir):
    return tiny_model_dir if request.param == "ours" else plain_dir


@pytest.fixture(scope="module")
def adapter_dir(base_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    model = Blip2ForConditionalGeneration.from_pretrained(base_dir)
    torch.manual_seed(1)
    # init_lora_weights=False: an adapter that changes the captions
    config = LoraConfig(r=4, lora_alpha=32, target_modules=r".*\.(qkv|q_proj|v_proj)", init_lora_weights=False)
    adapted = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = str(base_dir)
    adapted.save_pretrained(folder)
    return folder


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


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({"num_beams": 4, "num_return_sequences": 4}, 4),
        ({"num_beams": 4, "num_return_sequences": 2, "length_penalty": -3.0, "eos_token_id": [2, 300]}, 2),
        ({"do_sample": True, "num_return_sequences": 3, "temperature": 3.0}, 3),
    ],
)
def test_the_score_is_the_models_own_probability(pipe, pairs, options, count):
    """Against the log-probabilities of a second pass over the finished captions."""
    pairs = pairs[:6]
    set_seed(0)
    # an image token among the new ones, which a random model may well sample, could not be fed back
    options = {**options, "max_new_tokens": 8, "suppress_tokens": [pipe.processor.image_token_id]}
    results, outputs = generated(pipe, pairs, batch_size=3, **options)
    stops = options.get("eos_token_id", pipe.model.generation_config.eos_token_id)
    stops = stops if isinstance(stops, list) else [stops]
    for pair, ids_of_pair, captions in zip(pairs, outputs, results, strict=True):
        assert len(captions) == count
        prompt = pipe.processor(images=pair)
        for ids, caption in zip(ids_of_pair[0].tolist(), captions, strict=True):
            length = next((i + 1 for i, token in enumerate(ids) if token in stops), len(ids))
            new = torch.tensor([ids[:length]])
            everything = torch.cat([prompt["input_ids"], new], dim=1)
            with torch.no_grad():
                logits = pipe.model(pixel_values=prompt["pixel_values"], input_ids=everything).logits
            log_p = logits[:, -length - 1 : -1].log_softmax(-1).gather(2, new[..., None]).mean()
            assert 0 < caption["score"] <= 1
            assert caption["score"] == pytest.approx(log_p.exp().item(), rel=1e-3)


def test_generate_arguments_at_construction_and_in_the_call(tiny_model_dir, pairs):
    def length(pipe, **kwargs):
        return generated(pipe, pairs[:1], **kwargs)[1][0].shape[-1]

    pipe = pipeline(TASK, model=str(tiny_model_dir), device="cpu", max_new_tokens=3, eos_token_id=-1)
    assert length(pipe) == 3
    assert length(pipe, max_new_tokens=5) == 5
    assert length(pipe) == 3
    del pipe._forward_params["max_new_tokens"]
    assert length(pipe, generation_config=GenerationConfig(max_new_tokens=4)) == 4
    assert length(pipe, generation_config=GenerationConfig(max_new_tokens=4), max_new_tokens=7) == 7
    pipe.model.generation_config.max_new_tokens = 2
    assert length(pipe) == 2
    with pytest.raises(ValueError, match="max_new_token"):
        pipe(pairs[0], max_new_token=5)  # a slip of the pen


def test_sampling_follows_the_seed(pipe, pairs):
    def sample(seed):
        set_seed(seed)
        return texts(pipe(pairs[:2], do_sample=True, temperature=5.0, num_return_sequences=4))

    assert sample(0) == sample(0) != sample(1)


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


@pytest.mark.parametrize("text", ["There is no change.", "there is  no change", "The two scenes seem identical!"])
def test_known_phrases_for_no_change(pipe, text):
    ids = torch.tensor([[pipe.tokenizer(text, add_special_tokens=False)["input_ids"]]])
    output = {"generated_ids": ids, "scores": torch.tensor([[0.5]]), "error": None}
    assert pipe.postprocess(output) == [{"generated_text": text, "score": 0.5, "changed": False}]


def test_prompt_canvas_and_draft_reach_the_processor(pipe, pairs):
    plain = pipe(pairs[:8])
    assert texts(pipe(pairs[:8], prompt="the small")) != texts(plain)
    assert not any(text.startswith("the small") for (text,) in texts(pipe(pairs[:8], prompt="the small")))
    assert texts(pipe(pairs[:8], concat_axis="horizontal")) != texts(plain)
    assert texts(pipe(pairs[:8], size={"height": 28, "width": 28})) != texts(plain)
    assert texts(pipe(pairs[:8], draft=False)) == texts(plain)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (["a.png", "b.png"], ValueError, r"tuple: \(before, after\)"),
        (["a.png", "b.png", "c.png"], ValueError, "3 bare images"),
        ("a.png", TypeError, r"one str; give a pair as \(before, after\)"),
        (np.zeros((4, 4, 3), np.uint8), TypeError, "one ndarray"),
        (Image.new("RGB", (4, 4)), TypeError, "one Image"),
        ((MISSING, MISSING), FileNotFoundError, f"before '{MISSING}': no such file"),
        ((Image.new("RGB", (4, 4)),), ValueError, "two images"),
        ({"before": Image.new("RGB", (4, 4))}, ValueError, "'after'"),
        ((Image.new("RGB", (4, 4)), None), ValueError, "after"),
        (datasets.DatasetDict(test=datasets.Dataset.from_dict({"before": []})), ValueError, "choose one of 'test'"),
        (datasets.Dataset.from_dict({"image_1": [1], "after": [2]}), ValueError, "has 'image_1', 'after'"),
    ],
)
def test_wrong_inputs_get_one_clear_error(pipe, inputs, error, message):
    with pytest.raises(error, match=message):
        pipe(inputs)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_bad_row_is_named(pipe, pairs, batch_size):
    with pytest.raises(ValueError, match=f"^row 4: after '{MISSING}': no such file"):
        pipe([*pairs[:4], (pairs[4][0], MISSING), *pairs[5:]], batch_size=batch_size)
    with pytest.raises(ValueError, match="^row 2: .*truncated on disk"):
        list(pipe(PairDataset(pairs[:4], broken={2}), batch_size=batch_size))
    with pytest.raises(ValueError, match="on_error is 'raise' or 'return'"):
        pipe(pairs[0], on_error="ignore")


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
    stored = list(pipe(PairDataset(pairs[:4], broken={0, 1}), batch_size=batch_size, on_error="return"))
    assert stored[0] == [{"error": "row 0: truncated on disk"}]
    assert texts(stored[2:]) == texts(pipe(pairs[2:4]))


def test_plain_blip2_gives_the_same_captions(pipe, plain_dir, pairs):
    expected = pipe(pairs[:6])
    plain = pipeline(TASK, model=str(plain_dir), device="cpu", max_new_tokens=6)
    assert type(plain.model) is Blip2ForConditionalGeneration
    assert texts(plain(pairs[:6], batch_size=4)) == texts(expected)
    model, processor = (
        Blip2ForConditionalGeneration.from_pretrained(plain_dir),
        Blip2Processor.from_pretrained(plain_dir),
    )
    instance = pipeline(TASK, model=model, processor=processor, device="cpu", max_new_tokens=6)
    assert texts(instance(pairs[:6], batch_size=4)) == texts(expected)
    assert type(model) is Blip2ForConditionalGeneration  # what was handed in stays what it was


def test_adapters(adapter_dir, base_dir, pipe, pairs):
    base = Blip2ForConditionalGeneration.from_pretrained(base_dir)
    peft_model = PeftModel.from_pretrained(base, adapter_dir)
    processor = Blip2Processor.from_pretrained(base_dir)
    instance = pipeline(TASK, model=peft_model, processor=processor, device="cpu", max_new_tokens=6)
    from_folder = pipeline(TASK, model=str(adapter_dir), device="cpu", max_new_tokens=6)
    captions = texts(instance(pairs[:6], batch_size=4))
    assert captions != texts(pipe(pairs[:6]))  # the adapter does something
    assert texts(from_folder(pairs[:6])) == captions
    loaded, own_processor = load_idc(adapter_dir)
    assert texts(pipeline_of(loaded, own_processor)(pairs[:6])) == captions
    merged = pipeline(TASK, model=peft_model.merge_and_unload(), processor=processor, device="cpu", max_new_tokens=6)
    assert texts(merged(pairs[:6])) == captions


def test_an_adapters_own_processor_wins_over_its_bases(adapter_dir, base_dir, pairs, tmp_path):
    """It knows the canvas that the adapter was trained on."""
    folder = shutil.copytree(adapter_dir, tmp_path / "adapter")
    processor = Blip2IDCProcessor.from_pretrained(base_dir, concat_axis="horizontal")
    processor.image_processor.size = {"height": 28, "width": 56}
    processor.save_pretrained(folder)
    pipe = pipeline(TASK, model=str(folder), device="cpu", max_new_tokens=6)
    assert pipe.processor.concat_axis == "horizontal"
    assert dict(pipe.processor.image_processor.size) == {"height": 28, "width": 56}
    assert texts(pipe(pairs[:3])) == texts(pipeline_of(*load_idc(folder))(pairs[:3]))
    chosen = Blip2IDCProcessor.from_pretrained(base_dir, draft=False, concat_axis="vertical")
    chosen.image_processor.size = {"height": 28, "width": 28}
    pipe = pipeline(TASK, model=str(folder), processor=chosen, device="cpu")
    assert pipe.processor is chosen


def test_an_adapters_generation_settings(adapter_dir, base_dir, tmp_path):
    """Also of one that transformers loaded, as in a process without this package: its processor says where it is."""
    folder = shutil.copytree(adapter_dir, tmp_path / "adapter")
    processor = Blip2IDCProcessor.from_pretrained(base_dir)
    processor.save_pretrained(folder)
    GenerationConfig(max_new_tokens=3, eos_token_id=7).save_pretrained(folder)

    def settings(processor, **changes):
        model = AutoModelForImageTextToText.from_pretrained(folder)
        model.generation_config.update(**changes)
        config = pipeline(TASK, model=model, processor=processor, device="cpu").model.generation_config
        return config.max_new_tokens, config.eos_token_id

    assert pipeline(TASK, model=str(folder), device="cpu").model.generation_config.max_new_tokens == 3
    assert settings(Blip2IDCProcessor.from_pretrained(folder)) == (3, 7)
    assert settings(Blip2IDCProcessor.from_pretrained(folder), max_new_tokens=5)[0] == 5  # somebody's choice
    assert settings(processor)[0] is None  # that of the base


def test_a_merged_model_keeps_its_canvas(pairs, tmp_path):
    """A stock processor does not read it, nor which token ends a caption."""
    adapter, model, processor = adapter_of(
        tmp_path, tiny_pair(height=28, width=56), concat_axis="horizontal", prompt="a", stop_token="</s>"
    )
    folder, expected = merge(adapter, tmp_path / "merged"), texts(pipeline_of(model, processor)(pairs[:4]))
    stock = {
        "model": Blip2ForConditionalGeneration.from_pretrained(folder),
        "processor": Blip2Processor.from_pretrained(folder),
    }
    for how in ({"model": str(folder)}, stock):
        pipe = pipeline(TASK, device="cpu", max_new_tokens=6, **how)
        own = pipe.processor
        assert (own.concat_axis, own.prompt, own.stop_token) == ("horizontal", "a", "</s>")
        assert texts(pipe(pairs[:4])) == expected
    stock["processor"].image_processor.size = {"height": 28, "width": 28}  # somebody's choice
    own = pipeline(TASK, device="cpu", **stock).processor
    assert own.image_processor is stock["processor"].image_processor


def test_t5(tiny_t5_model, tiny_t5_processor, pairs):
    pipe = pipeline_of(tiny_t5_model, tiny_t5_processor)
    one, many = pipe(pairs[:8]), pipe(pairs[:8], batch_size=5)
    assert texts(one) == texts(many) and len({text for (text,) in texts(one)}) > 1
    assert all(0 < captions[0]["score"] <= 1 for captions in one)
    inputs = tiny_t5_processor(images=pairs[:8])
    ids = tiny_t5_model.generate(**inputs, max_new_tokens=6)
    assert tiny_t5_processor.post_process_captions(ids) == [text for (text,) in texts(one)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tiny_model_dir, pairs, dtype):
    pipe = pipeline(TASK, model=str(tiny_model_dir), device="cpu", dtype=dtype, max_new_tokens=6)
    assert all(0 < captions[0]["score"] <= 1 for captions in pipe(pairs[:4], batch_size=2))


def test_a_model_fresh_from_training_is_put_in_evaluation_mode(tiny_model, tiny_processor, pairs):
    tiny_model.train()
    pipe = ImageDifferenceCaptioningPipeline(model=tiny_model, processor=tiny_processor, device="cpu")
    assert not tiny_model.training
    assert pipe(pairs[0]) == pipe(pairs[0])


def test_other_models_and_processors_are_refused(tiny_model, tiny_processor):
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=4, n_embd=4, n_layer=1, n_head=1))
    with pytest.raises(ValueError, match="needs a BLIP-2 model; got a GPT2LMHeadModel"):
        ImageDifferenceCaptioningPipeline(model=gpt2, processor=tiny_processor)
    with pytest.raises(ValueError, match="pass processor="):
        ImageDifferenceCaptioningPipeline(model=tiny_model)
    with pytest.raises(ValueError, match="needs a BLIP-2 processor; got a "):
        ImageDifferenceCaptioningPipeline(model=tiny_model, processor=tiny_processor.tokenizer)


def test_the_default_model_is_the_embedded_one():
    folder, revision = PIPELINE_REGISTRY.check_task(TASK)[1]["default"]["model"]
    assert Path(folder).name == "mini" and Path(folder).parent.name == "modeling_blip2idc" and revision is None


def test_a_saved_pipeline_names_no_path_and_loads_again(pipe, pairs, tmp_path):
    folder = tmp_path / "saved"
    pipe.save_pretrained(folder)
    custom = json.loads((folder / "config.json").read_text())["custom_pipelines"]
    assert custom == {
        TASK: {
            "impl": "pipeline_blip2idc.ImageDifferenceCaptioningPipeline",
            "pt": ["AutoModelForImageTextToText"],
            "type": "multimodal",
        }
    }
    assert not hasattr(pipe.model.config, "custom_pipelines")
    # with this package its own class is taken, and no code of the folder's
    again = pipeline(TASK, model=str(folder), device="cpu", max_new_tokens=6)
    assert type(again) is ImageDifferenceCaptioningPipeline
    assert again.processor.image_processor.size == pipe.processor.image_processor.size
    assert texts(again(pairs[:3])) == texts(pipe(pairs[:3]))


def test_other_pipelines_of_a_repository_stay(tiny_model_dir, tmp_path):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    tasks = {name: {"impl": "x.X", "pt": ["AutoModel"]} for name in (TASK, "other")}
    (folder / "config.json").write_text(json.dumps({**config, "custom_pipelines": tasks}))
    assert AutoConfig.from_pretrained(folder).custom_pipelines == {"other": tasks["other"]}


REMOTE = """
import json, sys
sys.modules["modeling_blip2idc"] = None  # as if it was not installed
import numpy as np
from transformers import pipeline
folder, again, pairs = sys.argv[1:]
pairs = [tuple(pair) for pair in np.load(pairs)]
results = []
for path in (folder, again):
    pipe = pipeline("image-difference-captioning", model=path, trust_remote_code=True, device="cpu", max_new_tokens=6)
    results.append([captions[0] for captions in pipe(pairs + [("no.png", "no.png")], batch_size=2, on_error="return")])
    pipe.save_pretrained(again)
print(json.dumps(results))
"""


def test_a_saved_pipeline_works_without_this_package(pipe, pairs, tmp_path):
    """Twice over: the second folder is saved by the process that has only the first."""
    folder, again = tmp_path / "saved", tmp_path / "again"
    pipe.save_pretrained(folder)
    np.save(tmp_path / "pairs.npy", np.stack([np.stack(pair) for pair in pairs[:3]]))
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", REMOTE, str(folder), str(again), str(tmp_path / "pairs.npy")],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    expected = pipe(pairs[:3])
    for results in json.loads(done.stdout.splitlines()[-1]):
        assert [result["generated_text"] for result in results[:3]] == [text for (text,) in texts(expected)]
        assert results[3]["error"].startswith("row 3: before 'no.png': no such file")
