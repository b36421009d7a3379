"""Tiny chat models of LLaMA's architecture, built here and offline: with random weights, or taught what to answer."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from datasets_syned.synthesis.paraphrasers.prompts import REQUEST, SYSTEM, Request

SPECIAL = ["<pad>", "<s>", "</s>", "<system>", "<user>", "<assistant>"]
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
# As Gemma's and the first of Mistral: the roles are those of a conversation.
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)
# As some that take the system text and leave it out.
DEAF_TO_SYSTEM = TEMPLATE.replace(
    "{% for message in messages %}", "{% for message in messages if message['role'] != 'system' %}"
)


def tiny_tokenizer(texts: Sequence[str], template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """Byte-level BPE that knows the words of `texts`. Without a padding token, as LLaMA's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *texts], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=template
    )


def tiny_llama(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlamaForCausalLM:
    """Two layers, width 64, random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    # What chat models come with, and what must not count.
    model.generation_config.update(do_sample=True, temperature=0.6, top_p=0.5, top_k=2)
    return model.eval()


def save_random_chat_model(folder: Path, template: str | None = TEMPLATE) -> Path:
    """A chat model that answers with noise; `template=None` for a model that is none to chat with."""
    tokenizer = tiny_tokenizer([SYSTEM, "Add a dog to the lawn"], template)
    tiny_llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_random_vision_model(folder: Path) -> Path:
    """A LLaVA that answers with noise; it takes any number of images of 28 x 28 pixels, 4 tokens each."""
    image = "<image>"
    template = TEMPLATE.replace(
        "{{ message['content'] }}",
        "{% for part in message['content'] %}{{ part['text'] if part['type'] == 'text' else '<image>' }}{% endfor %}",
    )
    tokenizer = tiny_tokenizer([SYSTEM, "Add a dog to the lawn"], template)
    tokenizer.add_special_tokens({"additional_special_tokens": [image]})
    size = {"height": 28, "width": 28}
    images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size)
    processor = LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", chat_template=template,
        num_additional_image_tokens=1,
    )  # fmt: skip
    text = tiny_llama(tokenizer).config
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids(image)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8 if weight.ndim > 1 else 1)  # or else what it sees would hardly count
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_taught_chat_model(
    folder: Path, answers: Mapping[str, str | Sequence[str]], count: int = 4, template: str = TEMPLATE
) -> Path:
    """
    A chat model that was trained until it knows by heart what to answer to instructions.

    Args:
        folder (`Path`): for the model.
        answers (`dict[str, str or Sequence[str]]`): by instruction: the answer, or several that it gives at random.
        count (`int`, *optional*, defaults to 4): paraphrases that will be asked for.
        template (`str`, *optional*): of the chat.

    Raises:
        RuntimeError: it did not learn them.
    """
    given = [
        (instruction, answer)
        for instruction, known in answers.items()
        for answer in ([known] if isinstance(known, str) else known)
    ]
    renderer = tiny_tokenizer([], template)
    requests = [
        Request(REQUEST.format(count=count, instruction=instruction), system=SYSTEM) for instruction, _ in given
    ]
    options = {"tokenize": False, "add_generation_prompt": True}
    roles = template == TEMPLATE
    prompts = [renderer.apply_chat_template(request.messages(roles=roles), **options) for request in requests]
    tokenizer = tiny_tokenizer([*prompts, *(answer for _, answer in given)], template)
    rows = [
        (tokenizer.encode(prompt, add_special_tokens=False), tokenizer.encode(answer, add_special_tokens=False))
        for prompt, (_, answer) in zip(prompts, given, strict=True)
    ]
    length = max(len(prompt) + len(answer) for prompt, answer in rows) + 1
    tokens = torch.full((len(rows), length), tokenizer.eos_token_id)
    labels = torch.full((len(rows), length), -100)
    for row, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer) + 1
        tokens[row, : end - 1] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = tokens[row, len(prompt) : end]
    model = tiny_llama(tokenizer).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    # Of several answers to one instruction, which of them it is cannot be known.
    chance = sum(math.log(1 if isinstance(answers[each], str) else len(answers[each])) for each, _ in given)
    wanted = chance / int((labels != -100).sum()) + 0.01
    for _ in range(600):
        loss = model(input_ids=tokens, labels=labels).loss
        if loss < wanted:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    else:
        raise RuntimeError(f"the loss is still {loss:.3f}")
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
