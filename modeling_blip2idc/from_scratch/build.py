"""
Building and initialising a small BLIP-2 that is trained from nothing.

The default initialisation of transformers is meant to be overwritten by a checkpoint: patch features near zero, all
query tokens equal. A model that starts there does not learn. What follows does.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from ..configuration_blip2idc import Blip2IDCConfig
from ..modeling_blip2idc import Blip2IDCForConditionalGeneration
from ..processing_blip2idc import Blip2IDCProcessor
from .auxiliary_heads import DifferenceAuxiliary

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "\n", "<image>")  # the first four as OPT numbers them
GEOMETRY = {
    "patch_size": 16, "width": 128, "heads": 4, "vision_layers": 4, "qformer_layers": 2, "text_layers": 2,
    "num_query_tokens": 8,
}  # fmt: skip


def sincos_positions(height: int, width: int, dim: int) -> torch.Tensor:
    """Two-dimensional sine-cosine position embeddings, `(height * width, dim)`; `dim` is a multiple of four."""
    omega = 1.0 / 100 ** (torch.arange(dim // 4) / (dim / 4))
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    angles = [p.flatten()[:, None] * omega for p in (y, x)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1)


@torch.no_grad()
def initialize_from_scratch(model: PreTrainedModel, concat_axis: str = "vertical", seed: int = 0) -> PreTrainedModel:
    """
    Initialises a BLIP-2 in place so that it can be trained on stacked pairs without any pretrained part.

    - Matrices are drawn from N(0, 1/fan_in), those that write into a residual stream at 0.6 of that.
    - Both halves of the canvas share sine-cosine position embeddings and differ by a constant vector only, and the
      vision tower's key projections start equal to its query projections: from the first step a patch attends to its
      twin in the other image.
    - Query tokens are drawn from N(0, 0.5), so that they differ.

    Args:
        model (`Blip2ForConditionalGeneration`):
            With an OPT language model.
        concat_axis (`str`, *optional*, defaults to `"vertical"`):
            Along which the pair is stacked.
        seed (`int`, *optional*, defaults to 0):
            Of the draw.

    Returns:
        `Blip2ForConditionalGeneration`: the same model.

    Raises:
        `ValueError`: if the patches cannot be divided into two halves.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal_(parameter, std):
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    writes_to_residual = tuple(
        f"{module}.weight" for module in ("projection", "fc2", "out_proj", "output.dense", "output_query.dense")
    )
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and "embed" not in name and name != "query_tokens":
            normal_(parameter, (0.6 if name.endswith(writes_to_residual) else 1.0) / math.sqrt(parameter[0].numel()))
        elif name.endswith("bias"):
            parameter.zero_()

    embeddings = model.vision_model.embeddings
    normal_(embeddings.patch_embedding.weight, 1.0 / math.sqrt(embeddings.patch_embedding.weight[0].numel()))
    normal_(embeddings.class_embedding, 0.5)
    embeddings.position_embedding.copy_(_shared_positions(embeddings, concat_axis, generator))
    for layer in model.vision_model.encoder.layers:
        query, key, _ = layer.self_attn.qkv.weight.chunk(3)
        key.copy_(query)
    normal_(model.query_tokens, 0.5)
    decoder = model.language_model.get_decoder()
    normal_(decoder.embed_tokens.weight, 1.0 / math.sqrt(decoder.embed_tokens.embedding_dim))
    normal_(decoder.embed_positions.weight, 0.3 / math.sqrt(decoder.embed_tokens.embedding_dim))
    return model


