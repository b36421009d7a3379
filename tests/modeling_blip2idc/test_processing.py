"""The processor against the stock one, ids and labels to the last one, prompts, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, Blip2Processor, BlipImageProcessorPil

from modeling_blip2idc import Blip2IDCProcessor, make_canvas
from tests.support.tiny_blip2 import CAPTIONS, bosless_tokenizer, random_pairs, t5_tokenizer, tiny_config, tiny_pair

IMAGE, BOS, PAD, BREAK = 340, 2, 1, 202  # ids of the tiny OPT tokenizer
IMAGE_PROCESSOR = BlipImageProcessorPil(size={"height": 56, "width": 28})
PROMPTS = ["the change:", "", "what was moved in the picture?", "the"]


def ids_of(processor, text):
    return processor.tokenizer(text, add_special_tokens=False)["input_ids"]


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.fixture
def processor():
    return tiny_pair()[1]


@pytest.fixture
def t5_processor():
    return tiny_pair(t5=True)[1]


class TestAgainstTheStockProcessor:
    @pytest.fixture
    def canvases(self):
        return [make_canvas(*pair, (56, 28))[0] for pair in random_pairs(4)]

    @pytest.mark.parametrize("prompt", [None, "what changed?"])
    @pytest.mark.parametrize("t5", [False, True])
    def test_inputs_of_generate(self, canvases, t5, prompt):
        processor = tiny_pair(t5=t5)[1]
        stock = Blip2Processor(processor.image_processor, processor.tokenizer, num_query_tokens=4)
        ours = processor(images=random_pairs(4), text=prompt)
        assert equal(ours, stock(images=canvases, text=[prompt or ""] * 4, return_tensors="pt"))
        assert ours["pixel_values"].shape == (4, 3, 56, 28)
        assert t5 or prompt or ours["input_ids"].tolist() == [[IMAGE] * 4 + [BOS]] * 4

    def test_inputs_of_training(self, processor, t5_processor, canvases):
        stock = Blip2Processor(processor.image_processor, processor.tokenizer, num_query_tokens=4)
        ours = processor(images=random_pairs(4), captions=CAPTIONS)
        ours.pop("labels")
        text = [f"{caption}\n" for caption in CAPTIONS]
        assert equal(ours, stock(images=canvases, text=text, padding=True, return_tensors="pt"))
        labels = t5_processor.tokenizer(CAPTIONS, padding=True, return_tensors="pt")
        expected = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
        assert torch.equal(t5_processor(images=random_pairs(4), captions=CAPTIONS)["labels"], expected)


class TestLabels:
    def test_only_the_caption_and_one_stop_token_are_learned(self, processor):
        broken = CAPTIONS[3].replace(" ", "\n\t")  # line breaks become spaces
        batch = processor(images=random_pairs(2), captions=[CAPTIONS[0], f"{broken}\n"])
        first, second = (ids_of(processor, CAPTIONS[i]) + [BREAK] for i in (0, 3))
        longest = max(len(first), len(second))
        expected = [[-100] * 5 + row + [-100] * (longest - len(row)) for row in (first, second)]
        assert batch["labels"].tolist() == expected
        assert torch.equal(batch["attention_mask"] == 0, batch["input_ids"] == PAD)

    def test_a_prompt_is_not_learned(self, processor):
        batch = processor(images=random_pairs(1), captions=CAPTIONS[0], text="the change: ")
        prompt, caption = ids_of(processor, "the change:"), ids_of(processor, f" {CAPTIONS[0]}")
        assert batch["input_ids"].tolist() == [[IMAGE] * 4 + [BOS] + prompt + caption + [BREAK]]
        assert batch["labels"].tolist() == [[-100] * (5 + len(prompt)) + caption + [BREAK]]
        generation = processor(images=random_pairs(1), text="the change: ")
        assert generation["input_ids"].tolist() == [[IMAGE] * 4 + [BOS] + prompt]

    @pytest.mark.parametrize("length", [7, 9, 12])
    def test_a_long_caption_loses_its_end_but_not_its_stop_token(self, processor, t5_processor, length):
        batch = processor(images=random_pairs(2), captions=CAPTIONS[:2], max_length=length)
        assert batch["input_ids"].shape == (2, length)
        for row, caption in zip(batch["labels"].tolist(), CAPTIONS, strict=False):
            kept = ids_of(processor, caption)[: length - 6]
            assert row[5:] == kept + [BREAK] + [-100] * (length - 6 - len(kept))
        labels = t5_processor(images=random_pairs(1), captions=CAPTIONS[0], max_length=length)["labels"]
        assert labels.tolist() == [ids_of(t5_processor, CAPTIONS[0])[: length - 1] + [t5_processor.stop_token_id]]
        whole = processor(images=random_pairs(1), captions=CAPTIONS[0], max_length=length, truncation=False)
        assert equal(whole, processor(images=random_pairs(1), captions=CAPTIONS[0]))

    @pytest.mark.parametrize("prompt, length", [(None, 6), (None, 2), ("the change:", 8)])
    def test_no_room_for_a_caption_is_refused(self, processor, prompt, length):
        with pytest.raises(ValueError, match=f"max_length={length} leaves no room"):
            processor(images=random_pairs(1), captions=CAPTIONS[0], text=prompt, max_length=length)

    def test_padding_options(self, processor, t5_processor):
        pairs, captions = random_pairs(2), [CAPTIONS[0], CAPTIONS[3]]
        right = processor(images=pairs, captions=captions)
        left = processor(images=pairs, captions=captions, padding_side="left")
        rows = processor(images=pairs, captions=captions, padding=False, return_tensors=None)
        for name in ("input_ids", "attention_mask", "labels"):
            for i, mask in enumerate(right["attention_mask"]):
                assert torch.equal(left[name][i], right[name][i].roll(int((mask == 0).sum())))
                assert rows[name][i] == right[name][i][mask == 1].tolist()
        assert processor(images=pairs, captions=captions, padding="max_length", max_length=32)["labels"].shape[1] == 32
        assert processor(images=pairs, captions=captions, pad_to_multiple_of=16)["input_ids"].shape == (2, 16)
        sides = [t5_processor(images=pairs, captions=captions, padding_side=side) for side in ("left", "right")]
        assert torch.equal(*(batch["labels"] for batch in sides))  # a decoder starts at the left
        assert isinstance(processor(images=pairs, return_tensors="np")["input_ids"], np.ndarray)

    def test_rows_of_one_length_need_no_pad_token(self, processor):
        processor.tokenizer.pad_token = None
        assert processor(images=random_pairs(2))["input_ids"].shape == (2, 5)
        with pytest.raises(ValueError, match="padding token"):
            processor(images=random_pairs(2), text=["a", "a longer one"])


class TestPrompts:
    @pytest.mark.parametrize("t5", [False, True])
    def test_one_per_pair_gives_what_each_gives_alone(self, t5):
        processor = tiny_pair(t5=t5)[1]
        pairs, captions = random_pairs(4), {"captions": CAPTIONS}
        for target in ({}, captions):
            batch = processor(images=pairs, text=PROMPTS, **target)
            for i, mask in enumerate(batch["attention_mask"].bool()):
                own = {name: value[i] for name, value in target.items()}
                alone = processor(images=pairs[i], text=PROMPTS[i], **own)
                assert torch.equal(batch["input_ids"][i][mask], alone["input_ids"][0])
                assert mask[0 if t5 or target else -1]  # padding on the left of what is to be continued
                if target:
                    learned = [labels[labels != -100] for labels in (batch["labels"][i], alone["labels"][0])]
                    assert torch.equal(*learned)

    def test_none_stands_for_the_processors_own(self, processor):
        processor.prompt = "the"
        default, mixed, named = (processor(images=random_pairs(2), text=text) for text in (None, [None, "the"], "the"))
        assert equal(default, named) and equal(mixed, named)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"prompt": "the"}, TypeError, "prompt= is not an argument.*text= is the prompt.*captions="),
            ({"text": ["a"]}, ValueError, "text has 1 prompts for 2 pairs"),
            ({"text": ["a", "b", "c"]}, ValueError, "text has 3 prompts for 2 pairs"),
            ({"text": 7}, ValueError, r"text\[0\] is a int, a prompt is a string"),
            ({"text": ["a", b"b"]}, ValueError, r"text\[1\] is a bytes"),
            ({"text": ["a", "<image> b"]}, ValueError, "prompt contains the image token"),
            ({"captions": ["a"]}, ValueError, "1 captions for 2 pairs"),
            ({"captions": ["a", 3]}, ValueError, r"captions\[1\] is a int"),
            ({"captions": ["a", "\n "]}, ValueError, r"captions\[1\] is empty.*leave captions out"),
            ({"captions": ["a <image> b", "a"]}, ValueError, r"captions\[0\] contains control tokens \('<image>'\)"),
            ({"captions": ["a", "the end</s>"]}, ValueError, r"captions\[1\] contains control tokens \('</s>'\)"),
        ],
    )
    def test_what_is_refused(self, processor, options, error, message):
        with pytest.raises(error, match=message):
            processor(images=random_pairs(2), **options)

    def test_a_stop_token_is_one_token(self, processor):
        with pytest.raises(ValueError, match="stop_token 'two words' is not one token.*EOS token '</s>'"):
            Blip2IDCProcessor(IMAGE_PROCESSOR, processor.tokenizer, 4, stop_token="two words")

    def test_a_decoder_without_bos(self):
        """As Qwen's: whether there is an encoder is in the config, and only guessed of a tokenizer alone."""
        assert Blip2IDCProcessor(IMAGE_PROCESSOR, bosless_tokenizer(), 4).is_encoder_decoder
        processor = Blip2IDCProcessor(IMAGE_PROCESSOR, bosless_tokenizer(), 4, is_encoder_decoder=False)
        image, stop = processor.image_token_id, processor.stop_token_id
        assert processor(images=random_pairs(1))["input_ids"].tolist() == [[image] * 4]
        batch = processor(images=random_pairs(1), text="the", captions="cube")
        prompt, caption = ids_of(processor, "the"), ids_of(processor, " cube")
        assert batch["input_ids"].tolist() == [[image] * 4 + prompt + caption + [stop]]
        assert batch["labels"].tolist() == [[-100] * (4 + len(prompt)) + caption + [stop]]


