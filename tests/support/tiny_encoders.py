"""Tiny random CLIP and DINOv2 models whose output depends on what they see, saved as those of the Hub are."""

from pathlib import Path

import torch
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
)

SIDE = 32  # pixels
LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def clip_tokenizer(length: int = 77) -> CLIPTokenizer:
    """CLIP's, with single characters as its only tokens."""
    letters = [chr(i) for i in range(33, 127)]
    names = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=length)


def save_clip(folder: Path, seed: int = 0) -> Path:
    """
    Saves a random CLIP of some 50,000 parameters with its processor.

    Args:
        folder (`Path`): made if needed.
        seed (`int`, *optional*, defaults to 0): of the weights.

    Returns:
        `Path`: `folder`.
    """
    tokenizer = clip_tokenizer()
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    layers = LAYERS | {"intermediate_size": 64, "initializer_range": 0.2}
    config = CLIPConfig(
        text_config={**layers, **tokens, "vocab_size": len(tokenizer), "max_position_embeddings": 77},
        vision_config={**layers, "image_size": SIDE, "patch_size": 8},
        projection_dim=16,
        initializer_factor=5.0,
    )
    torch.manual_seed(seed)
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def save_dinov2(folder: Path, seed: int = 0) -> Path:
    """Saves a random DINOv2 of some 25,000 parameters with its image processor; takes what [`save_clip`] takes."""
    torch.manual_seed(seed)
    config = Dinov2Config(**LAYERS, mlp_ratio=2, image_size=SIDE, patch_size=8, initializer_range=0.2)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, resample=3
    ).save_pretrained(folder)
    return folder
