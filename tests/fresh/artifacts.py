"""
Makes a model of each kind and puts it on a Hub; says what each one has to say. Run as a script, with this package.

Its arguments: a folder, and a file of JSON with the `pairs` (paths of images).
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from peft import get_peft_model

from modeling_blip2idc import ImageDifferenceCaptioningPipeline, load_idc, lora_config
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
from modeling_blip2idc.cli.pictures import write_canvas
from modeling_blip2idc.hub.merge import merge
from modeling_blip2idc.hub.push import publish, push
from modeling_blip2idc.hub.saving import name_base


def make_adapter(folder: Path, base: str | Path) -> None:
    """An adapter that changes what the model says, with a canvas and generation settings that its base has not."""
    model, processor = load_idc(base)
    processor.concat_axis = "horizontal"
    torch.manual_seed(0)
    adapted = get_peft_model(model, lora_config(init_lora_weights=False))
    for name, tensor in adapted.named_parameters():
        if "lora_B" in name:
            tensor.data.mul_(0.2)  # so that the captions are still words
    adapted.save_pretrained(folder)
    name_base(folder, base)
    processor.save_pretrained(folder)
    model.generation_config.update(max_new_tokens=9, num_beams=2)
    model.generation_config.save_pretrained(folder)


def expect(repo: str, pairs: list[tuple[str, str]]) -> tuple[list[dict], np.ndarray]:
    """Captions, and logits."""
    model, processor = load_idc(repo)
    pipe = ImageDifferenceCaptioningPipeline(model=model, processor=processor, device="cpu")
    captions = [captions[0] for captions in pipe(pairs)]
    with torch.no_grad():
        return captions, model(**processor(images=pairs)).logits.numpy()


def main(folder: Path, plan: Path) -> None:
    pairs = [tuple(pair) for pair in json.loads(plan.read_text())["pairs"]]
    push(EMBEDDED["mini"], "ann/full")
    publish(merge("ann/full", folder / "plain"), "ann/plain")  # a base that knows nothing of us
    for name, base in (("on-full", "ann/full"), ("on-plain", "ann/plain"), ("on-embedded", EMBEDDED["mini"])):
        make_adapter(folder / name, base)
        push(folder / name, f"ann/{name}")
    publish(merge("ann/on-full", folder / "merged"), "ann/merged")
    for index, (before, after) in enumerate(pairs):
        write_canvas(before, after, folder / f"{index}.png", "ann/merged")
    repos = ("ann/full", "ann/on-full", "ann/on-plain", "ann/on-embedded", "ann/merged")
    found = {repo: expect(repo, pairs) for repo in repos}
    np.savez(folder / "logits.npz", **{repo: logits for repo, (_, logits) in found.items()})
    print(json.dumps({repo: captions for repo, (captions, _) in found.items()}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
