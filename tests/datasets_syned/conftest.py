"""The material of these tests: drawn once."""

import pytest

from tests.support.photo_material import draw_objects, draw_photographs


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Arguments `photographs` and `objects`, as of `load_dataset`."""
    folder = tmp_path_factory.mktemp("material")
    return {
        "photographs": str(draw_photographs(folder / "photographs")),
        "objects": str(draw_objects(folder / "objects")),
    }
