"""The embedded benchmark of edits on real photographs, composed on this machine."""

from .captions import CATEGORIES, NO_CHANGE_CAPTIONS
from .composer import PhotoPair
from .material import Material, load_material
from .pair import make_pair

__all__ = ["CATEGORIES", "NO_CHANGE_CAPTIONS", "Material", "PhotoPair", "load_material", "make_pair"]
