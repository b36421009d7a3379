"""
Datasets for image difference captioning: pairs of images and what differs, in words.

Importing this package lets `datasets.load_dataset("syned")` find the configurations that are made or read here.
"""

import warnings

from .augment import BlurJPEG
from .collator import IDCCollator
from .loading import load
from .registration import register
from .schema import FEATURES, validate

try:
    register()
except RuntimeError as error:
    warnings.warn(str(error), stacklevel=2)

__all__ = ["FEATURES", "BlurJPEG", "IDCCollator", "load", "register", "validate"]
