"""
Datasets for image difference captioning: pairs of images and what differs, in words.

Importing this package lets `datasets.load_dataset("syned")` find the configurations that are made or read here.
"""

import warnings

from .common.row import FEATURES, validate
from .loading.load import load
from .loading.registration import register
from .training.augmentation import BlurJPEG
from .training.collator import IDCCollator

try:
    register()
except RuntimeError as error:
    warnings.warn(str(error), stacklevel=2)

__all__ = ["FEATURES", "BlurJPEG", "IDCCollator", "load", "register", "validate"]
