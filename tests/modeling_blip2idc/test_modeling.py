"""The models against the stock ones, and what they add: any canvas, generation settings, confidence."""

import logging

import pytest
import torch
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    GenerationConfig,
    OPTConfig,
)

from modeling_blip2idc import Blip2IDCConfig, Blip2IDCForConditionalGeneration
from tests.support.tiny_blip2 import (
    CAPTIONS,
    FAMILIES,
    bosless_tokenizer,
    logits,
    random_pairs,
    stock_of,
    tiny,
    tiny_config,
    tiny_instructblip,
    tiny_pair,
)  # fmt: skip


@pytest.fixture(params=FAMILIES)
def pair(request):
    """Model and processor."""
    return tiny(request.param)


def new_tokens(model, inputs, sequences):
    """Without the prompt, and without the token that T5's decoder starts with."""
    return sequences[:, 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1] :]


def canvas(height, width, count=2, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


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


@pytest.mark.parametrize("size", [(28, 28), (56, 28), (14, 28), (42, 70)])
def test_a_canvas_of_any_size_is_the_stock_model_with_interpolation(pair, size):
    """(14, 28) without the flag: stock BLIP-2 uses the first position embeddings, and says nothing."""
    model, processor = pair
    stock, flag = stock_of(model), {"interpolate_pos_encoding": True}
    inputs = processor(images=random_pairs(2), size=dict(zip(("height", "width"), size, strict=True)))
    assert torch.equal(logits(model, inputs), logits(stock, inputs, **flag))
    image = {name: inputs[name] for name in inputs if name == "pixel_values" or name.startswith("qformer")}
    with torch.no_grad():
        features = [each.get_image_features(**image, **extra) for each, extra in ((model, {}), (stock, flag))]
    assert torch.equal(*(each.pooler_output for each in features))
    assert torch.equal(model.generate(**inputs, max_new_tokens=5), stock.generate(**inputs, **flag, max_new_tokens=5))


class TestRefusals:
    @pytest.mark.parametrize("size", [(57, 28), (28, 13), (7, 7)])
    @pytest.mark.parametrize("method", ["__call__", "generate", "get_image_features"])
    def test_a_canvas_that_is_not_a_multiple_of_the_patch(self, tiny_model, size, method):
        with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}.*patch size 14"):
            getattr(tiny_model, method)(canvas(*size))

    @pytest.mark.parametrize("method", ["__call__", "generate", "get_image_features"])
    def test_no_interpolation_where_it_is_needed(self, tiny_model, method):
        with pytest.raises(ValueError, match="interpolate_pos_encoding=False.*14x28"):
            getattr(tiny_model, method)(canvas(14, 28), interpolate_pos_encoding=False)

    @pytest.mark.parametrize("count", [0, 3, 5])
    def test_a_wrong_number_of_image_tokens(self, pair, count):
        model, processor = pair
        inputs = processor(images=random_pairs(2))
        inputs["input_ids"][1] = processor.tokenizer.pad_token_id
        inputs["input_ids"][1, :count] = processor.image_token_id
        for call in (model, model.generate):
            with pytest.raises(ValueError, match=f"Row 1 of input_ids has {count} image tokens.*num_query_tokens=4"):
                call(**inputs)

    def test_a_config_without_the_image_token(self, tiny_model):
        tiny_model.config.image_token_index = None
        for call in (tiny_model, tiny_model.generate):
            with pytest.raises(ValueError, match="image_token_index is None"):
                call(pixel_values=canvas(28, 28))

    @pytest.mark.parametrize("missing", ["input_ids", "qformer_input_ids"])
    def test_instructblip_without_an_instruction(self, missing):
        model, processor = tiny_instructblip()
        inputs = processor(images=random_pairs(1))
        del inputs[missing], inputs["attention_mask"]
        for call in (model, model.generate):
            with pytest.raises((ValueError, TypeError), match=missing):
                call(**inputs)


@pytest.mark.parametrize("t5", [False, True])
def test_generate_from_pixels_alone(t5):
    model, processor = tiny_pair(t5=t5)
    inputs = processor(images=random_pairs(3))
    assert torch.equal(model.generate(inputs["pixel_values"]), model.generate(**inputs))


def test_generate_from_pixels_alone_without_bos():
    tokenizer = bosless_tokenizer()
    tokenizer.add_tokens("<image>", special_tokens=True)
    config = tiny_config(tokenizer)
    config.text_config.bos_token_id = None
    model, pixels = Blip2IDCForConditionalGeneration(config).eval(), canvas(28, 28)
    ids = torch.full((2, 4), config.image_token_index)
    assert torch.equal(model.generate(pixels, max_new_tokens=3), model.generate(pixels, ids, max_new_tokens=3))


def test_a_row_does_not_depend_on_its_batch(pair):
    """Neither on the pairs nor on the prompts beside it."""
    model, processor = pair
    pairs = random_pairs(12)
    prompts = ["", "what has moved in the picture?", "the", "what changed?"] * 3
    inputs = processor(images=pairs, text=prompts)
    many = processor.post_process_captions(new_tokens(model, inputs, model.generate(**inputs, max_new_tokens=8)))
    assert len({*many}) > 1
    training = processor(images=pairs, text=prompts, captions=(CAPTIONS * 3))
    together = logits(model, training)
    for i, prompt in enumerate(prompts):
        inputs = processor(images=pairs[i], text=prompt)
        ids = new_tokens(model, inputs, model.generate(**inputs, max_new_tokens=8))
        assert processor.post_process_captions(ids) == [many[i]]
        alone = logits(model, processor(images=pairs[i], text=prompt, captions=CAPTIONS[i % 4]))[0]
        torch.testing.assert_close(together[i, : len(alone)], alone, rtol=1e-4, atol=1e-4)


