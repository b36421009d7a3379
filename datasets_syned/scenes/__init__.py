"""The embedded benchmark: rendered pairs in the style of CLEVR-Change, needing no download."""

from .captions import NO_CHANGE_CAPTIONS
from .changes import CATEGORIES
from .pair import ScenePair, make_pair

__all__ = ["CATEGORIES", "NO_CHANGE_CAPTIONS", "ScenePair", "make_pair"]
