"""Our folders in `pipeline("image-text-to-text")` of transformers, with two images and no code of ours around it."""

import pytest
import torch
from PIL import Image
from transformers import pipeline

from tests.support.tiny_blip2 import FAMILIES, random_pairs, tiny, tiny_pair


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request, tmp_path_factory):
    """Model, processor and the stock pipeline of their folder."""
    parts = tiny(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    for part in parts:
        part.save_pretrained(folder)
    return *parts, pipeline("image-text-to-text", model=str(folder), device="cpu", max_new_tokens=5)


@pytest.fixture(scope="module")
def images():
    return [Image.fromarray(array) for array in random_pairs(1)[0]]


def chat(images, text):
    parts = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": text}]
    return [{"role": "user", "content": parts}]


def expected(model, processor, images, prompt):
    inputs = processor(images=tuple(images), text=prompt)
    ids = model.generate(**inputs, max_new_tokens=5)
    ids = ids if processor.is_encoder_decoder else ids[:, inputs["input_ids"].shape[1] :]
    stop = processor.stop_token_id
    row = ids[0].tolist()
    return processor.tokenizer.decode(row[: row.index(stop)] if stop in row else row, skip_special_tokens=True)


@pytest.mark.parametrize("prompt", ["", "the small"])
def test_two_images_and_a_prompt(saved, images, prompt):
    model, processor, pipe = saved
    caption = expected(model, processor, images, prompt).rstrip()
    (found,) = pipe(images=images, text=prompt)
    assert found["generated_text"] == prompt + caption
    (found,) = pipe(text=chat(images, prompt))
    assert found["generated_text"][-1] == {"role": "assistant", "content": caption}
    many = pipe(text=[chat(images, prompt)] * 2)
    assert [each[0]["generated_text"][-1]["content"] for each in many] == [caption] * 2


def test_an_answer_that_was_begun_is_continued(saved, images):
    model, processor, pipe = saved
    begun = [*chat(images, ""), {"role": "assistant", "content": [{"type": "text", "text": "the small"}]}]
    (found,) = pipe(text=begun)
    caption = expected(model, processor, images, "the small").rstrip()
    assert found["generated_text"][-1]["content"][-1]["text"] == "the small" + caption


def test_the_chat_template(saved, images):
    _, processor, pipe = saved
    for text in ("", "What changed?"):
        options = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
        for conversation in (chat(images, text), [chat(images, text)]):
            inputs = pipe.processor.apply_chat_template(conversation, **options)
            alone = processor(images=tuple(images), text=text)
            assert inputs.keys() == alone.keys() and all(torch.equal(inputs[name], alone[name]) for name in alone)
    assert processor.apply_chat_template([{"role": "user", "content": "What changed?"}]).strip() == "What changed?"


def test_a_template_that_writes_bos_gives_one(images):
    """As that of a merged model, which servers read."""
    _, processor = tiny_pair()
    template = "{{ bos_token }}{{ messages[0]['content'][-1]['text'] }}"
    inputs = processor.apply_chat_template(chat(images, "the"), template, tokenize=True, return_dict=True)
    assert torch.equal(inputs["input_ids"], processor(images=tuple(images), text="the")["input_ids"])
