"""Tiny random BLIP-2 models, one with OPT and one with T5, built here and offline."""

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from tokenizers import decoders as token_decoders
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipImageProcessorPil,
    OPTConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from modeling_blip2idc import Blip2IDCConfig, Blip2IDCForConditionalGeneration, Blip2IDCProcessor

QUERIES = 4
CAPTIONS = [
    "the small red metal sphere turned blue",
    "the large green rubber cube has been added",
    "the yellow cylinder was moved",
    "there is no change",
]


def _tokenizer(special: list[str], template: str, **names) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = token_decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=sorted(alphabet))
    tokenizer.train_from_iterator(CAPTIONS * 2, trainer)
    end = ("</s>", special.index("</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=[end])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def opt_tokenizer() -> PreTrainedTokenizerFast:
    """As OPT's: `</s>` before the text is BOS, EOS and unknown; a line break is a token of its own."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    names = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    return _tokenizer(special, "</s> $A", **names)


def t5_tokenizer() -> PreTrainedTokenizerFast:
    """As T5's: `</s>` after the text, no BOS."""
    return _tokenizer(["<pad>", "</s>", "<unk>"], "$A </s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def tiny_config(tokenizer: PreTrainedTokenizerFast, t5: bool = False, cls=Blip2IDCConfig) -> Blip2Config:
    """
    A BLIP-2 of some 60,000 parameters whose output depends on the image (initialisers well above the defaults).

    Args:
        tokenizer (`PreTrainedTokenizerFast`): with its `<image>` token added.
        t5 (`bool`, *optional*, defaults to `False`): T5 instead of OPT.
        cls (`type`, *optional*, defaults to `Blip2IDCConfig`): or `Blip2Config`.
    """
    size = len(tokenizer)
    line_break = tokenizer("\n", add_special_tokens=False)["input_ids"]
    if t5:
        text = T5Config(
            vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.0,
            decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, tie_word_embeddings=False,
        )  # fmt: skip
    else:
        text = OPTConfig(
            vocab_size=size, hidden_size=32, num_hidden_layers=2, ffn_dim=64, num_attention_heads=4,
            max_position_embeddings=128, word_embed_proj_dim=32, bos_token_id=2, eos_token_id=line_break[0],
            pad_token_id=1, dropout=0.0, init_std=0.2,
        )  # fmt: skip
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return cls(
        vision_config={**layers, "image_size": 28, "patch_size": 14, "initializer_range": 0.2},
        qformer_config={
            **layers,
            "vocab_size": size,
            "initializer_range": 0.2,
            "encoder_hidden_size": 32,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        text_config=text.to_dict(),
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=0.2,
    )


def tiny_pair(cls=Blip2IDCForConditionalGeneration, t5: bool = False, height: int = 56, width: int = 28):
    """A tiny random model of class `cls` and its [`Blip2IDCProcessor`], with a canvas of `height` x `width` pixels."""
    tokenizer = t5_tokenizer() if t5 else opt_tokenizer()
    image_processor = BlipImageProcessorPil(size={"height": height, "width": width})
    stop_token = "</s>" if t5 else None
    processor = Blip2IDCProcessor(image_processor, tokenizer, num_query_tokens=QUERIES, stop_token=stop_token)
    config = tiny_config(tokenizer, t5, Blip2Config if cls is Blip2ForConditionalGeneration else Blip2IDCConfig)
    torch.manual_seed(0)
    model = cls(config).eval()
    torch.nn.init.normal_(model.query_tokens)
    return model, processor


def random_pairs(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of noise images, 30x20 pixels."""
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)) for _ in range(count)]
