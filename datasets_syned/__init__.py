"""
Datasets for image difference captioning: pairs of images and what differs, in words.

Importing this package lets `datasets.load_dataset("syned")` find the configurations that are made or read here.
"""

from .augment import BlurJPEG
from .collator import IDCCollator
from .registration import register
from .schema import FEATURES, validate

register()

__all__ = ["FEATURES", "BlurJPEG", "IDCCollator", "register", "validate"]
