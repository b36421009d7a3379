"""InstructBLIP: its processor and model against the stock ones, what they add, and that they learn from the images."""

import numpy as np
import pytest
import torch
from tokenizers import normalizers, pre_tokenizers
from transformers import (
    GenerationConfig,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
)

from modeling_blip2idc import make_canvas
from tests.support.tiny_blip2 import CAPTIONS, INSTRUCTION, QUERIES, random_pairs, tiny_instructblip


@pytest.fixture(params=["llama", "t5"])
def pair(request):
    return tiny_instructblip(t5=request.param == "t5")


@pytest.fixture
def llama():
    return tiny_instructblip()


def new_tokens(model, inputs, sequences):
    return sequences if model.config.is_encoder_decoder else sequences[:, inputs["input_ids"].shape[1] :]


def stock_processor(ours):
    return InstructBlipProcessor(
        ours.image_processor, ours.tokenizer, ours.qformer_tokenizer, num_query_tokens=ours.num_query_tokens
    )


def stock_model(ours):
    """The stock model with the same weights."""
    config = ours.config.to_dict()
    names = ("vision_config", "qformer_config", "text_config", "num_query_tokens", "image_token_index")
    stock = InstructBlipForConditionalGeneration(InstructBlipConfig(**{name: config[name] for name in names})).eval()
    stock.load_state_dict(ours.state_dict())
    return stock


def never(processor):
    """Options of generate with which a caption does not end."""
    return {"eos_token_id": processor.image_token_id, "suppress_tokens": [processor.image_token_id]}


def ids_of(processor, text):
    return processor.tokenizer(text, add_special_tokens=False)["input_ids"]


class TestProcessor:
    @pytest.mark.parametrize("prompt", [None, "the change:", ""])
    def test_inputs_of_generate_are_those_of_the_stock_processor(self, pair, prompt):
        _, processor = pair
        pairs = random_pairs(3)
        canvases = [make_canvas(*images, {"height": 56, "width": 28})[0] for images in pairs]
        text = [INSTRUCTION if prompt is None else prompt] * 3
        ours, theirs = processor(images=pairs, text=prompt), stock_processor(processor)(canvases, text)
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert np.array_equal(ours[name], theirs[name]), name

    def test_llama_learns_the_caption_and_one_stop_token(self, llama):
        _, processor = llama
        assert processor.stop_token_id == processor.tokenizer.eos_token_id == 2
        texts = [CAPTIONS[0], CAPTIONS[3]]
        batch = processor(images=random_pairs(2), captions=texts)
        prefix = [processor.image_token_id] * QUERIES + [2] + ids_of(processor, INSTRUCTION)
        targets = [ids_of(processor, text) + [2] for text in texts]
        pads = len(targets[0]) - len(targets[1])
        assert pads > 0
        assert batch["input_ids"].tolist() == [
            prefix + targets[0],
            prefix + targets[1] + [processor.tokenizer.pad_token_id] * pads,
        ]
        assert batch["labels"].tolist() == [
            [-100] * len(prefix) + targets[0],
            [-100] * len(prefix) + targets[1] + [-100] * pads,
        ]
        assert batch["attention_mask"].sum(1).tolist() == [len(prefix) + len(target) for target in targets]
        assert batch["qformer_input_ids"].tolist() == [processor.qformer_tokenizer(INSTRUCTION)["input_ids"]] * 2
        assert batch["qformer_attention_mask"].all()
        whole = ids_of(processor, f"{INSTRUCTION} {texts[0]}</s>")
        assert batch["input_ids"][0].tolist() == prefix[: QUERIES + 1] + whole

    def test_a_caption_has_one_space_before_it(self, llama):
        """As older files of LLaMA's tokenizer do it: a space is put before any text, also before a space."""
        _, processor = llama
        backend = processor.tokenizer.backend_tokenizer
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        backend.pre_tokenizer = pre_tokenizers.Sequence([])
        assert len(ids_of(processor, " the")) == len(ids_of(processor, "the")) + 1
        batch = processor(images=random_pairs(1), captions=CAPTIONS[0])
        learned = batch["labels"][0][batch["labels"][0] != -100].tolist()
        assert learned == ids_of(processor, CAPTIONS[0]) + [processor.stop_token_id]

    def test_t5_reads_the_instruction_and_learns_the_caption(self):
        _, processor = tiny_instructblip(t5=True)
        batch = processor(images=random_pairs(2), captions=CAPTIONS[:2])
        image = [processor.image_token_id] * QUERIES
        assert batch["input_ids"].tolist() == [image + processor.tokenizer(INSTRUCTION)["input_ids"]] * 2
        labels = processor.tokenizer(CAPTIONS[:2], padding=True, return_tensors="pt")
        expected = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
        assert torch.equal(batch["labels"], expected)
        assert ((batch["labels"] == processor.stop_token_id).sum(1) == 1).all()

    def test_max_length_counts_the_instruction(self, llama):
        _, processor = llama
        taken = QUERIES + 1 + len(ids_of(processor, INSTRUCTION)) + 1
        batch = processor(images=random_pairs(1), captions=CAPTIONS[0], max_length=taken + 2)
        assert batch["labels"][0, taken - 1 :].tolist() == ids_of(processor, CAPTIONS[0])[:2] + [2]
        with pytest.raises(ValueError, match=f"max_length={taken} leaves no room.*takes {taken}"):
            processor(images=random_pairs(1), captions=CAPTIONS[0], max_length=taken)

    def test_its_instruction_is_saved(self, pair, tmp_path):
        _, processor = pair
        assert processor.prompt == INSTRUCTION
        processor.prompt, processor.concat_axis = "the change:", "horizontal"
        processor.save_pretrained(tmp_path)
        again = type(processor).from_pretrained(tmp_path)
        expected = processor(images=random_pairs(2), captions=CAPTIONS[:2])
        for name, tensor in again(images=random_pairs(2), captions=CAPTIONS[:2]).items():
            assert torch.equal(tensor, expected[name]), name
        assert type(processor).from_pretrained(tmp_path, prompt="now").prompt == "now"


