"""The model against stock BLIP-2, and what it adds: any canvas, generation settings, confidence."""

import logging

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    Blip2Config,
    Blip2ForConditionalGeneration,
    GenerationConfig,
    OPTConfig,
)

from modeling_blip2idc import Blip2IDCConfig, Blip2IDCForConditionalGeneration
from tests.support.tiny_blip2 import CAPTIONS, random_pairs, tiny_pair


@pytest.fixture(params=["opt", "t5"])
def pair(request):
    model, processor = tiny_pair(t5=request.param == "t5")
    return model, processor


def new_tokens(model, inputs, sequences):
    return sequences if model.config.is_encoder_decoder else sequences[:, inputs["input_ids"].shape[1] :]


def canvas(height, width, count=2, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def stock_of(model):
    """The stock model with the same weights."""
    config = model.config.to_dict()
    parts = {key: config[key] for key in ("vision_config", "qformer_config", "text_config")}
    stock = Blip2ForConditionalGeneration(
        Blip2Config(**parts, num_query_tokens=4, image_token_index=config["image_token_index"])
    ).eval()
    stock.load_state_dict(model.state_dict())
    return stock


def test_the_real_geometry_has_3744761856_parameters():
    text = OPTConfig(
        vocab_size=50304, hidden_size=2560, num_hidden_layers=32, ffn_dim=10240, num_attention_heads=32,
        word_embed_proj_dim=2560, max_position_embeddings=2048,
    )  # fmt: skip
    with torch.device("meta"):
        model = Blip2IDCForConditionalGeneration(Blip2IDCConfig(text_config=text.to_dict(), image_token_index=50265))
        stock = Blip2ForConditionalGeneration(Blip2Config(text_config=text.to_dict()))
    assert sum(p.numel() for p in model.parameters()) == 3_744_761_856
    assert [*model.state_dict()] == [*stock.state_dict()]


@pytest.mark.parametrize("size", [(28, 28), (56, 28), (28, 56), (14, 28), (14, 14), (42, 70)])
def test_a_canvas_of_any_size_is_stock_blip2_with_interpolation(tiny_model, size):
    """(14, 28) without the flag: stock BLIP-2 uses the first position embeddings, and says nothing."""
    stock = stock_of(tiny_model)
    pixels = canvas(*size)
    ids = tiny_model._prompt(None, pixels)
    with torch.no_grad():
        ours = tiny_model(pixel_values=pixels, input_ids=ids).logits
        theirs = stock(pixel_values=pixels, input_ids=ids, interpolate_pos_encoding=True).logits
        features = tiny_model.get_image_features(pixels).pooler_output
        expected = stock.get_image_features(pixels, interpolate_pos_encoding=True).pooler_output
    assert torch.equal(ours, theirs) and torch.equal(features, expected)
    theirs = stock.generate(pixels, interpolate_pos_encoding=True, max_new_tokens=5)
    assert torch.equal(tiny_model.generate(pixels, max_new_tokens=5), theirs)


@pytest.mark.parametrize("size", [(57, 28), (28, 13), (7, 7)])
@pytest.mark.parametrize("method", ["__call__", "generate", "get_image_features"])
def test_a_canvas_that_is_no_multiple_of_the_patch_is_refused(tiny_model, size, method):
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}.*patch size 14"):
        getattr(tiny_model, method)(canvas(*size))


@pytest.mark.parametrize("method", ["__call__", "generate", "get_image_features"])
def test_no_interpolation_where_it_is_needed_is_refused(tiny_model, method):
    with pytest.raises(ValueError, match="interpolate_pos_encoding=False.*14x28"):
        getattr(tiny_model, method)(canvas(14, 28), interpolate_pos_encoding=False)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_a_wrong_number_of_image_tokens_is_refused(pair, count):
    model, processor = pair
    inputs = processor(images=random_pairs(2))
    ids = inputs["input_ids"].clone()
    ids[1, :] = processor.tokenizer.pad_token_id
    ids[1, :count] = processor.image_token_id
    for call in (model, model.generate):
        with pytest.raises(ValueError, match=f"Row 1 of input_ids has {count} image tokens.*num_query_tokens=4"):
            call(pixel_values=inputs["pixel_values"], input_ids=ids)


def test_a_config_without_the_image_token_is_refused(tiny_model):
    tiny_model.config.image_token_index = None
    for call in (tiny_model, tiny_model.generate):
        with pytest.raises(ValueError, match="image_token_index is None"):
            call(pixel_values=canvas(28, 28))


