"""Tiny random diffusers pipelines that edit images by instructions, built here and offline, saved as on the Hub."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from diffusers.utils import logging as diffusers_logging
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

diffusers_logging.disable_progress_bar()

CHARACTERS = [chr(code) for code in range(33, 127)]


def clip_tokenizer(length: int = 77) -> CLIPTokenizer:
    """As CLIP's, of single characters."""
    names = [*CHARACTERS, *(f"{name}</w>" for name in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=length)


def t5_tokenizer() -> T5Tokenizer:
    """As T5's, of single characters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((name, -3.0) for name in CHARACTERS)]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def clip_text_model(tokenizer: CLIPTokenizer, width: int = 16, layers: int = 1) -> CLIPTextModel:
    """Its output depends on the words (an initialiser well above the default)."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=2, max_position_embeddings=tokenizer.model_max_length, initializer_factor=10.0,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config).eval()


def autoencoder(blocks: int = 4, **config) -> AutoencoderKL:
    """Halves the image `blocks - 1` times; four channels of latents."""
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=64, layers_per_block=1, norm_num_groups=4,
        block_out_channels=[8] * blocks, down_block_types=["DownEncoderBlock2D"] * blocks,
        up_block_types=["UpDecoderBlock2D"] * blocks, **config,
    ).eval()  # fmt: skip


def unet(in_channels: int = 8) -> UNet2DConditionModel:
    """A UNet whose output depends on the prompt."""
    return UNet2DConditionModel(
        in_channels=in_channels, out_channels=4, sample_size=8, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 16), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16, attention_head_dim=2,
    ).eval()  # fmt: skip


def strict_checker() -> StableDiffusionSafetyChecker:
    """A safety checker that refuses every image: no likeness is below its thresholds."""
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(vision_config={**layers, "image_size": 28, "patch_size": 14}, projection_dim=8)
    checker = StableDiffusionSafetyChecker(config).eval()
    torch.nn.init.constant_(checker.concept_embeds_weights, -2.0)
    return checker


def save_instruct_pix2pix(
    folder: Path, ancestral: bool = False, safety_checker: bool = False, safe_serialization: bool = True, seed: int = 0
) -> Path:
    """
    Saves a `StableDiffusionInstructPix2PixPipeline` of some 100,000 parameters, which takes sizes of multiples of 8.

    Args:
        folder (`Path`): which it is saved to.
        ancestral (`bool`, *optional*, defaults to `False`):
            `EulerAncestralDiscreteScheduler`, as timbrooks/instruct-pix2pix has: it draws noise at every step. Else
            DDIM, whose only noise is the first.
        safety_checker (`bool`, *optional*, defaults to `False`): one that refuses every image.
        safe_serialization (`bool`, *optional*, defaults to `True`): safetensors, not pickles.
        seed (`int`, *optional*, defaults to 0): of the weights.
    """
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    if ancestral:
        scheduler = EulerAncestralDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    else:
        scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=False)
    pipe = StableDiffusionInstructPix2PixPipeline(
        vae=autoencoder(), text_encoder=clip_text_model(tokenizer), tokenizer=tokenizer, unet=unet(),
        scheduler=scheduler, safety_checker=strict_checker() if safety_checker else None,
        feature_extractor=CLIPImageProcessorPil(size=28, crop_size=28) if safety_checker else None,
        requires_safety_checker=safety_checker,
    )  # fmt: skip
    pipe.save_pretrained(folder, safe_serialization=safe_serialization)
    return Path(folder)


def save_flux_kontext(folder: Path, seed: int = 0) -> Path:
    """
    Saves a `FluxKontextPipeline` of some 100,000 parameters, which takes sizes of multiples of 4: two text encoders, a
    transformer; `height`, `width`, `max_area` and `true_cfg_scale`, no `image_guidance_scale`.
    """
    torch.manual_seed(seed)
    tokenizer, tokenizer_2 = clip_tokenizer(), t5_tokenizer()
    t5 = T5Config(
        vocab_size=len(tokenizer_2), d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, dropout_rate=0.0,
    )  # fmt: skip
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=[4, 4, 8], guidance_embeds=True,
    )  # fmt: skip
    with torch.no_grad():  # else what it is told hardly shows
        for parameter in transformer.parameters():
            parameter.mul_(3)
    pipe = FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(
            blocks=2, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.0609, scaling_factor=1.0
        ),
        text_encoder=clip_text_model(tokenizer, width=32),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(t5).eval(),
        tokenizer_2=tokenizer_2,
        transformer=transformer.eval(),
    )
    pipe.save_pretrained(folder)
    return Path(folder)
