"""Folders of tiny random BLIP-2 models, made once per run, and the models in them."""

import os
import subprocess
import sys

import pytest
import torch
import yaml
from transformers import (
    Blip2ForConditionalGeneration,
    Blip2Processor,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
)
from transformers.utils import logging

from modeling_blip2idc import Blip2IDCForConditionalGeneration, Blip2IDCProcessor
from tests.support.hostile_runs import write_all, write_special
from tests.support.hub_server import HubServer
from tests.support.source_tree import ROOT
from tests.support.tiny_blip2 import tiny_instructblip, tiny_pair
from tests.support.training_runs import lora_recipe, scenes_in, toy_recipe

logging.disable_progress_bar()


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory):
    """Folder of a tiny OPT model with its processor, canvas 56x28 (height x width)."""
    folder = tmp_path_factory.mktemp("tiny_opt")
    for part in tiny_pair():
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_t5_dir(tmp_path_factory):
    """Folder of a tiny T5 model with its processor."""
    folder = tmp_path_factory.mktemp("tiny_t5")
    for part in tiny_pair(t5=True):
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_model(tiny_model_dir):
    return Blip2IDCForConditionalGeneration.from_pretrained(tiny_model_dir).eval()


@pytest.fixture
def tiny_processor(tiny_model_dir):
    return Blip2IDCProcessor.from_pretrained(tiny_model_dir)


@pytest.fixture
def tiny_t5_model(tiny_t5_dir):
    return Blip2IDCForConditionalGeneration.from_pretrained(tiny_t5_dir).eval()


@pytest.fixture
def tiny_t5_processor(tiny_t5_dir):
    return Blip2IDCProcessor.from_pretrained(tiny_t5_dir)


@pytest.fixture(scope="session")
def plain_dir(tmp_path_factory):
    """Folder of a tiny OPT model as stock transformers saves it: nothing in it is of this package."""
    folder = tmp_path_factory.mktemp("plain_opt")
    model, processor = tiny_pair(Blip2ForConditionalGeneration)
    model.save_pretrained(folder)
    Blip2Processor(
        processor.image_processor, processor.tokenizer, num_query_tokens=processor.num_query_tokens
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def instructblip_dir(tmp_path_factory):
    """Folder of a tiny InstructBLIP with LLaMA and its processor."""
    folder = tmp_path_factory.mktemp("tiny_instructblip")
    for part in tiny_instructblip():
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def plain_instructblip_dir(tmp_path_factory):
    """Folder of a tiny InstructBLIP with LLaMA as stock transformers saves it."""
    folder = tmp_path_factory.mktemp("plain_instructblip")
    model, ours = tiny_instructblip(InstructBlipForConditionalGeneration)
    model.save_pretrained(folder)
    InstructBlipProcessor(
        ours.image_processor, ours.tokenizer, ours.qformer_tokenizer, num_query_tokens=ours.num_query_tokens
    ).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def transformers_logging():
    """The commands quieten transformers, whose warnings other tests wait for."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    yield
    logging.set_verbosity(verbosity)
    logging.enable_progress_bar() if bars else logging.disable_progress_bar()


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Makes the spec of rows of one split of the rendered scenes, in a cache of this run."""
    return scenes_in(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def recipes(scenes, tmp_path_factory):
    """Folder of toy.yaml (a model from nothing) and lora.yaml."""
    folder = tmp_path_factory.mktemp("recipes")
    for name, recipe in (("toy", toy_recipe(scenes)), ("lora", lora_recipe(scenes))):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """Sums of floats depend on how many threads share them. And no Java: METEOR, tested elsewhere, outlasts a run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        patch.delenv("JAVA_HOME", raising=False)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def hub():
    """A Hub on localhost; what a test module publishes there is its own."""
    with HubServer() as server:
        yield server


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A folder of hostile files, and the environment of a process where the first `gs` leaves a mark and fails."""
    folder = tmp_path_factory.mktemp("hostile")
    write_all(folder)
    write_special(folder)
    programs = tmp_path_factory.mktemp("programs")
    for name in ("gs", "djpeg", "ppmtogif"):
        (programs / name).write_text(f"#!/bin/sh\n: > {programs}/started\n")
        (programs / name).chmod(0o755)
    yield folder, os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    assert not (programs / "started").exists()
    subprocess.run(  # nothing is wrong with the mark: Pillow by itself starts the program
        [sys.executable, "-c", f"from PIL import Image; Image.open('{folder}/postscript.png').load()"],
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert (programs / "started").exists()
