"""The processor against the stock one, ids and labels to the last one, and what it refuses."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, Blip2Processor, BlipImageProcessorPil

from modeling_blip2idc import Blip2IDCProcessor, make_canvas
from tests.support.tiny_blip2 import CAPTIONS, opt_tokenizer, random_pairs, t5_tokenizer, tiny_pair

IMAGE, BOS, PAD, BREAK = 340, 2, 1, 202  # ids of the tiny OPT tokenizer


def ids_of(processor, text):
    return processor.tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.fixture
def processor():
    return tiny_pair()[1]


@pytest.fixture
def t5_processor():
    return tiny_pair(t5=True)[1]


@pytest.fixture
def stock(processor):
    return Blip2Processor(processor.image_processor, processor.tokenizer, num_query_tokens=4)


class TestAgainstTheStockProcessor:
    def test_inputs_of_generate(self, processor, stock):
        pairs = random_pairs(3)
        canvases = [make_canvas(*pair, {"height": 56, "width": 28})[0] for pair in pairs]
        ours, theirs = processor(images=pairs), stock(images=canvases, text=[""] * 3, return_tensors="pt")
        assert ours.keys() == {"pixel_values", "input_ids", "attention_mask"} == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name
        assert ours["pixel_values"].shape == (3, 3, 56, 28)
        assert ours["input_ids"].tolist() == [[IMAGE] * 4 + [BOS]] * 3

    def test_inputs_of_training(self, processor, stock):
        pairs = random_pairs(4)
        canvases = [make_canvas(*pair, {"height": 56, "width": 28})[0] for pair in pairs]
        text = [f"{caption}\n" for caption in CAPTIONS]
        ours = processor(images=pairs, captions=CAPTIONS)
        theirs = stock(images=canvases, text=text, padding=True, return_tensors="pt")
        for name in theirs:
            assert torch.equal(ours[name], theirs[name]), name

    def test_t5(self, t5_processor):
        stock = Blip2Processor(t5_processor.image_processor, t5_processor.tokenizer, num_query_tokens=4)
        pairs = random_pairs(2)
        canvases = [make_canvas(*pair, {"height": 56, "width": 28})[0] for pair in pairs]
        for prompt in (None, "what changed?"):
            ours = t5_processor(images=pairs, captions=CAPTIONS[:2], text=prompt)
            theirs = stock(images=canvases, text=[prompt or ""] * 2, return_tensors="pt")
            for name in theirs:
                assert torch.equal(ours[name], theirs[name]), name
            labels = t5_processor.tokenizer(CAPTIONS[:2], padding=True, return_tensors="pt")
            expected = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
            assert torch.equal(ours["labels"], expected)
            assert ((ours["labels"] == t5_processor.stop_token_id).sum(1) == 1).all()


class TestLabels:
    def test_only_the_caption_and_one_stop_token_are_learned(self, processor):
        batch = processor(images=random_pairs(2), captions=[CAPTIONS[0], CAPTIONS[3]])
        first, second = (ids_of(processor, CAPTIONS[i]) + [BREAK] for i in (0, 3))
        pads = abs(len(first) - len(second))
        rows = [first + [-100] * (pads if len(first) < len(second) else 0), second]
        rows[1] = second + [-100] * (pads if len(second) < len(first) else 0)
        assert batch["labels"].tolist() == [[-100] * 5 + row for row in rows]
        assert (batch["input_ids"] == processor.image_token_id).sum(1).tolist() == [4, 4]
        assert torch.equal(batch["attention_mask"] == 0, batch["input_ids"] == PAD)

    def test_a_prompt_is_not_learned(self, processor):
        batch = processor(images=random_pairs(1), captions=CAPTIONS[0], text="the change: ")
        prompt, caption = ids_of(processor, "the change:"), ids_of(processor, f" {CAPTIONS[0]}")
        assert batch["input_ids"].tolist() == [[IMAGE] * 4 + [BOS] + prompt + caption + [BREAK]]
        assert batch["labels"].tolist() == [[-100] * (5 + len(prompt)) + caption + [BREAK]]
        assert prompt + caption == ids_of(processor, f"the change: {CAPTIONS[0]}")
        generation = processor(images=random_pairs(1), text="the change: ")
        assert generation["input_ids"].tolist() == [[IMAGE] * 4 + [BOS] + prompt]

    def test_line_breaks_in_a_caption_become_spaces(self, processor):
        pairs = random_pairs(1)
        batch = processor(images=pairs, captions=" the cube\n was\r\n\tmoved\n")
        assert torch.equal(batch["labels"], processor(images=pairs, captions="the cube was moved")["labels"])
        assert (batch["labels"] == BREAK).sum() == 1

    @pytest.mark.parametrize("length", [7, 9, 12])
    def test_a_long_caption_loses_its_end_but_not_its_stop_token(self, processor, length):
        batch = processor(images=random_pairs(2), captions=CAPTIONS[:2], max_length=length)
        assert batch["input_ids"].shape == (2, length)
        for row, caption in zip(batch["labels"].tolist(), CAPTIONS, strict=False):
            kept = ids_of(processor, caption)[: length - 6]
            assert row[5:] == kept + [BREAK] + [-100] * (length - 6 - len(kept))

    def test_t5_counts_the_caption_alone(self, t5_processor):
        batch = t5_processor(images=random_pairs(1), captions=CAPTIONS[0], max_length=4)
        assert batch["labels"].tolist() == [ids_of(t5_processor, CAPTIONS[0])[:3] + [t5_processor.stop_token_id]]
        assert batch["input_ids"].shape == (1, 5)

    def test_t5_labels_are_padded_on_the_right(self, t5_processor):
        pairs = random_pairs(2)
        batches = [
            t5_processor(images=pairs, captions=[CAPTIONS[0], CAPTIONS[3]], padding_side=side)["labels"]
            for side in ("left", "right")
        ]
        assert torch.equal(*batches) and (batches[0][:, -1] == -100).sum() == 1

    def test_max_length_without_truncation_pads_only(self, processor):
        options = {"max_length": 6, "truncation": False}
        pairs = random_pairs(1)
        full = processor(images=pairs, captions=CAPTIONS[0])
        assert torch.equal(processor(images=pairs, captions=CAPTIONS[0], **options)["labels"], full["labels"])

    @pytest.mark.parametrize("prompt, length", [(None, 6), (None, 2), ("the change:", 8)])
    def test_no_room_for_a_caption_is_refused(self, processor, prompt, length):
        with pytest.raises(ValueError, match=f"max_length={length} leaves no room"):
            processor(images=random_pairs(1), captions=CAPTIONS[0], text=prompt, max_length=length)

    def test_padding_options(self, processor):
        pairs, text = random_pairs(2), [CAPTIONS[0], CAPTIONS[3]]
        right = processor(images=pairs, captions=text)
        left = processor(images=pairs, captions=text, padding_side="left")
        for name in ("input_ids", "attention_mask", "labels"):
            for row, other, mask in zip(right[name], left[name], right["attention_mask"], strict=True):
                assert torch.equal(other, row.roll(int((mask == 0).sum())))
        assert processor(images=pairs, captions=text, padding="max_length", max_length=32)["labels"].shape == (2, 32)
        assert processor(images=pairs, captions=text, pad_to_multiple_of=16)["input_ids"].shape == (2, 16)
        rows = processor(images=pairs, captions=text, padding=False, return_tensors=None)
        for name in ("input_ids", "labels"):
            for row, padded, mask in zip(rows[name], right[name], right["attention_mask"], strict=True):
                assert row == padded[mask == 1].tolist()
        assert isinstance(processor(images=pairs, return_tensors="np")["input_ids"], np.ndarray)


class TestPairs:
    def test_every_form_of_a_pair(self, processor, tmp_path):
        arrays = random_pairs(1)[0]
        before, after = (Image.fromarray(array) for array in arrays)
        for name, image in (("a", before), ("b", after)):
            image.save(tmp_path / f"{name}.png")
        files = (tmp_path / "a.png", str(tmp_path / "b.png"))
        row = {"id": "1", "before": before, "after": after, "captions": ["x"]}
        expected = processor(images=arrays)["pixel_values"]
        assert expected.shape == (1, 3, 56, 28)
        for images in ((before, after), [(before, after)], [[before, after]], row, [row], files, [files]):
            assert torch.equal(processor(images=images)["pixel_values"], expected)

    def test_size_axis_and_draft_of_one_call(self, processor):
        pairs = random_pairs(2)
        for axis, (height, width) in (("vertical", (28, 42)), ("horizontal", (28, 56))):
            pixels = processor(images=pairs, concat_axis=axis, size={"height": height, "width": width})["pixel_values"]
            canvases = [make_canvas(*pair, (height, width), axis)[0] for pair in pairs]
            expected = processor.image_processor(canvases, do_resize=False, return_tensors="pt")["pixel_values"]
            assert pixels.shape == (2, 3, height, width) and torch.equal(pixels, expected)
        assert processor(images=pairs)["pixel_values"].shape == (2, 3, 56, 28)

    def test_draft_reaches_the_jpeg_decoder(self, processor, tmp_path):
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            Image.fromarray(rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)).save(tmp_path / f"{name}.jpg")
        pair = (tmp_path / "a.jpg", tmp_path / "b.jpg")
        fast, exact = (processor(images=pair, draft=draft)["pixel_values"] for draft in (True, False))
        assert not torch.equal(fast, exact)
        opened = tuple(Image.open(path).convert("RGB") for path in pair)
        assert torch.equal(processor(images=opened)["pixel_values"], exact)
        assert torch.equal(processor(images=pair)["pixel_values"], exact)

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (None, "images is a NoneType"),
            ([], "empty list"),
            ("a.png", "images is a str"),
            ([1, 2, 3], r"images\[0\]: got int"),
            ((1,), "a pair is two images, but this one has 1"),
            ([(0, 0), (1, 2, 3)], r"images\[1\].*two images.*3"),
            ({"before": 0}, "has no 'after'"),
            ([None], r"images\[0\]"),
        ],
    )
    def test_what_is_no_pair_is_refused(self, processor, images, message):
        with pytest.raises(ValueError, match=message):
            processor(images=images)

    def test_a_bad_image_is_named_with_its_pair(self, processor):
        good = random_pairs(1)[0]
        with pytest.raises(ValueError, match=r"images\[1\] after .*missing.png"):
            processor(images=[good, (good[0], "missing.png")])
        with pytest.raises(ValueError, match="^before.*no pixels"):
            processor(images=(np.zeros((0, 0, 3), np.uint8), good[1]))


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (["a", "b"], "2 captions for 1 pairs"),
            ([3], r"captions\[0\] is a int"),
            ("", r"captions\[0\] is empty.*leave captions out"),
            (["\n "], r"captions\[0\] is empty"),
            ("a <image> b", r"captions\[0\] contains control tokens \('<image>'\)"),
            ("the end</s>", r"captions\[0\] contains control tokens \('</s>'\)"),
        ],
    )
    def test_captions(self, processor, text, message):
        with pytest.raises(ValueError, match=message):
            processor(images=random_pairs(1), captions=text)

    def test_a_prompt_with_an_image_token(self, processor, t5_processor):
        for each in (processor, t5_processor):
            with pytest.raises(ValueError, match="prompt contains the image token"):
                each(images=random_pairs(1), text="<image> what changed?")

    def test_no_number_of_query_tokens(self, processor):
        """Stock BLIP-2 then ignores the image without a word."""
        processor.num_query_tokens = None
        with pytest.raises(ValueError, match="num_query_tokens is None.*ignore the images"):
            processor(images=random_pairs(1))

    def test_construction(self):
        image_processor = BlipImageProcessorPil(size={"height": 28, "width": 28})
        with pytest.raises(ValueError, match="stop_token 'two words' is not one token"):
            Blip2IDCProcessor(image_processor, opt_tokenizer(), 4, stop_token="two words")


class TestSavedFolders:
    def test_round_trip(self, processor, tmp_path):
        pairs = random_pairs(2)
        processor.concat_axis, processor.draft, processor.prompt = "horizontal", False, "now"
        processor.save_pretrained(tmp_path)
        saved = json.loads((tmp_path / "processor_config.json").read_text())
        assert saved["stop_token"] == "\n" and saved["num_query_tokens"] == 4
        again = Blip2IDCProcessor.from_pretrained(tmp_path)
        expected = processor(images=pairs, captions=CAPTIONS[:2])
        for name, tensor in again(images=pairs, captions=CAPTIONS[:2]).items():
            assert torch.equal(tensor, expected[name]), name
        assert Blip2IDCProcessor.from_pretrained(tmp_path, prompt="then").prompt == "then"

    def test_a_plain_processor_loads_ours(self, tiny_model_dir):
        plain, ours = Blip2Processor.from_pretrained(tiny_model_dir), AutoProcessor.from_pretrained(tiny_model_dir)
        assert type(plain) is Blip2Processor and type(ours) is Blip2IDCProcessor
        canvas, _ = make_canvas(*random_pairs(1)[0], ours.image_processor.size)
        inputs = plain(images=canvas, text="", return_tensors="pt")
        for name, tensor in ours(images=random_pairs(1)).items():
            assert torch.equal(tensor, inputs[name])

    def test_a_plain_folder(self, plain_dir, caplog):
        with caplog.at_level(logging.WARNING):
            processor = Blip2IDCProcessor.from_pretrained(plain_dir)
        assert caplog.messages == []
        assert (processor.num_query_tokens, processor.stop_token_id, processor.is_encoder_decoder) == (4, BREAK, False)

    @pytest.mark.parametrize("eos, stop", [(1, "</s>"), (203, None), ([1, 5], "</s>")])
    def test_the_config_of_a_plain_folder_knows_the_stop_token(self, tmp_path, eos, stop):
        """This tokenizer has a line break as a token, so that it could be taken for OPT's."""
        tokenizer = t5_tokenizer()
        image_processor = BlipImageProcessorPil(size={"height": 28, "width": 28})
        Blip2Processor(image_processor, tokenizer).save_pretrained(tmp_path)  # without num_query_tokens
        config = {"model_type": "blip-2", "num_query_tokens": 7, "text_config": {"eos_token_id": eos}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        processor = Blip2IDCProcessor.from_pretrained(tmp_path)
        assert processor.num_query_tokens == 7
        assert processor.stop_token == (stop or tokenizer.decode([eos]))
        assert Blip2IDCProcessor.from_pretrained(tmp_path, num_query_tokens=9).num_query_tokens == 9

    def test_a_folder_from_before_processor_config_json(self, plain_dir, tmp_path):
        for path in plain_dir.iterdir():
            if path.name != "model.safetensors":
                shutil.copy(path, tmp_path)
        saved = json.loads((tmp_path / "processor_config.json").read_text())
        (tmp_path / "processor_config.json").unlink()
        legacy = {**saved["image_processor"], "processor_class": "Blip2Processor"}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(legacy))
        processor = Blip2IDCProcessor.from_pretrained(tmp_path)
        assert (processor.num_query_tokens, processor.stop_token) == (4, "\n")
        assert processor(images=random_pairs(1))["pixel_values"].shape == (1, 3, 56, 28)


class TestCaptionsFromIds:
    def test_cut_at_the_stop_token_and_stripped(self, processor):
        words = ids_of(processor, " the cube")
        rows = [words + [BREAK] + words, [BREAK] * (2 * len(words) + 1), words + [PAD] * (len(words) + 1)]
        expected = ["the cube", "", "the cube"]
        assert processor.post_process_captions(torch.tensor(rows)) == expected
        assert processor.post_process_captions(np.array(rows)) == expected
        assert processor.post_process_captions(rows) == expected

    def test_the_padding_of_a_trainer(self, processor):
        labels = processor(images=random_pairs(4), captions=CAPTIONS)["labels"]
        assert processor.post_process_captions(labels) == CAPTIONS

    def test_t5_starts_with_the_decoders_own_token(self, t5_processor):
        labels = t5_processor(images=random_pairs(4), captions=CAPTIONS)["labels"]
        ids = torch.cat([torch.zeros(4, 1, dtype=torch.long), labels], dim=1)
        assert t5_processor.post_process_captions(ids) == CAPTIONS
