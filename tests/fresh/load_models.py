"""
Loads models by their names on a Hub, and says what they say. Runs where transformers, peft, torch and pillow are.

Its argument is a file of JSON: `pairs` and `canvases`, paths of images; `repos`, which kind each is ("full",
"adapter", "embedded" or "merged"); `trust`, whether the code there may run. Beside it goes logits.npz.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from peft import PeftModel
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, pipeline
from transformers.utils import logging

TASK = "image-difference-captioning"

logging.set_verbosity_error()
logging.disable_progress_bar()
plan = json.loads(Path(sys.argv[1]).read_text())
pairs = [tuple(pair) for pair in plan["pairs"]]
trust = {"trust_remote_code": True} if plan["trust"] else {}
found, logits = {}, {}


def load(repo):
    return AutoModelForImageTextToText.from_pretrained(repo, **trust).eval()


@torch.no_grad()
def run(model, inputs):
    return model(**inputs).logits.numpy()


def say(repo, **how):
    pipe = pipeline(TASK, model=repo, device="cpu", **how, **trust)
    return {"pipeline": [captions[0] for captions in pipe(pairs)], "code": type(pipe).__module__.split(".")[0]}


for repo, kind in plan["repos"].items():
    if kind == "embedded":  # an adapter whose base is in our package: only its pipeline finds that
        found[repo] = say(repo, config=repo)
        continue
    model, processor = load(repo), AutoProcessor.from_pretrained(repo, **trust)
    found[repo] = {"config": AutoConfig.from_pretrained(repo, **trust).model_type, "model": type(model).__name__}
    if kind == "merged":  # a stock model: the canvas is made beforehand
        images = [Image.open(file) for file in plan["canvases"]]
        inputs = processor(images=images, text=[""] * len(images), return_tensors="pt")
        ids = model.generate(**inputs, generation_config=model.generation_config)
        texts = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        found[repo]["captions"] = [text.strip() for text in texts]
    else:
        inputs = processor(images=pairs)
    logits[repo] = run(model, inputs)
    if kind == "adapter":
        base = json.loads(Path(hf_hub_download(repo, "adapter_config.json")).read_text())["base_model_name_or_path"]
        logits[f"{repo} by peft"] = run(PeftModel.from_pretrained(load(base), repo).eval(), inputs)
    if kind != "merged" or not trust:  # with our package a merged model takes pairs as well
        # of an adapter transformers reads the configuration of the base, where no pipeline need be
        found[repo] |= say(repo, **({"config": repo} if kind == "adapter" and trust else {}))
np.savez(Path(sys.argv[1]).parent / "logits.npz", **logits)
