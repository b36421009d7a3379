"""An adapter as peft 0.5 wrote it, and its base; a pipeline over the tiny model, and pairs for it."""

import pytest
from transformers import pipeline

from tests.support.adapters import NAME, random_weights, write_old
from tests.support.pipelines import TASK
from tests.support.tiny_blip2 import random_pairs


@pytest.fixture(scope="module")
def weights(plain_dir):
    """Of the adapter; not to be changed."""
    return random_weights(plain_dir)


@pytest.fixture
def old(tmp_path, weights):
    """Folder of an adapter with `weights`."""
    return write_old(tmp_path / NAME, weights)


@pytest.fixture
def base(tmp_path, plain_dir):
    """Folder of its base, beside it."""
    (tmp_path / "base").symlink_to(plain_dir)
    return tmp_path / "base"


@pytest.fixture(scope="module")
def pairs():
    return random_pairs(33)


@pytest.fixture(scope="module")
def pipe(tiny_model_dir):
    return pipeline(TASK, model=str(tiny_model_dir), device="cpu", max_new_tokens=6)