class TestPairs:
    def test_every_form_of_a_pair(self, processor, tmp_path):
        arrays = random_pairs(1)[0]
        before, after = (Image.fromarray(array) for array in arrays)
        for name, image in (("a", before), ("b", after)):
            image.save(tmp_path / f"{name}.png")
        files = (tmp_path / "a.png", str(tmp_path / "b.png"))
        on_disk = [{"path": str(path)} for path in files]
        row = {"id": "1", "before": before, "after": after, "captions": ["x"]}
        expected = processor(images=arrays)["pixel_values"]
        for images in (
            *((before, after), [(before, after)], [[before, after]], [before, after], list(arrays)),
            *(row, [row], files, [files], list(files), on_disk, [on_disk]),
        ):
            assert torch.equal(processor(images=images, text="the")["pixel_values"], expected)

    def test_the_canvas_of_one_call(self, processor):
        pairs = random_pairs(2)
        for options in (
            {"concat_axis": "vertical", "size": {"height": 28, "width": 42}},
            {"concat_axis": "horizontal", "size": {"height": 28, "width": 56}},
            {"size": {"height": 56, "width": 28}, "resample": 0},  # nearest neighbour, which is 0
        ):
            canvases = [make_canvas(*pair, **options)[0] for pair in pairs]
            expected = processor.image_processor(canvases, do_resize=False, return_tensors="pt")["pixel_values"]
            assert torch.equal(processor(images=pairs, **options)["pixel_values"], expected)
        processor.image_processor.resample = 0
        assert torch.equal(processor(images=pairs)["pixel_values"], expected)

    def test_draft_reaches_the_jpeg_decoder(self, processor, tmp_path):
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            Image.fromarray(rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)).save(tmp_path / f"{name}.jpg")
        pair = (tmp_path / "a.jpg", tmp_path / "b.jpg")
        exact = processor(images=tuple(Image.open(path).convert("RGB") for path in pair))["pixel_values"]
        assert torch.equal(processor(images=pair)["pixel_values"], exact)
        assert not torch.equal(processor(images=pair, draft=True)["pixel_values"], exact)
        processor.draft = True
        assert torch.equal(processor(images=pair, draft=False)["pixel_values"], exact)

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            (None, "images is a NoneType"),
            ([], "empty list"),
            ("a.png", "images is a str"),
            ([1, 2, 3], r"images\[0\]: got int where a pair"),
            ((1,), "a pair is two images, but this one has 1"),
            ([(0, 0), (1, 2, 3)], r"images\[1\].*two images.*3"),
            ({"before": 0}, "no 'after'"),
            ([None], r"images\[0\]"),
            ([(np.zeros((2, 2), np.uint8), "missing.png")], r"images\[0\] after .*missing.png"),
            ((np.zeros((0, 0, 3), np.uint8), 1), "^before.*no pixels"),
        ],
    )
    def test_what_is_not_a_pair_is_refused(self, processor, images, message):
        with pytest.raises(ValueError, match=message):
            processor(images=images)


