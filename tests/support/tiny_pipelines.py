"""Tiny random diffusers pipelines that edit images by instructions, built here and offline, saved as on the Hub."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    DiffusionPipeline,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from diffusers.utils import logging as diffusers_logging
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.support.tiny_encoders import clip_tokenizer

diffusers_logging.disable_progress_bar()

CHARACTERS = [chr(code) for code in range(33, 127)]


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
    pipe = FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(
            blocks=2, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.0609, scaling_factor=1.0
        ),
        text_encoder=clip_text_model(tokenizer, width=32),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(t5).eval(),
        tokenizer_2=tokenizer_2,
        transformer=loud(transformer),
    )
    pipe.save_pretrained(folder)
    return Path(folder)


def byte_tokenizer(*special: str) -> Qwen2Tokenizer:
    """As Qwen's, of single bytes; its chat template shows what the user says alone."""
    template = "{% for message in messages %}{% if message.role == 'user' %}{% set said = message.content %}{{ said "
    template += "if said is string else said[0].text }}{% endif %}{% endfor %}"
    vocab = {character: i for i, character in enumerate(bytes_to_unicode().values())}
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[], chat_template=template)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return tokenizer


def loud(module: torch.nn.Module, by: float = 3.0) -> torch.nn.Module:
    """With larger weights: else what it is told hardly shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(by)
    return module.eval()


def save_sdxl_instruct_pix2pix(folder: Path) -> Path:
    """Saves a `StableDiffusionXLInstructPix2PixPipeline`, which takes sizes of multiples of 8."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    text_config = clip_text_model(tokenizer, layers=2).config
    text_config.projection_dim = 16
    denoiser = UNet2DConditionModel(
        in_channels=8, out_channels=4, sample_size=8, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 16), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32, attention_head_dim=2,
        addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=1,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )  # fmt: skip
    pipe = StableDiffusionXLInstructPix2PixPipeline(
        vae=autoencoder(), text_encoder=CLIPTextModel(text_config).eval(), tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(text_config).eval(), tokenizer_2=tokenizer,
        unet=denoiser.eval(), scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False),
    )  # fmt: skip
    pipe.save_pretrained(folder)
    return Path(folder)


def flux2_parts() -> dict:
    """What the two pipelines share; the text encoder gives three of its layers, side by side."""
    torch.manual_seed(0)
    vae = AutoencoderKLFlux2(
        block_out_channels=[8, 8], down_block_types=["DownEncoderBlock2D"] * 2, layers_per_block=1,
        up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=4, norm_num_groups=4, sample_size=64,
    )  # fmt: skip
    transformer = Flux2Transformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=3 * 16, timestep_guidance_channels=16, axes_dims_rope=[4, 4, 4, 4],
    )  # fmt: skip
    return {"vae": vae.eval(), "transformer": loud(transformer), "scheduler": FlowMatchEulerDiscreteScheduler()}


TEXT = {
    "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip


def save_flux2(folder: Path) -> Path:
    """
    Saves a `Flux2Pipeline`; the 10th, 20th and 30th layer of its text encoder are read. Its processor, which needs
    torchvision, is a tokenizer alone.
    """
    tokenizer = byte_tokenizer("[IMG]")
    config = Mistral3Config(
        text_config={"model_type": "mistral", "vocab_size": len(tokenizer), "num_hidden_layers": 30, **TEXT},
        vision_config={
            "model_type": "pixtral", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
    )  # fmt: skip
    pipe = Flux2Pipeline(
        **flux2_parts(), text_encoder=loud(Mistral3ForConditionalGeneration(config)), tokenizer=tokenizer
    )
    pipe.save_pretrained(folder)
    return Path(folder)


def save_flux2_klein(folder: Path) -> Path:
    """Saves a `Flux2KleinPipeline`; the 9th, 18th and 27th layer of its text encoder are read."""
    tokenizer = byte_tokenizer()
    config = Qwen3Config(vocab_size=len(tokenizer), num_hidden_layers=27, **TEXT)
    pipe = Flux2KleinPipeline(**flux2_parts(), text_encoder=loud(Qwen3ForCausalLM(config)), tokenizer=tokenizer)
    pipe.save_pretrained(folder)
    return Path(folder)


def save_qwen_edit(folder: Path, pipeline: type[DiffusionPipeline]) -> Path:
    """
    Saves a `QwenImageEditPipeline` or a `QwenImageEditPlusPipeline`. The half of their processor that reads videos
    needs torchvision; see [`without_videos`].
    """
    torch.manual_seed(0)
    marks = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = byte_tokenizer(*marks)
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(marks[2:]))
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "num_hidden_layers": 1, **TEXT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16,
            "fullatt_block_indexes": [0],
        },
        vision_start_token_id=start, vision_end_token_id=end, image_token_id=image, video_token_id=video,
    )  # fmt: skip
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    pipe = pipeline(
        vae=vae.eval(), text_encoder=loud(Qwen2_5_VLForConditionalGeneration(config)), tokenizer=tokenizer,
        processor=Qwen2VLProcessor(image_processor=Qwen2VLImageProcessorPil(), tokenizer=tokenizer),
        transformer=loud(transformer), scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip
    pipe.save_pretrained(folder)
    return Path(folder)


def without_videos(monkeypatch) -> None:
    """Processors of Qwen2-VL get along without their part for videos, which edits do not need."""
    monkeypatch.setattr(Qwen2VLProcessor, "get_attributes", lambda *_: ["image_processor", "tokenizer"])
