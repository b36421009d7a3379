"""The embedded benchmark of edits on real photographs, composed on this machine."""

from .captions import CATEGORIES, NO_CHANGE_CAPTIONS
from .material import Material, load_material
from .pair import PhotoPair, make_pair

__all__ = ["CATEGORIES", "NO_CHANGE_CAPTIONS", "Material", "PhotoPair", "load_material", "make_pair"]
