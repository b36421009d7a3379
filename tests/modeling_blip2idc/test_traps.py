"""
Where stock transformers goes wrong without a word, and that this package does not.

Where that is possible, a test first shows that the stock class still behaves like that: when one of these assertions
fails after an upgrade, a precaution of ours can go. Other traps are tested where the thing itself is: rectangular
`image_size` (test_configuration), labels, stop token and truncation (test_processing), generation settings and
checkpointing (test_modeling), old adapters (test_import_adapter), code without the package (test_saving), lists,
datasets, default model and adapters in the pipeline (test_pipeline).
"""

import ast
import json
import logging
import warnings
from pathlib import Path

import pytest
import torch
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
    GenerationConfig,
)

import modeling_blip2idc
from modeling_blip2idc import (
    Blip2IDCForConditionalGeneration,
    Blip2IDCProcessor,
    load_idc,
    make_canvas,
)
from tests.support.tiny_blip2 import CAPTIONS, opt_tokenizer, random_pairs, tiny_config, tiny_pair

PACKAGE = Path(modeling_blip2idc.__file__).parent


@pytest.fixture
def stock():
    """Stock model with a canvas of 28x28, for which no interpolation is needed."""
    return tiny_pair(Blip2ForConditionalGeneration, height=28)[0]


@pytest.fixture
def ours():
    return tiny_pair(height=28)


def pixels(height=28, width=28, count=2):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(model, **inputs):
    return model(**inputs).logits


class TestImageTokens:
    """Section 1: image tokens."""

    def test_without_num_query_tokens_the_image_is_ignored(self, stock, ours):
        _, processor = ours
        plain = Blip2Processor(processor.image_processor, processor.tokenizer)
        canvases = [make_canvas(*pair, (28, 28))[0] for pair in random_pairs(2)]
        inputs = plain(images=canvases, text=["what changed?"] * 2, return_tensors="pt")
        first, second = logits(stock, **inputs)
        torch.testing.assert_close(first, second)  # two images, one answer, but for rounding

        model = ours[0]
        for call in (model, model.generate):
            with pytest.raises(ValueError, match="Row 0 of input_ids has 0 image tokens"):
                call(**inputs)
        processor.num_query_tokens = None
        with pytest.raises(ValueError, match="num_query_tokens is None"):
            processor(images=random_pairs(1))

    def test_too_few_drop_features_of_the_image(self, stock, ours):
        model, processor = ours
        processor.num_query_tokens = 3
        inputs = processor(images=random_pairs(2))
        assert logits(stock, **inputs).shape[:2] == (2, 4)  # runs, on 3 of 4 features
        for call in (model, model.generate):
            with pytest.raises(ValueError, match="3 image tokens.*num_query_tokens=4"):
                call(**inputs)

    def test_max_length_counts_them(self):
        _, processor = tiny_pair()
        plain = Blip2Processor(processor.image_processor, processor.tokenizer, num_query_tokens=4)
        options = {"max_length": 9, "padding": "max_length"}
        canvas = make_canvas(*random_pairs(1)[0], (28, 28))[0]
        theirs = plain(images=canvas, text=CAPTIONS[0], truncation=True, return_tensors="pt", **options)["input_ids"]
        ours = processor(images=random_pairs(1), captions=CAPTIONS[0], **options)["input_ids"]
        assert ours.shape == theirs.shape == (1, 9)
        assert torch.equal(ours[:, :8], theirs[:, :8])
        assert ours[0, 8] == processor.stop_token_id != theirs[0, 8]  # without a stop token, captions never end


class TestGenerate:
    """Section 1: generate."""

    def test_the_prompt_comes_back_with_the_caption(self, ours):
        model, processor = ours
        inputs = processor(images=random_pairs(2), text="the change:")
        ids = model.generate(**inputs, max_new_tokens=3)
        length = inputs["input_ids"].shape[1]
        assert torch.equal(ids[:, :length], inputs["input_ids"])
        for whole, new in zip(ids, processor.post_process_captions(ids[:, length:]), strict=True):
            assert "the change:" in processor.tokenizer.decode(whole, skip_special_tokens=True)
            assert "the change:" not in new

    def test_the_top_level_generation_config_is_ignored(self, stock, ours):
        for model in (stock, ours[0]):
            model.generation_config = GenerationConfig(max_new_tokens=3)
        assert stock.generate(pixels()).shape[1] > 5 + 3
        assert ours[0].generate(pixels()).shape[1] == 5 + 3

    def test_t5_cannot_start_from_pixels_alone(self):
        stock, _ = tiny_pair(Blip2ForConditionalGeneration, t5=True)
        stock.config.text_config.bos_token_id = None  # as in Flan-T5's config
        model, processor = tiny_pair(t5=True)
        model.config.text_config.bos_token_id = None
        with pytest.raises((TypeError, RuntimeError)):
            stock.generate(pixels())
        inputs = processor(images=random_pairs(2))
        assert torch.equal(model.generate(inputs["pixel_values"]), model.generate(**inputs))

    def test_a_caption_in_input_ids_leaks_into_the_prediction(self, stock, ours):
        model, processor = ours
        inputs = processor(images=random_pairs(1), captions=CAPTIONS[0])
        leaked = stock.generate(inputs["pixel_values"], input_ids=inputs["input_ids"], max_new_tokens=1)
        assert CAPTIONS[0] in processor.tokenizer.decode(leaked[0])
        with pytest.raises(ValueError, match="hold the caption"):
            model.generate(**inputs)