class TestGenerationSettings:
    def length(self, model, inputs, **kwargs):
        return new_tokens(model, inputs, model.generate(**inputs, **kwargs)).shape[1]

    def never(self, processor):
        """Options with which a caption does not end."""
        return {"eos_token_id": processor.image_token_id, "suppress_tokens": [processor.image_token_id]}

    def test_top_level_config_then_given_config_then_arguments(self, pair, caplog):
        model, processor = pair
        inputs, never = processor(images=random_pairs(2)), self.never(processor)
        prompt = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        assert self.length(model, inputs, **never) == 77  # the stock model stops after 20
        model.generation_config.max_new_tokens = 3
        assert self.length(model, inputs, **never) == 3
        four = GenerationConfig(max_new_tokens=4)
        with caplog.at_level(logging.WARNING):
            assert self.length(model, inputs, generation_config=four, **never) == 4
            assert self.length(model, inputs, generation_config=GenerationConfig(num_beams=2), **never) == 3
            assert self.length(model, inputs, generation_config=four, max_new_tokens=6, **never) == 6
            assert self.length(model, inputs, max_length=prompt + 5, **never) == 5
            nine = GenerationConfig(max_length=prompt + 9)
            assert self.length(model, inputs, generation_config=nine, **never) == 9
        assert caplog.messages == []
        assert self.length(model, inputs, **never) == 3  # nothing of it stuck

    @pytest.mark.parametrize("make, words", [(tiny_pair, 50), (tiny_instructblip, 100)])
    def test_a_decoder_does_not_run_out_of_positions(self, make, words):
        model, processor = make()
        inputs = processor(images=random_pairs(1), text=" ".join(["the"] * words))
        assert 128 > inputs["input_ids"].shape[1] > 100
        assert model.generate(**inputs, **self.never(processor)).shape[1] == 128


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
        inputs = processor(images=random_pairs(6))
        greedy = model.generate(**inputs, max_new_tokens=8, eos_token_id=None)
        stops = [int(greedy[0, -3])] if stop else [processor.stop_token_id]
        # a second pass cannot read back an <image> token that a random model may sample
        options |= {"suppress_tokens": [processor.image_token_id], "max_new_tokens": 8, "eos_token_id": stops}
        torch.manual_seed(0)
        output = model.generate(**inputs, **options, return_dict_in_generate=True, output_logits=True)
        confidence = model.sequence_confidence(output)
        each = options.get("num_return_sequences", 1)
        assert confidence.shape == (6 * each,) and confidence.dtype == torch.float32
        assert torch.equal(confidence, model.sequence_confidence(output, eos_token_id=stops))
        for row, new in enumerate(new_tokens(model, inputs, output.sequences).tolist()):
            length = next((i + 1 for i, token in enumerate(new) if token in stops), len(new))
            new = torch.tensor([new[:length]])
            one = {name: tensor[row // each, None] for name, tensor in inputs.items()}
            if model.config.is_encoder_decoder:
                second = logits(model, {**one, "labels": new})
            else:
                prompt = one["input_ids"].shape[1]
                one["input_ids"] = torch.cat([one["input_ids"], new], dim=1)
                one["attention_mask"] = torch.ones_like(one["input_ids"])
                second = logits(model, one)[:, prompt - 1 : -1]
            expected = second.log_softmax(-1).gather(2, new[..., None]).mean().exp()
            torch.testing.assert_close(confidence[row], expected, rtol=1e-4, atol=1e-6)

    def test_without_logits_it_says_what_to_do(self, tiny_model):
        output = tiny_model.generate(canvas(28, 28), return_dict_in_generate=True, max_new_tokens=2)
        with pytest.raises(ValueError, match="output_logits=True"):
            tiny_model.sequence_confidence(output)

    @pytest.mark.parametrize("options", [{}, {"num_beams": 2}])
    @pytest.mark.parametrize(("dtype", "value"), [(torch.float16, 3e4), (torch.float32, float("nan"))])
    def test_logits_that_are_not_finite_are_an_error(self, pair, dtype, value, options):
        """float16 overflows, as Flan-T5 and OPT are known for: without this, '' with a confidence of NaN."""
        model, processor = pair
        with torch.no_grad():
            model.language_projection.weight.mul_(value)
        model.to(dtype)
        inputs = processor(images=random_pairs(1)).to(dtype)
        options = {**options, "max_new_tokens": 3, "return_dict_in_generate": True, "output_logits": True}
        output = model.generate(**inputs, **options)
        if all(step.isfinite().all() for step in output.logits):
            pytest.skip("this family holds 3e4 in float16")
        with pytest.raises(FloatingPointError, match=f"in {dtype}, are not finite.*bfloat16.*float32"):
            model.sequence_confidence(output)


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
        for images, captions in ((pairs, CAPTIONS[:2]), (pairs[::-1], CAPTIONS[1::-1])):
            inputs = processor(images=images)
            ids = new_tokens(model, inputs, model.generate(**inputs))
            assert processor.post_process_captions(ids) == captions
            assert ((ids == processor.stop_token_id).sum(1) == 1).all()

    def test_activation_checkpointing_gives_the_same_gradients(self, pair):
        model, processor = pair
        batch = processor(images=random_pairs(2), captions=CAPTIONS[:2])
        model.train()
        gradients = []
        for checkpointing in (False, True):
            if checkpointing:  # its older name is deprecated
                getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
            model.zero_grad()
            model(**batch).loss.backward()
            gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys() == dict(model.named_parameters()).keys()
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-5)
