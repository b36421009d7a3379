"""What the tests of `evaluate_idc.py` share."""

from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
import torch

import evaluate_arguments
import evaluate_idc
from tests.support import layouts

RECORDS = [
    {"img_id": "1", "sentences": ["the car is gone", "there is no car"]},
    {"img_id": "2", "sentences": ["a man came"]},
    {"img_id": "3", "sentences": ["", ""]},
    {"img_id": "2", "sentences": ["a person is there now"]},
    {"img_id": "4", "sentences": ["two people left"]},
]
SAID = {"1": "the car is gone", "2": "a person is there", "4": "people left"}


def quiet_place(cache: Path) -> Iterator[None]:
    """Caches of this run, one thread, and no Java, here and in processes of the tests: METEOR has its own tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache / "datasets")
        patch.setenv("HF_DATASETS_CACHE", str(cache / "datasets"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PATH", "")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


def run(*words) -> dict:
    """What the command does with these words, in this process."""
    return evaluate_idc.main(evaluate_arguments.parse([str(word) for word in words]))


def results(path: Path, said: dict[str, str] = SAID, more: list[dict] = ()) -> Path:
    """A result file as the field writes them."""
    return layouts.write(path, [*({"image_id": int(name), "caption": text} for name, text in said.items()), *more])