class TestCanvasSize:
    """Section 1: input sizes."""

    def test_a_smaller_canvas_gets_the_first_position_embeddings(self, stock, ours):
        inputs = {"pixel_values": pixels(14, 28), "input_ids": ours[0]._prompt(None, pixels())}
        right = logits(stock, **inputs, interpolate_pos_encoding=True)
        assert not torch.allclose(logits(stock, **inputs), right, atol=1e-3)
        assert torch.equal(logits(ours[0], **inputs), right)

    def test_what_is_no_multiple_of_the_patch_is_cut_off(self, stock, ours):
        model, _ = ours
        image = pixels(37, 28)
        inputs = {"input_ids": model._prompt(None, image)}
        cut = logits(stock, pixel_values=image[:, :, :28], **inputs)
        assert torch.equal(logits(stock, pixel_values=image, **inputs), cut)
        with pytest.raises(ValueError, match="37x28.*patch size 14"):
            model(pixel_values=image, **inputs)

    def test_a_bare_image_processor_is_384_pixels_wide(self, ours):
        model, _ = ours
        processor = Blip2IDCProcessor(BlipImageProcessorPil(), opt_tokenizer(), num_query_tokens=4)
        with pytest.raises(ValueError, match="384x384.*patch size 14.*image_processor.size"):
            model(**processor(images=random_pairs(1)))

    def test_a_rectangular_image_size_breaks_the_stock_model(self):
        config = tiny_config(opt_tokenizer(), cls=Blip2Config)
        config.vision_config.image_size = [56, 28]
        with pytest.raises(TypeError):
            Blip2ForConditionalGeneration(config)


class TestCheckpoints:
    """Sections 1 and 2: what is saved and loaded."""

    def test_half_precision_is_saved_as_float32(self, tiny_model_dir, tmp_path):
        """The Q-Former stays in float32; loading needs the dtype again, and then gives the same weights."""
        half = Blip2IDCForConditionalGeneration.from_pretrained(tiny_model_dir, dtype=torch.float16)
        assert {p.dtype for p in half.qformer.parameters()} == {torch.float32}
        assert {p.dtype for p in half.vision_model.parameters()} == {torch.float16}
        half.save_pretrained(tmp_path)
        assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float32"
        Blip2IDCProcessor.from_pretrained(tiny_model_dir).save_pretrained(tmp_path)
        model, _ = load_idc(tmp_path, dtype="float16")
        for name, p in half.named_parameters():
            assert model.get_parameter(name).dtype == p.dtype and torch.equal(model.get_parameter(name), p)

    def test_an_image_token_beyond_the_vocabulary(self, plain_dir, tmp_path):
        """The processor adds <image> to a tokenizer that lacks it; the embeddings of an older model do not have it."""
        for path in plain_dir.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        stock = Blip2ForConditionalGeneration.from_pretrained(plain_dir)
        stock.resize_token_embeddings(340, mean_resizing=False)
        stock.config.image_token_index = None
        stock.save_pretrained(tmp_path)
        model, processor = load_idc(tmp_path)
        reference, _ = load_idc(plain_dir)
        inputs = processor(images=random_pairs(2))
        expected = logits(reference, **inputs)[..., :340]
        assert torch.equal(logits(model, **inputs)[..., :340], expected)

    def test_stock_warns_about_a_model_type_that_it_can_read(self, plain_dir, tiny_model_dir, caplog):
        with caplog.at_level(logging.WARNING):
            Blip2ForConditionalGeneration.from_pretrained(tiny_model_dir)
        assert "blip2idc" in caplog.text
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            Blip2IDCForConditionalGeneration.from_pretrained(plain_dir)
        assert caplog.messages == []

    def test_the_saved_image_processor_is_of_either_backend(self, tiny_model_dir):
        saved = json.loads((tiny_model_dir / "processor_config.json").read_text())["image_processor"]
        assert saved["image_processor_type"] == "BlipImageProcessor"
        assert dict(Blip2Processor.from_pretrained(tiny_model_dir).image_processor.size) == {"height": 56, "width": 28}


class TestCode:
    """Section 2: what the processor's keywords and the files of the package must look like."""

    def test_options_are_flat_keywords(self, ours):
        _, processor = ours
        pair = random_pairs(1)
        with pytest.raises(TypeError, match="concat_axis"):
            processor(images=pair, images_kwargs={"concat_axis": "horizontal"})
        flat = processor(images=pair, concat_axis="horizontal")["pixel_values"]
        assert not torch.equal(flat, processor(images=pair)["pixel_values"])

    def test_nothing_deprecated_is_called(self, ours, tmp_path):
        model, processor = ours
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            warnings.simplefilter("error", FutureWarning)
            model(**processor(images=random_pairs(2), captions=CAPTIONS[:2])).loss.backward()
            model.generate(**processor(images=random_pairs(2)), max_new_tokens=2)
            for part in (model, processor):
                part.save_pretrained(tmp_path)
            load_idc(tmp_path)

    def test_no_future_annotations_in_the_processing_file(self):
        tree = ast.parse((PACKAGE / "processing_blip2idc.py").read_text(encoding="utf-8"))
        assert not [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]

    def test_no_file_asks_for_the_class_of_a_config(self):
        """From a local folder, AutoConfig and the model each import their own copy of the configuration file."""
        asked = []
        for path in PACKAGE.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "isinstance":
                    if "Config" in ast.unparse(node.args[1]):
                        asked.append(f"{path.name}:{node.lineno}")
        assert asked == []
