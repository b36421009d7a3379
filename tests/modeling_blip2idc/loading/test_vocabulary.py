"""Words that the embedded model does not know: found, added, and kept by an adapter."""

import copy
from collections import Counter

import pytest
import torch
from peft import get_peft_model

from modeling_blip2idc import load_idc, lora_config
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
from modeling_blip2idc.hub.merge import merge
from modeling_blip2idc.hub.saving import name_base
from modeling_blip2idc.loading.examples import load_examples
from modeling_blip2idc.loading.vocabulary import (
    UnknownWordsError,
    check_vocabulary,
    extend_vocabulary,
    unknown_words,
)

CAPTIONS = ["The red teapot, was removed.", "nothing  changed\n", "The teapot moved away"]
PAIRS = [(example["before"], example["after"]) for example in load_examples()]


@pytest.fixture(scope="module")
def embedded():
    return load_idc()


@pytest.fixture
def pair(embedded):
    return copy.deepcopy(embedded)


class TestUnknownWords:
    def test_of_whole_words(self, embedded):
        share, words = unknown_words(embedded[1], CAPTIONS)
        assert share == 5 / 11
        assert words == Counter({"The": 2, "teapot,": 1, "removed.": 1, "teapot": 1})
        assert unknown_words(embedded[1], []) == (0.0, Counter())

    def test_bytes_spell_every_word(self, tiny_processor):
        assert unknown_words(tiny_processor, [*CAPTIONS, "Ein Teekännchen 茶壶"]) == (0.0, Counter())

    def test_the_share_that_is_refused(self, embedded):
        known = ["the small red metal sphere turned blue now to"]
        check_vocabulary(embedded[1], [*known * 2, "the teapot"])  # one of twenty
        with pytest.raises(
            UnknownWordsError,
            match=r"does not know 9% of the words.*'teapot' \(1\)\. Give `extend_vocabulary: true`.*"
            "Salesforce/blip2-opt-2.7b",
        ):
            check_vocabulary(embedded[1], [*known, "the teapot"])


class TestExtend:
    def test_what_is_there_stays(self, embedded, pair):
        model, processor = pair
        before = embedded[1].tokenizer.get_vocab()
        ids = extend_vocabulary(model, processor, CAPTIONS)
        after = processor.tokenizer.get_vocab()
        assert after == before | {"The": 76, "removed.": 77, "teapot": 78, "teapot,": 79} and ids == [76, 77, 78, 79]
        assert unknown_words(processor, CAPTIONS)[0] == 0
        assert processor.tokenizer("removed removed. </s>", add_special_tokens=False)["input_ids"] == [58, 77, 2]
        assert model.config.text_config.vocab_size == model.get_output_embeddings().out_features == 80
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        assert torch.equal(model.get_input_embeddings().weight[:76], embedded[0].get_input_embeddings().weight)
        assert (model.config.image_token_index, processor.stop_token_id) == (5, 4)

    def test_captions_stay_without_training(self, embedded, pair):
        extend_vocabulary(*pair, CAPTIONS)
        inputs = pair[1](images=PAIRS)
        assert torch.equal(pair[0].generate(**inputs), embedded[0].generate(**inputs))

    def test_new_rows(self, embedded, pair):
        """A mean of known words, nearer to the one that is the same but for case and punctuation."""
        (model, processor), (other, other_processor) = pair, copy.deepcopy(embedded)
        extend_vocabulary(model, processor, CAPTIONS)
        torch.manual_seed(7)
        extend_vocabulary(other, other_processor, CAPTIONS[::-1])
        rows = model.get_input_embeddings().weight
        assert torch.equal(rows, other.get_input_embeddings().weight)
        mean = rows[6:76].mean(dim=0)
        torch.testing.assert_close(rows[76], (mean + rows[68]) / 2)  # The: the
        torch.testing.assert_close(rows[78], mean)

    def test_nothing_to_add(self, tiny_model, tiny_processor):
        before = tiny_model.config.text_config.vocab_size
        assert extend_vocabulary(tiny_model, tiny_processor, CAPTIONS) == []
        assert tiny_model.config.text_config.vocab_size == before

    def test_parts_of_words(self, tiny_model, tiny_processor):
        tiny_processor.tokenizer.unk_token = "the"  # any token that is in the captions
        with pytest.raises(UnknownWordsError, match="the tokenizer is a BPE, whose tokens are parts of words"):
            extend_vocabulary(tiny_model, tiny_processor, ["the teapot"])


def test_an_adapter_on_an_extended_base(pair, tmp_path):
    """Its new rows are trained, saved, loaded and merged; embeddings and head stay one."""
    base, processor = pair
    ids = extend_vocabulary(base, processor, CAPTIONS)
    untrained = base.get_input_embeddings().weight.detach().clone()
    model = get_peft_model(base, lora_config(trainable_token_indices=ids, lora_dropout=0.0))
    inputs = processor(images=PAIRS[:2], captions=CAPTIONS[::2])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(2):
        model(**inputs).loss.backward()
        optimizer.step()
    model.eval()
    for part in (model, processor):
        part.save_pretrained(tmp_path / "adapter")
    name_base(tmp_path / "adapter", EMBEDDED["mini"])
    merge(tmp_path / "adapter", tmp_path / "merged")
    with torch.no_grad():
        expected = model(**inputs).logits
        assert expected.shape[-1] == 80
        loaded, its_processor = load_idc(tmp_path / "adapter")
        assert its_processor.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
        assert torch.equal(loaded(**inputs).logits, expected)
        merged, its_processor = load_idc(tmp_path / "merged")
        assert its_processor.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
        torch.testing.assert_close(merged(**inputs).logits, expected, rtol=1e-4, atol=1e-4)
    assert merged.get_output_embeddings().weight is merged.get_input_embeddings().weight
    rows = merged.get_input_embeddings().weight
    assert torch.equal(rows[:76], untrained[:76]) and not (rows[76:] == untrained[76:]).all(dim=1).any()