class TestModel:
    @pytest.mark.parametrize("size", [(28, 28), (56, 28), (14, 28), (42, 70)])
    def test_a_canvas_of_any_size_is_the_stock_model_with_interpolation(self, pair, size):
        model, processor = pair
        stock = stock_model(model)
        inputs = processor(images=random_pairs(2), size=dict(zip(("height", "width"), size, strict=True)))
        options = {"decoder_input_ids": torch.tensor([[0, 5, 6]] * 2)} if model.config.is_encoder_decoder else {}
        qformer = {name: inputs[name] for name in inputs if name.startswith("qformer")}
        flag = {"interpolate_pos_encoding": True}
        with torch.no_grad():
            assert torch.equal(model(**inputs, **options).logits, stock(**inputs, **options, **flag).logits)
            features = model.get_image_features(inputs["pixel_values"], **qformer).pooler_output
            expected = stock.get_image_features(inputs["pixel_values"], **qformer, **flag).pooler_output
        assert torch.equal(features, expected)
        sequences = stock.generate(**inputs, **flag, max_new_tokens=5)
        assert torch.equal(model.generate(**inputs, max_new_tokens=5), sequences)

    def test_the_qformer_reads_the_instruction(self, pair):
        model, processor = pair
        inputs, other = (processor(images=random_pairs(1), text=text) for text in (INSTRUCTION, "the two images"))
        mixed = {**inputs, **{name: other[name] for name in other if name.startswith("qformer")}}
        options = {"decoder_input_ids": torch.tensor([[0]])} if model.config.is_encoder_decoder else {}
        with torch.no_grad():
            first, second = (model(**some, **options).logits for some in (inputs, mixed))
        assert (first - second).abs().max() > 0.1

    @pytest.mark.parametrize("size", [(57, 28), (28, 13)])
    def test_a_canvas_that_is_no_multiple_of_the_patch_is_refused(self, pair, size):
        model, processor = pair
        inputs = processor(images=random_pairs(1), size=dict(zip(("height", "width"), size, strict=True)))
        for call in (model, model.generate):
            with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}.*patch size 14"):
                call(**inputs)

    @pytest.mark.parametrize("count", [0, 3, 5])
    def test_a_wrong_number_of_image_tokens_is_refused(self, pair, count):
        model, processor = pair
        inputs = processor(images=random_pairs(2))
        inputs["input_ids"][1] = processor.tokenizer.pad_token_id
        inputs["input_ids"][1, :count] = processor.image_token_id
        for call in (model, model.generate):
            with pytest.raises(ValueError, match=f"Row 1 of input_ids has {count} image tokens.*num_query_tokens=4"):
                call(**inputs)

    @pytest.mark.parametrize("missing", ["input_ids", "qformer_input_ids"])
    def test_no_instruction_is_refused(self, pair, missing):
        model, processor = pair
        inputs = processor(images=random_pairs(1))
        del inputs[missing], inputs["attention_mask"]
        for call in (model, model.generate):
            with pytest.raises((ValueError, TypeError), match=missing):
                call(**inputs)

    def test_training_inputs_are_refused_by_generate(self, pair):
        model, processor = pair
        with pytest.raises(ValueError, match="labels.*without captions"):
            model.generate(**processor(images=random_pairs(1), captions=CAPTIONS[0]))

    def test_generation_settings(self, pair):
        model, processor = pair
        inputs = processor(images=random_pairs(2))
        start = 1 if model.config.is_encoder_decoder else 0

        def length(**kwargs):
            return new_tokens(model, inputs, model.generate(**inputs, **never(processor), **kwargs)).shape[1] - start

        assert length() == 77  # the stock model stops after 20
        model.generation_config.max_new_tokens = 3
        assert length() == 3
        assert length(generation_config=GenerationConfig(max_new_tokens=4)) == 4
        assert length(max_new_tokens=6) == 6

    def test_llama_does_not_run_out_of_positions(self, llama):
        model, processor = llama
        inputs = processor(images=random_pairs(1), text=" ".join(["the"] * 100))
        length = inputs["input_ids"].shape[1]
        assert length == QUERIES + 1 + 100
        assert model.generate(**inputs, **never(processor)).shape[1] == 128

    @pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
    def test_confidence_is_that_of_a_second_pass(self, pair, options):
        model, processor = pair
        inputs = processor(images=random_pairs(3))
        options = {**options, "suppress_tokens": [processor.image_token_id], "max_new_tokens": 6}
        output = model.generate(**inputs, **options, return_dict_in_generate=True, output_logits=True)
        confidence = model.sequence_confidence(output)
        for row, new in enumerate(new_tokens(model, inputs, output.sequences).tolist()):
            new = new[1:] if model.config.is_encoder_decoder else new
            stop = processor.stop_token_id
            new = torch.tensor([new[: new.index(stop) + 1] if stop in new else new])
            one = {name: tensor[row, None] for name, tensor in inputs.items()}
            with torch.no_grad():
                if model.config.is_encoder_decoder:
                    logits = model(**one, labels=new).logits
                else:
                    prompt = one["input_ids"].shape[1]
                    one["input_ids"] = torch.cat([one["input_ids"], new], dim=1)
                    one["attention_mask"] = torch.ones_like(one["input_ids"])
                    logits = model(**one).logits[:, prompt - 1 : -1]
            expected = logits.log_softmax(-1).gather(2, new[..., None]).mean().exp()
            torch.testing.assert_close(confidence[row], expected, rtol=1e-4, atol=1e-6)

    def test_two_pairs_are_learned_word_for_word(self, pair):
        """The prompt of both is the same: what tells the captions apart are the images."""
        model, processor = pair
        pairs = random_pairs(2)
        batch = processor(images=pairs, captions=CAPTIONS[:2])
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        model.train()
        for _ in range(60):
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