def test_generate_from_pixels_alone(pair):
    model, processor = pair
    inputs = processor(images=random_pairs(3))
    assert torch.equal(model.generate(inputs["pixel_values"]), model.generate(**inputs))


def test_a_caption_does_not_depend_on_its_batch(pair):
    model, processor = pair
    inputs = processor(images=random_pairs(32))
    many = model.generate(**inputs, max_new_tokens=8)
    rows = [model.generate(inputs["pixel_values"][i : i + 1], max_new_tokens=8)[0] for i in range(32)]
    assert torch.equal(many, torch.stack(rows))
    assert len(many.unique(dim=0)) > 2


def test_training_inputs_are_refused_by_generate(pair):
    """Their input_ids hold the caption, which generate would then repeat."""
    model, processor = pair
    with pytest.raises(ValueError, match="labels.*without captions"):
        model.generate(**processor(images=random_pairs(1), captions=CAPTIONS[0]))


class TestGenerationSettings:
    def length(self, model, **kwargs):
        sequences = model.generate(canvas(28, 28), **kwargs)
        return sequences.shape[1] - (1 if model.config.is_encoder_decoder else 5)

    def test_top_level_config_then_given_config_then_arguments(self, pair):
        model, _ = pair
        never = {"eos_token_id": None}
        model.generation_config.max_new_tokens = 3
        assert self.length(model) == 3
        assert self.length(model, generation_config=GenerationConfig(max_new_tokens=4)) == 4
        assert self.length(model, generation_config=GenerationConfig(num_beams=2)) == 3
        assert self.length(model, max_new_tokens=6, **never) == 6
        assert self.length(model, generation_config=GenerationConfig(max_new_tokens=4), max_new_tokens=6) == 6
        assert self.length(model) == 3  # nothing of it stuck

    def test_arguments_beside_a_config_do_not_warn(self, tiny_model, caplog):
        with caplog.at_level(logging.WARNING):
            self.length(tiny_model, generation_config=GenerationConfig(max_new_tokens=4), num_beams=2)
            self.length(tiny_model, max_length=9)
        assert caplog.messages == []

    def test_max_length_replaces_max_new_tokens(self, tiny_model):
        tiny_model.generation_config.max_new_tokens = 3
        assert self.length(tiny_model, max_length=9) == 4
        assert self.length(tiny_model, generation_config=GenerationConfig(max_length=9)) == 4

    def test_it_is_saved_with_the_model(self, tiny_model, tmp_path):
        tiny_model.generation_config.max_new_tokens = 2
        tiny_model.save_pretrained(tmp_path)
        assert self.length(Blip2IDCForConditionalGeneration.from_pretrained(tmp_path)) == 2

    def test_the_default_limit_is_77_or_what_the_positions_allow(self, tiny_model):
        ids = tiny_model._prompt(None, canvas(28, 28))
        assert self.length(tiny_model, eos_token_id=None) in range(1, 78)
        long = torch.cat([ids, ids.new_full((2, 100), 300)], dim=1)  # of 128 positions, 23 are left
        assert tiny_model.generate(canvas(28, 28), input_ids=long, eos_token_id=None).shape[1] <= 128

    def test_stops_at_the_line_break(self, tiny_model, tiny_processor):
        assert tiny_model.generation_config.eos_token_id == tiny_processor.stop_token_id


