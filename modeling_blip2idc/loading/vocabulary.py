"""Words that a tokenizer does not know: finding them, and adding them to a model whose tokens are whole words."""

import string
from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from tokenizers import models

from ..checkpoints_blip2idc import resize_vocabulary

MOST_UNKNOWN = 0.05  # share of the tokens of training captions
SHOWN = 8  # words that a message names


class UnknownWordsError(ValueError):
    """Captions have words that the tokenizer does not know."""


def unknown_words(processor, captions: Iterable[str]) -> tuple[float, Counter]:
    """
    The words of captions that the processor's tokenizer replaces by its unknown token, so that no model can learn to
    write them. A byte-level tokenizer (OPT) spells every word.

    Returns:
        `tuple[float, Counter]`: the share of unknown tokens, and how often each word is there.
    """
    tokenizer = processor.tokenizer
    captions = [" ".join(caption.split()) for caption in captions]
    unknown, words, total = tokenizer.unk_token_id, Counter(), 0
    if not captions or unknown in (None, tokenizer.eos_token_id):  # OPT gives both names to one token
        return 0.0, words
    encoded = tokenizer(captions, add_special_tokens=False, return_offsets_mapping=True)
    for caption, ids, offsets in zip(captions, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        words.update(caption[slice(*span)] for token, span in zip(ids, offsets, strict=True) if token == unknown)
        total += len(ids)
    return words.total() / max(total, 1), words


def check_vocabulary(processor, captions: Iterable[str]) -> None:
    """Raise an [`UnknownWordsError`] if more than [`MOST_UNKNOWN`] of the captions' tokens are unknown."""
    share, words = unknown_words(processor, captions)
    if share > MOST_UNKNOWN:
        raise UnknownWordsError(
            f"The model's tokenizer does not know {share:.0%} of the words in the training captions, and the model "
            f"could never write them: {some_of(words)}. Give `extend_vocabulary: true`, which adds these words, or a "
            "base whose tokenizer spells any word, such as `model: Salesforce/blip2-opt-2.7b`."
        )


def note_unknown(processor, captions: Mapping[str, Iterable[str]]) -> None:
    """Prints which words of captions, by the name of their data, no caption of this model can have."""
    for name, said in captions.items():
        share, words = unknown_words(processor, said)
        if words:
            print(f"{name}: the model does not know {share:.1%} of the words: {some_of(words)}", flush=True)


def some_of(words: Counter) -> str:
    """The commonest words, and how often they are there, for a message."""
    named = ", ".join(f"{word!r} ({count})" for word, count in words.most_common(SHOWN))
    return named if len(words) <= SHOWN else f"{named} and {len(words) - SHOWN} more"


@torch.no_grad()
def extend_vocabulary(model, processor, captions: Iterable[str]) -> list[int]:
    """
    Add the words that the tokenizer does not know to its vocabulary, and rows for them to the embeddings.

    Ids of other tokens stay. A new row is the mean of the known words, halfway towards the word that differs only in
    case and punctuation, if there is one. As such a mean, no new word outscores all known ones: until it is trained,
    greedy captions stay the same. What is added does not depend on the order of the captions.

    Args:
        model ([`Blip2IDCForConditionalGeneration`]), processor ([`Blip2IDCProcessor`]):
            Both are changed in place. Not a `PeftModel`: extend the base, and let `trainable_token_indices` of its
            `LoraConfig` be what this function returns.
        captions (`Iterable[str]`): as for [`unknown_words`].

    Returns:
        `list[int]`: ids of the new words; none if all are known.

    Raises:
        `UnknownWordsError`: there are such words, and the tokens of the tokenizer are parts of words.
    """
    tokenizer, captions = processor.tokenizer, list(captions)
    words = sorted(unknown_words(processor, captions)[1])
    if not words:
        return []
    backend = tokenizer.backend_tokenizer
    if not isinstance(backend.model, models.WordLevel):
        kind = type(backend.model).__name__
        raise UnknownWordsError(
            f"extend_vocabulary adds whole words, but the tokenizer is a {kind}, whose tokens are parts of words. It "
            f"does not know {some_of(unknown_words(processor, captions)[1])}: write the captions in other characters."
        )
    known = backend.get_vocab(with_added_tokens=False)
    new = {word: len(tokenizer) + i for i, word in enumerate(words)}
    resize_vocabulary(model, len(tokenizer) + len(new))
    plain = sorted(set(known.values()) - tokenizer.added_tokens_decoder.keys())  # one order, so one mean
    for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:  # one, if they are tied
        mean = weight[plain].mean(dim=0)
        for word, i in new.items():
            like = known.get(word.strip(string.punctuation).lower())
            weight[i] = mean if like is None else (mean + weight[like]) / 2
    backend.model = models.WordLevel({**known, **new}, unk_token=backend.model.unk_token)
    return list(new.values())


__all__ = ["UnknownWordsError", "check_vocabulary", "extend_vocabulary", "note_unknown", "some_of", "unknown_words"]
