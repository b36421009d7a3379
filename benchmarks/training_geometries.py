"""What `training.py` trains: models of three sizes, rows for them, and the FLOPs that a pair takes."""

import math
import re
from pathlib import Path

import torch
from transformers import BlipImageProcessorPil

from benchmarks.canvas import write_photo
from modeling_blip2idc import Blip2IDCConfig, Blip2IDCForConditionalGeneration, Blip2IDCProcessor
from modeling_blip2idc.from_scratch.build import word_tokenizer
from modeling_blip2idc.loading.load import load_idc

# Width, MLP, layers, heads of ViT, Q-Former and OPT.
TOWERS = {
    "tiny": ((32, 64, 2, 4), (32, 64, 2, 4), (32, 64, 2, 4)),
    "mid": ((768, 3072, 12, 12), (768, 3072, 12, 12), (768, 3072, 12, 12)),
    "full": ((1408, 6144, 39, 16), (768, 3072, 12, 12), (2560, 10240, 32, 32)),
}
BATCH = {"mini": 32, "tiny": 4, "mid": 8, "full": 32}
STEPS = {"mini": 16, "tiny": 2, "mid": 3, "full": 10}  # of a block, that count
CAPTIONS = [  # 4 to 17 words, the lengths of Spot-the-Diff
    "there is no difference",
    "the person in the blue shirt is gone",
    "a white car has appeared on the left side of the parking lot",
    "the two people who were walking next to the red truck are no longer in the picture",
]
# What is there before the first adapter needs no gradient: in the first attention of the ViT and of the Q-Former.
FIRST = re.compile(
    r"vision_model\.encoder\.layers\.0\.self_attn\.qkv|qformer\.encoder\.layer\.0\.attention\.attention"
)
OF_IMAGE = re.compile(r"vision_model|crossattention\.attention\.(key|value)")


def build(geometry, device="cpu"):
    """
    A model of ours without an adapter, the same at every call, and its processor. Its weights have the dtype that
    `load_trainable` gives frozen ones: bfloat16 on a GPU, float32 on a CPU.
    """
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    if geometry == "mini":
        model, processor = load_idc(dtype=dtype)
        return model.to(device), processor
    side = 28 if geometry == "tiny" else 224
    tokenizer = word_tokenizer(" ".join(CAPTIONS).split())
    processor = Blip2IDCProcessor(BlipImageProcessorPil(size={"height": side, "width": side}), tokenizer, 32)
    vision, qformer, text = (
        dict(zip(("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"), sizes, strict=True))
        for sizes in TOWERS[geometry]
    )
    config = Blip2IDCConfig(
        vision_config={**vision, "image_size": side, "patch_size": 14, "initializer_range": 0.02},
        qformer_config={**qformer, "encoder_hidden_size": vision["hidden_size"]},
        text_config={
            **text, "model_type": "opt", "ffn_dim": text["intermediate_size"], "vocab_size": 50304,
            "word_embed_proj_dim": text["hidden_size"], "bos_token_id": 2, "pad_token_id": 1, "eos_token_id": 4,
        },
        num_query_tokens=32,
        image_token_index=processor.image_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model = Blip2IDCForConditionalGeneration._from_config(config, dtype=dtype)
    torch.nn.init.normal_(model.query_tokens, std=0.5)  # stock: all are zero
    return model, processor


def load_rows(geometry, folder):
    """Rows whose images are files in `folder`, made by the first call, or rendered scenes."""
    count = 48 * BATCH[geometry]
    if geometry == "mini":
        import datasets

        import datasets_syned  # noqa: F401  registers the data set

        datasets.disable_progress_bars()
        return datasets.load_dataset("syned", split="train", train=count, validation=0, test=0)
    pairs = []
    for i in range(8):
        pairs.append([Path(folder, f"{i}_{which}.jpg") for which in ("before", "after")])
        for which, path in enumerate(pairs[-1]):
            if not path.exists():
                write_photo(path, (500, 400), 2 * i + which)
    images = [{"before": str(before), "after": str(after)} for before, after in pairs]
    return [{"id": str(i), "captions": CAPTIONS, **images[i % len(images)]} for i in range(count)]


def count_flops(model, tokens, learned):
    """
    FLOPs of a pair in training, two for each multiplication with an addition in a matrix product.

    Forward, a matrix costs `2 x its size x positions`. Backward, the gradient of its input costs the same, and that of
    the matrix itself again, but only LoRA's are trained: 4 for a frozen matrix, 6 for a trained one. What lies below
    the first adapter has no gradient. Attention's two products, of `2 x queries x keys x width` each, count three
    times; those that a causal mask hides are not taken off. Nothing is counted twice that is computed twice.

    Args:
        model (`PeftModel`): BLIP-2 with OPT; it may be on the meta device.
        tokens (`int`): positions of the language model, image tokens included.
        learned (`int`): positions at which logits are computed.
    """
    config = model.config
    vision, qformer, text = config.vision_config, config.qformer_config, config.text_config
    patches, queries = (vision.image_size // vision.patch_size) ** 2, config.num_query_tokens
    flops = 2 * model.get_base_model().vision_model.embeddings.patch_embedding.weight.numel() * patches
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear):
            continue
        if OF_IMAGE.search(name):
            positions = patches + 1
        elif "language_model" in name:
            positions = learned if "lm_head" in name else tokens
        else:
            positions = queries
        products = 3 if module.weight.requires_grad else 2
        if FIRST.search(name):
            products -= "lora_B" not in name
        flops += 2 * products * module.weight.numel() * positions
    crossed = math.ceil(qformer.num_hidden_layers / qformer.cross_attention_frequency)
    attended = vision.num_hidden_layers * (patches + 1) ** 2 * vision.hidden_size
    attended += (qformer.num_hidden_layers * queries + crossed * (patches + 1)) * queries * qformer.hidden_size
    attended += text.num_hidden_layers * tokens**2 * text.hidden_size
    return flops + 3 * 2 * 2 * attended
