"""Tiny random BLIP-2 (OPT, T5) and InstructBLIP (LLaMA, T5) models, built here and offline."""

import json

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from tokenizers import decoders as token_decoders
from transformers import (
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipImageProcessorPil,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    LlamaConfig,
    LlamaTokenizer,
    OPTConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from modeling_blip2idc import (
    Blip2IDCConfig,
    Blip2IDCForConditionalGeneration,
    Blip2IDCProcessor,
    InstructBlipIDCConfig,
    InstructBlipIDCForConditionalGeneration,
    InstructBlipIDCProcessor,
)

QUERIES = 4
FAMILIES = ["opt", "t5", "llama", "instruct_t5"]
INSTRUCTION = "What changed between the two images?"
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


def bosless_tokenizer() -> PreTrainedTokenizerFast:
    """As Qwen's: of a decoder, without BOS."""
    return _tokenizer(["<pad>", "</s>"], "$A", eos_token="</s>", pad_token="<pad>")


def llama_tokenizer() -> LlamaTokenizer:
    """
    As that of the InstructBLIP-Vicuna checkpoints: words begin with a meta space, `</s>` is BOS, EOS and unknown,
    bytes stand for what is no token, `[PAD]` was added.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special)
    tokenizer.train_from_iterator([*CAPTIONS * 2, INSTRUCTION], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    names = {"bos_token": "</s>", "unk_token": "</s>", "add_bos_token": True}
    tokenizer = LlamaTokenizer(vocab=model["vocab"], merges=merges, **names)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    return tokenizer


def qformer_tokenizer() -> BertTokenizer:
    """As that of the InstructBLIP checkpoints: BERT's, and `[DEC]`."""
    words = sorted({*INSTRUCTION.lower().rstrip("?").split(), *" ".join(CAPTIONS).split()})
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *words]
    tokenizer = BertTokenizer(vocab={name: i for i, name in enumerate(names)})
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    return tokenizer


def _towers(qformer_vocabulary: int) -> dict[str, dict]:
    """ViT and Q-Former whose output depends on the image (initialisers well above the defaults)."""
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {
        "vision_config": {**layers, "image_size": 28, "patch_size": 14, "initializer_range": 0.2},
        "qformer_config": {
            **layers,
            "vocab_size": qformer_vocabulary,
            "initializer_range": 0.2,
            "encoder_hidden_size": 32,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
    }


def _t5(vocabulary: int) -> T5Config:
    return T5Config(
        vocab_size=vocabulary, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.0,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip


def tiny_config(tokenizer: PreTrainedTokenizerFast, t5: bool = False, cls=Blip2IDCConfig) -> Blip2Config:
    """
    A BLIP-2 of some 60,000 parameters whose output depends on the image.

    Args:
        tokenizer (`PreTrainedTokenizerFast`): with its `<image>` token added.
        t5 (`bool`, *optional*, defaults to `False`): T5 instead of OPT.
        cls (`type`, *optional*, defaults to `Blip2IDCConfig`): or `Blip2Config`.
    """
    size = len(tokenizer)
    line_break = tokenizer("\n", add_special_tokens=False)["input_ids"]
    opt = OPTConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, ffn_dim=64, num_attention_heads=4,
        max_position_embeddings=128, word_embed_proj_dim=32, bos_token_id=2, eos_token_id=line_break[0],
        pad_token_id=1, dropout=0.0, init_std=0.2,
    )  # fmt: skip
    return cls(
        **_towers(size),
        text_config=(_t5(size) if t5 else opt).to_dict(),
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


def tiny_instructblip(cls=InstructBlipIDCForConditionalGeneration, t5: bool = False):
    """A tiny random InstructBLIP (LLaMA or T5) of class `cls` and its [`InstructBlipIDCProcessor`], canvas 56x28."""
    tokenizer, instruction_tokenizer = t5_tokenizer() if t5 else llama_tokenizer(), qformer_tokenizer()
    image_processor = BlipImageProcessorPil(size={"height": 56, "width": 28})
    processor = InstructBlipIDCProcessor(image_processor, tokenizer, instruction_tokenizer, QUERIES)
    size = len(tokenizer)
    llama = LlamaConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, intermediate_size=64, num_attention_heads=4,
        max_position_embeddings=128, bos_token_id=2, eos_token_id=2, pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
    )  # fmt: skip
    config_class = InstructBlipConfig if cls is InstructBlipForConditionalGeneration else InstructBlipIDCConfig
    config = config_class(
        **_towers(len(instruction_tokenizer)),
        text_config=(_t5(size) if t5 else llama).to_dict(),
        num_query_tokens=QUERIES,
        image_token_index=processor.image_token_id,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    model = cls(config).eval()
    torch.nn.init.normal_(model.query_tokens)
    return model, processor


def tiny(family: str):
    """Model and processor of one of `FAMILIES`."""
    t5 = "t5" in family
    return tiny_pair(t5=t5) if family in ("opt", "t5") else tiny_instructblip(t5=t5)


def stock_of(model):
    """The stock model with the same weights."""
    blip2 = isinstance(model, Blip2ForConditionalGeneration)
    config_class = Blip2Config if blip2 else InstructBlipConfig
    model_class = Blip2ForConditionalGeneration if blip2 else InstructBlipForConditionalGeneration
    config = model.config.to_dict()
    names = ("vision_config", "qformer_config", "text_config", "num_query_tokens", "image_token_index")
    stock = model_class(config_class(**{name: config[name] for name in names})).eval()
    stock.load_state_dict(model.state_dict())
    return stock


@torch.no_grad()
def logits(model, inputs, **options) -> torch.Tensor:
    """Of a forward pass; of T5, after three tokens of the decoder."""
    if model.config.text_config.is_encoder_decoder and "labels" not in inputs:
        options["decoder_input_ids"] = torch.tensor([[0, 5, 6]] * len(inputs["pixel_values"]))
    return model(**inputs, **options).logits


def random_pairs(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of noise images, 30x20 pixels."""
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)) for _ in range(count)]
