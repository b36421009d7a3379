"""An adapter as peft 0.5 wrote it, and its base."""

import pytest

from tests.modeling_blip2idc.adapters import NAME, random_weights, write_old


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