class TestSequenceConfidence:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"do_sample": True, "num_return_sequences": 3, "temperature": 2.0, "top_k": 0},
            {"num_beams": 3},
            {"num_beams": 4, "num_return_sequences": 2, "length_penalty": -3.0},
        ],
        ids=["greedy", "sampling", "beams", "short beams"],
    )
    @pytest.mark.parametrize("stop", [False, True])
    def test_is_that_of_a_second_pass(self, pair, options, stop):
        model, processor = pair
        pixels = processor(images=random_pairs(6))["pixel_values"]
        greedy = model.generate(pixels, max_new_tokens=8, eos_token_id=None)
        # a second pass cannot read back an <image> token that a random model may sample
        options = {**options, "suppress_tokens": [processor.image_token_id]}
        stops = [int(greedy[0, -3])] if stop else [processor.stop_token_id]
        torch.manual_seed(0)
        output = model.generate(
            pixels, max_new_tokens=8, eos_token_id=stops, return_dict_in_generate=True, output_logits=True, **options
        )
        confidence = model.sequence_confidence(output)
        each = options.get("num_return_sequences", 1)
        assert confidence.shape == (6 * each,) and confidence.dtype == torch.float32
        assert torch.equal(confidence, model.sequence_confidence(output, eos_token_id=stops))
        prompt = 1 if model.config.is_encoder_decoder else 5
        ended = 0
        for row, sequence in enumerate(output.sequences):
            new = sequence[prompt:].tolist()
            length = next((i + 1 for i, token in enumerate(new) if token in stops), len(new))
            ended += length < len(new)
            new = torch.tensor([new[:length]])
            one = pixels[row // each, None]
            with torch.no_grad():
                if model.config.is_encoder_decoder:
                    logits = model(pixel_values=one, labels=new).logits
                else:
                    ids = torch.cat([sequence[None, :prompt], new], dim=1)
                    logits = model(pixel_values=one, input_ids=ids).logits[:, prompt - 1 : -1]
            expected = logits.log_softmax(-1).gather(2, new[..., None]).mean().exp()
            torch.testing.assert_close(confidence[row], expected, rtol=1e-4, atol=1e-6)
        assert ended or not stop or "num_beams" in options

    def test_without_logits_it_says_what_to_do(self, tiny_model):
        output = tiny_model.generate(canvas(28, 28), return_dict_in_generate=True, max_new_tokens=2)
        with pytest.raises(ValueError, match="output_logits=True"):
            tiny_model.sequence_confidence(output)


class TestCheckpoints:
    def test_a_plain_blip2_loads_without_a_warning(self, plain_dir, caplog):
        with caplog.at_level(logging.WARNING):
            model = Blip2IDCForConditionalGeneration.from_pretrained(plain_dir).eval()
        assert caplog.messages == []
        stock = Blip2ForConditionalGeneration.from_pretrained(plain_dir).eval()
        pixels = canvas(28, 28)
        ids = model._prompt(None, pixels)
        with torch.no_grad():
            assert torch.equal(model(pixels, ids).logits, stock(pixels, ids).logits)

    def test_plain_blip2_loads_ours(self, pair, tmp_path):
        model, _ = pair
        model.save_pretrained(tmp_path)
        stock = Blip2ForConditionalGeneration.from_pretrained(tmp_path).eval()
        ours = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
        assert type(ours) is Blip2IDCForConditionalGeneration
        pixels = canvas(28, 28)
        ids = model._prompt(None, pixels)
        options = {"decoder_input_ids": ids[:, :2]} if model.config.is_encoder_decoder else {}
        with torch.no_grad():
            expected = model(pixels, ids, **options).logits
            assert torch.equal(stock(pixels, ids, **options).logits, expected)
            assert torch.equal(ours(pixels, ids, **options).logits, expected)

    def test_bfloat16_comes_back_as_bfloat16(self, tiny_model, tmp_path):
        tiny_model.to(torch.bfloat16).save_pretrained(tmp_path)
        model = Blip2IDCForConditionalGeneration.from_pretrained(tmp_path).eval()
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
        assert torch.equal(model.generate(canvas(56, 28)), tiny_model.generate(canvas(56, 28)))


class TestTraining:
    def test_two_pairs_are_learned_word_for_word(self, pair):
        """The whole loop: processor's labels, loss, gradients, generation, stop token, decoding."""
        model, processor = pair
        pairs = random_pairs(2)
        batch = processor(images=pairs, captions=CAPTIONS[:2])
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        model.train()
        for _ in range(80):
            optimizer.zero_grad()
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.1
        model.eval()
        inputs = processor(images=pairs)
        ids = new_tokens(model, inputs, model.generate(**inputs))
        assert processor.post_process_captions(ids) == CAPTIONS[:2]
        assert ((ids == processor.stop_token_id).sum(1) == 1).all()

    def test_activation_checkpointing_gives_the_same_gradients(self, pair):
        model, processor = pair
        batch = processor(images=random_pairs(2), captions=CAPTIONS[:2])
        model.train()
        gradients = []
        for checkpointing in (False, True):
            if checkpointing:
                # its older name is deprecated
                getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
            model.zero_grad()
            model(**batch).loss.backward()
            gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        assert len(gradients[0]) == len(list(model.parameters()))
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-5)

    def test_sdpa_equals_eager(self, tiny_model_dir):
        pixels = canvas(56, 28)
        logits = []
        for implementation in ("sdpa", "eager"):
            model = Blip2IDCForConditionalGeneration.from_pretrained(
                tiny_model_dir, attn_implementation=implementation
            )
            with torch.no_grad():
                logits.append(model.eval()(pixels).logits)
        torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)