def _shared_positions(embeddings, concat_axis, generator):
    grid, dim = embeddings.image_size // embeddings.patch_size, embeddings.embed_dim
    if grid % 2:
        raise ValueError(f"image_size // patch_size must be even to hold two halves, got {grid}")
    half = torch.randn((2, 1, dim), generator=generator) * 0.3
    if concat_axis == "vertical":
        positions = sincos_positions(grid // 2, grid, dim)[None] + half  # (2, grid * grid / 2, dim)
    else:
        positions = sincos_positions(grid, grid // 2, dim)[None] + half
        positions = positions.view(2, grid, grid // 2, dim).transpose(0, 1)
    zero = torch.zeros(1, dim)  # the class token's
    return torch.cat([zero, positions.reshape(grid * grid, dim)])[None]


def build_from_scratch(
    words: Iterable[str],
    canvas_size: int = 128,
    concat_axis: str = "vertical",
    seed: int = 0,
    no_change_captions: Sequence[str] | None = None,
    attn_implementation: str = "sdpa",
    **geometry: int,
) -> tuple[Blip2IDCForConditionalGeneration, Blip2IDCProcessor]:
    """
    Builds a small BLIP-2 with OPT, its word tokenizer and its processor, ready to be trained from nothing.

    Args:
        words (`Iterable[str]`):
            Every word that captions use; others become `<unk>`.
        canvas_size (`int`, *optional*, defaults to 128):
            Side of the square canvas, in pixels.
        concat_axis (`str`, *optional*, defaults to `"vertical"`):
            Along which pairs are stacked.
        seed (`int`, *optional*, defaults to 0):
            Of the initialisation.
        no_change_captions (`Sequence[str]`, *optional*):
            Captions that mean that nothing changed.
        attn_implementation (`str`, *optional*, defaults to `"sdpa"`):
            While it is trained. In bfloat16 on a CPU, "eager" takes 0.6 of the time (torch 2.13, head size 32).
        geometry (`int`):
            Any of `GEOMETRY`. All three towers are `width` wide and their MLPs four times that; every Q-Former layer
            has cross-attention.

    Returns:
        `tuple`: the [`Blip2IDCForConditionalGeneration`] and its [`Blip2IDCProcessor`].

    Raises:
        `ValueError`: if the geometry has an unknown name.
    """
    if unknown := sorted(set(geometry) - set(GEOMETRY)):
        raise ValueError(f"unknown geometry {', '.join(unknown)}; known are {', '.join(GEOMETRY)}")
    g, tokenizer = {**GEOMETRY, **geometry}, word_tokenizer(words)
    width, special = g["width"], {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    special["eos_token_id"] = tokenizer.convert_tokens_to_ids("\n")
    tower = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": g["heads"]}
    qformer = {"encoder_hidden_size": width, "cross_attention_frequency": 1, "vocab_size": len(tokenizer)}
    qformer |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    text = {"model_type": "opt", "hidden_size": width, "ffn_dim": 4 * width, "num_attention_heads": g["heads"]}
    text |= {"word_embed_proj_dim": width, "max_position_embeddings": 64, "vocab_size": len(tokenizer), "dropout": 0.0}
    config = Blip2IDCConfig(
        vision_config={**tower, "num_hidden_layers": g["vision_layers"], "image_size": canvas_size,
                       "patch_size": g["patch_size"]},
        qformer_config={**tower, **qformer, "num_hidden_layers": g["qformer_layers"]},
        text_config={**text, **special, "num_hidden_layers": g["text_layers"]},
        num_query_tokens=g["num_query_tokens"],
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    if no_change_captions is not None:
        config.no_change_captions = list(no_change_captions)
    model = initialize_from_scratch(Blip2IDCForConditionalGeneration(config), concat_axis, seed)
    model.set_attn_implementation(attn_implementation)
    model.generation_config = GenerationConfig(max_new_tokens=32, **special)
    images = BlipImageProcessorPil(size={"height": canvas_size, "width": canvas_size})
    return model, Blip2IDCProcessor(images, tokenizer, g["num_query_tokens"], concat_axis, stop_token="\n")


def word_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are whole words, with OPT's special tokens, a line break and `<image>`."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL_TOKENS, *sorted(set(words))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["\n", "<image>"],
    )


def add_auxiliary(model: PreTrainedModel, *classes: Mapping) -> PreTrainedModel:
    """
    Hangs [`DifferenceAuxiliary`] heads on a model, as `model.auxiliary`, so that checkpoints of a training run hold
    them too. [`remove_auxiliary`] takes them off.

    Args:
        model (`Blip2ForConditionalGeneration`):
            To be trained.
        classes (`dict`):
            `patch_classes`, `pair_classes` and `class_weights` of [`DifferenceAuxiliary`].

    Returns:
        `Blip2ForConditionalGeneration`: the same model.
    """
    config = model.config
    sizes = (config.vision_config.hidden_size, config.qformer_config.hidden_size, config.num_query_tokens)
    model.auxiliary = DifferenceAuxiliary(*sizes, *classes)
    return model


def remove_auxiliary(model: PreTrainedModel) -> PreTrainedModel:
    """Takes the heads off a model again and returns it: a plain BLIP-2."""
    del model.auxiliary
    return model


__all__ = [
    "add_auxiliary", "build_from_scratch", "initialize_from_scratch", "remove_auxiliary", "sincos_positions",
    "word_tokenizer",
]  # fmt: skip