class TestSavedFolders:
    def test_round_trip(self, processor, tmp_path):
        processor.concat_axis, processor.draft, processor.prompt = "horizontal", True, "now"
        processor.chat_template = "{{ messages[0]['content'] }}"
        processor.save_pretrained(tmp_path)
        again = Blip2IDCProcessor.from_pretrained(tmp_path)
        names = ("stop_token", "num_query_tokens", "is_encoder_decoder", "concat_axis", "draft", "chat_template")
        assert [getattr(again, name) for name in names] == [getattr(processor, name) for name in names]
        options = {"images": random_pairs(2), "captions": CAPTIONS[:2]}
        assert equal(again(**options), processor(**options))
        assert Blip2IDCProcessor.from_pretrained(tmp_path, prompt="then").prompt == "then"

    def test_a_plain_processor_loads_ours(self, tiny_model_dir):
        plain, ours = Blip2Processor.from_pretrained(tiny_model_dir), AutoProcessor.from_pretrained(tiny_model_dir)
        assert type(plain) is Blip2Processor and type(ours) is Blip2IDCProcessor
        canvas, _ = make_canvas(*random_pairs(1)[0], ours.image_processor.size)
        assert equal(ours(images=random_pairs(1)), plain(images=canvas, text="", return_tensors="pt"))

    @pytest.mark.parametrize("eos, stop", [(1, "</s>"), (203, None), ([1, 5], "</s>")])
    def test_the_config_of_a_folder_wins_over_guesses(self, tmp_path, eos, stop):
        """This tokenizer has a line break and no BOS, so that it could be taken for OPT's, or for an encoder's."""
        tokenizer = t5_tokenizer()
        Blip2Processor(IMAGE_PROCESSOR, tokenizer).save_pretrained(tmp_path)  # without num_query_tokens
        config = tiny_config(tokenizer).to_dict() | {"model_type": "blip-2", "num_query_tokens": 7}
        config["text_config"]["eos_token_id"] = eos
        (tmp_path / "config.json").write_text(json.dumps(config))
        processor = Blip2IDCProcessor.from_pretrained(tmp_path)
        assert processor.num_query_tokens == 7 and processor.is_encoder_decoder is False
        assert processor.stop_token == (stop or tokenizer.decode([eos]))
        assert Blip2IDCProcessor.from_pretrained(tmp_path, num_query_tokens=9).num_query_tokens == 9

    def test_a_folder_from_before_processor_config_json(self, plain_dir, tmp_path):
        shutil.copytree(plain_dir, tmp_path, dirs_exist_ok=True)
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
        for ids in (torch.tensor(rows), np.array(rows), rows):
            assert processor.post_process_captions(ids) == ["the cube", "", "the cube"]

    def test_padding_of_a_trainer_and_the_start_token_of_t5(self, processor, t5_processor):
        labels = processor(images=random_pairs(4), captions=CAPTIONS)["labels"]
        assert processor.post_process_captions(labels) == CAPTIONS
        labels = t5_processor(images=random_pairs(4), captions=CAPTIONS)["labels"]
        ids = torch.cat([torch.zeros(4, 1, dtype=torch.long), labels], dim=1)
        assert t5_processor.post_process_captions(ids) == CAPTIONS
