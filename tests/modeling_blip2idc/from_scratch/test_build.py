"""A small BLIP-2 built and initialised to be trained from nothing."""

import pytest
import torch
from PIL import Image

from modeling_blip2idc.from_scratch.build import (
    SPECIAL_TOKENS,
    add_auxiliary,
    build_from_scratch,
    remove_auxiliary,
    word_tokenizer,
)

WORDS = "the small red cube moved nothing changed".split()
SMALL = {"canvas_size": 32, "patch_size": 8, "width": 32, "heads": 2}
SMALL |= {"vision_layers": 2, "qformer_layers": 2, "text_layers": 1, "num_query_tokens": 4}


@pytest.fixture(scope="module")
def built():
    return build_from_scratch(WORDS, **SMALL)


def fan_in(parameter):
    return parameter[0].numel()


class TestTokenizer:
    def test_words_are_tokens(self):
        tokenizer = word_tokenizer(WORDS)
        assert len(tokenizer) == len(SPECIAL_TOKENS) + len(set(WORDS))
        ids = tokenizer("the small red cube moved")["input_ids"]
        assert len(ids) == 5 and tokenizer.decode(ids) == "the small red cube moved"

    def test_numbers_are_those_of_opt(self):
        tokenizer = word_tokenizer(WORDS)
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 2, 1)
        assert tokenizer.convert_ids_to_tokens(range(4)) == ["<s>", "<pad>", "</s>", "<unk>"]
        assert tokenizer("dog")["input_ids"] == [tokenizer.unk_token_id] == [3]
        assert tokenizer.convert_tokens_to_ids("\n") == 4


class TestBuild:
    def test_captions_round_trip(self, built):
        _, processor = built
        image = Image.new("RGB", (20, 10))
        batch = processor(images=[(image, image)], captions=["the small red cube moved"])
        new = batch["labels"][:, batch["labels"][0] != -100]
        assert new[0, -1] == processor.stop_token_id == processor.tokenizer.convert_tokens_to_ids("\n")
        assert processor.post_process_captions(new) == ["the small red cube moved"]
        assert batch["pixel_values"].shape == (1, 3, 32, 32)

    def test_it_runs_and_stops(self, built):
        model, processor = built
        image = Image.new("RGB", (20, 10), "red")
        inputs = processor(images=[(image, image)] * 2)
        output = model.eval().generate(**inputs)
        assert output.shape[1] <= inputs["input_ids"].shape[1] + 32
        assert model.generation_config.eos_token_id == processor.stop_token_id
        loss = model(**processor(images=[(image, image)], captions=["nothing changed"])).loss
        assert 1 < loss.item() < 20

    def test_every_parameter_learns(self, built):
        model, processor = built
        images = [Image.effect_noise((20, 10), 90) for _ in range(4)]
        batch = processor(images=[images[:2], images[2:]], captions=["nothing changed", "the cube moved"])
        model.train().zero_grad()
        model(**batch).loss.backward()
        still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
        # keys have no gradient at a bias (softmax), positions beyond the text's length are not read
        assert [name for name in still if "bias" not in name] == []
        model.zero_grad()

    def test_the_default_geometry(self):
        model, processor = build_from_scratch(WORDS)
        assert 1.5e6 < model.num_parameters() < 2.5e6
        assert dict(processor.image_processor.size) == {"height": 128, "width": 128}
        assert model.config.vision_config.num_hidden_layers == 4 and model.config.num_query_tokens == 8

    def test_unknown_geometry(self):
        with pytest.raises(ValueError, match="unknown geometry depth, patches; known are patch_size, width"):
            build_from_scratch(WORDS, patches=3, depth=2)

    def test_a_canvas_that_cannot_be_halved(self):
        with pytest.raises(ValueError, match="must be even to hold two halves, got 3"):
            build_from_scratch(WORDS, **{**SMALL, "canvas_size": 24})


class TestInitialisation:
    def test_a_function_of_the_seed_alone(self, built):
        torch.manual_seed(5)
        again = build_from_scratch(WORDS, **SMALL)[0].state_dict()
        other = build_from_scratch(WORDS, seed=1, **SMALL)[0].state_dict()
        assert all(torch.equal(again[name], tensor) for name, tensor in built[0].state_dict().items())
        assert not torch.equal(other["query_tokens"], again["query_tokens"])

    def test_scale_of_the_matrices(self):
        model, _ = build_from_scratch(WORDS, **{**SMALL, "width": 128})
        deviation = {n: p.std().item() * fan_in(p) ** 0.5 for n, p in model.named_parameters() if p.ndim == 2}
        expected = {
            "vision_model.encoder.layers.0.self_attn.qkv.weight": 1,
            "vision_model.encoder.layers.0.self_attn.projection.weight": 0.6,
            "vision_model.encoder.layers.0.mlp.fc1.weight": 1,
            "vision_model.encoder.layers.0.mlp.fc2.weight": 0.6,
            "qformer.encoder.layer.0.crossattention.output.dense.weight": 0.6,
            "qformer.encoder.layer.0.output_query.dense.weight": 0.6,
            "language_model.model.decoder.layers.0.self_attn.out_proj.weight": 0.6,
            "language_model.model.decoder.layers.0.fc1.weight": 1,
        }
        for name, scale in expected.items():
            assert deviation[name] == pytest.approx(scale, rel=0.05), name

    def test_a_patch_attends_to_its_twin(self, built):
        for layer in built[0].vision_model.encoder.layers:
            query, key, value = layer.self_attn.qkv.weight.chunk(3)
            assert torch.equal(query, key) and not torch.equal(query, value)

    def test_queries_differ(self, built):
        queries = built[0].query_tokens[0]
        assert queries.std().item() == pytest.approx(0.5, rel=0.3)
        assert torch.pdist(queries).min() > 1

    @pytest.mark.parametrize("axis", ["vertical", "horizontal"])
    def test_the_halves_share_their_positions(self, axis):
        model, processor = build_from_scratch(WORDS, concat_axis=axis, **SMALL)
        assert processor.concat_axis == axis
        positions = model.vision_model.embeddings.position_embedding[0]
        assert not positions[0].any()  # the class token's
        grid = positions[1:].view(4, 4, -1)
        first, second = (grid[:2], grid[2:]) if axis == "vertical" else (grid[:, :2], grid[:, 2:])
        between = (second - first).flatten(0, 1)
        assert torch.allclose(between, between[:1].expand_as(between), atol=1e-6)
        assert between[0].abs().sum() > 1
        within = first.flatten(0, 1)
        assert torch.pdist(within).min() > 0.1


def test_auxiliary_heads_come_and_go():
    model, _ = build_from_scratch(WORDS, **SMALL)
    plain = set(model.state_dict())
    assert add_auxiliary(model, {"present": 2}, {"category": 3}, {"present": [0.5, 1.0]}) is model
    assert set(model.state_dict()) - plain == {
        *(f"auxiliary.{head}_head.{part}" for head in ("patch", "pair") for part in ("weight", "bias")),
        "auxiliary.weight_present",
    }
    assert model.auxiliary.pair_head.in_features == 4 * 32
    assert set(remove_auxiliary(model).state_dict()) == plain
