"""Random InstructPix2Pix pipelines of several sizes, for `benchmarks/synthesis.py`."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

CHARACTERS = [chr(code) for code in range(33, 127)]
# Channels of the levels: UNet, autoencoder. "full" is Stable Diffusion 1.5, of which InstructPix2Pix is a fine-tune.
CHANNELS = {
    "tiny": ((8, 16, 16), (4, 4, 4, 4)),
    "small": ((32, 64, 64, 64), (8, 8, 16, 16)),
    "full": ((320, 640, 1280, 1280), (128, 256, 512, 512)),
}
GROUPS = {"tiny": 4, "small": 8, "full": 32}
WIDTHS = {"tiny": (16, 1), "small": (64, 2), "full": (768, 12)}  # of the text encoder, and its layers


def save_pipeline(geometry: str, folder: Path, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
    """
    Saves a `StableDiffusionInstructPix2PixPipeline` with random weights.

    Args:
        geometry (`str`): of `CHANNELS`. The latents have an eighth of the image's sides in each of them.
        folder (`Path`): where to.
        dtype (`torch.dtype`, *optional*, defaults to `torch.float32`): of the weights.
        seed (`int`, *optional*, defaults to 0): of them.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.manual_seed(seed)
    (denoiser, coder), groups, (width, layers) = CHANNELS[geometry], GROUPS[geometry], WIDTHS[geometry]
    heads = 8 if geometry == "full" else 2
    names = [*CHARACTERS, *(f"{name}</w>" for name in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(names), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=max(2, width // 64), bos_token_id=len(names) - 2, eos_token_id=len(names) - 1,
        pad_token_id=len(names) - 1,
    )  # fmt: skip
    kinds = ["CrossAttn"] * (len(denoiser) - 1) + [""]  # the lowest level has no attention
    if geometry != "full":
        kinds[0] = ""  # nor the highest, which would take most of the time
    unet = UNet2DConditionModel(
        in_channels=8, out_channels=4, cross_attention_dim=width, attention_head_dim=heads,
        layers_per_block=2 if geometry == "full" else 1, norm_num_groups=groups, block_out_channels=denoiser,
        down_block_types=[f"{kind}DownBlock2D" for kind in kinds],
        up_block_types=[f"{kind}UpBlock2D" for kind in reversed(kinds)],
    )  # fmt: skip
    vae = AutoencoderKL(
        latent_channels=4, layers_per_block=2 if geometry == "full" else 1, norm_num_groups=min(coder[0], groups),
        block_out_channels=coder, down_block_types=["DownEncoderBlock2D"] * len(coder),
        up_block_types=["UpDecoderBlock2D"] * len(coder),
    )  # fmt: skip
    noise = EulerAncestralDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    StableDiffusionInstructPix2PixPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer, unet=unet, scheduler=noise,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).to(dtype).save_pretrained(folder)  # fmt: skip
