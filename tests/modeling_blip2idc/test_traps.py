"""
Where stock transformers goes wrong without a word, and this package does not. When the half about the stock class
fails after an upgrade, a precaution of ours can go.
"""

import json
import warnings

import pytest
import torch
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
)

from modeling_blip2idc import (
    Blip2IDCConfig,
    Blip2IDCForConditionalGeneration,
    Blip2IDCProcessor,
    load_idc,
    make_canvas,
)
from tests.support.tiny_blip2 import CAPTIONS, opt_tokenizer, random_pairs, tiny_config, tiny_pair


@pytest.fixture
def stock():
    """Stock model with a canvas of 28x28, for which no interpolation is needed."""
    return tiny_pair(Blip2ForConditionalGeneration, height=28)[0]


@pytest.fixture
def ours():
    return tiny_pair(height=28)


@torch.no_grad()
def logits(model, **inputs):
    return model(**inputs).logits


class TestImageTokens:
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


class TestGenerate:
    def test_a_caption_in_input_ids_leaks_into_the_prediction(self, stock, ours):
        model, processor = ours
        inputs = processor(images=random_pairs(1), captions=CAPTIONS[0])
        leaked = stock.generate(inputs["pixel_values"], input_ids=inputs["input_ids"], max_new_tokens=1)
        assert CAPTIONS[0] in processor.tokenizer.decode(leaked[0])
        with pytest.raises(ValueError, match="hold the caption"):
            model.generate(**inputs)


class TestCanvasSize:
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
        with pytest.raises(ValueError, match="image_size.*one integer"):
            Blip2IDCConfig(vision_config=config.vision_config.to_dict())


class TestCheckpoints:
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


def test_nothing_deprecated_is_called(ours, tmp_path):
    model, processor = ours
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        warnings.simplefilter("error", FutureWarning)
        model(**processor(images=random_pairs(2), captions=CAPTIONS[:2])).loss.backward()
        model.generate(**processor(images=random_pairs(2)), max_new_tokens=2)
        for part in (model, processor):
            part.save_pretrained(tmp_path)
        load_idc(tmp_path)
