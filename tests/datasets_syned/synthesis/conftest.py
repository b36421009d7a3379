"""Tiny encoders, made once for the tests of the filters."""

import pytest

from tests.support.tiny_encoders import save_clip, save_dinov2


@pytest.fixture(scope="session")
def clip_dir(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("encoders") / "tiny-clip")


@pytest.fixture(scope="session")
def dino_dir(tmp_path_factory):
    return save_dinov2(tmp_path_factory.mktemp("encoders") / "tiny-dinov2")


@pytest.fixture
def clip(clip_dir):
    """Arguments of a filter."""
    return {"model": str(clip_dir), "device": "cpu"}
