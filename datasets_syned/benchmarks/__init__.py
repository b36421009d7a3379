"""One file for each benchmark: what its authors distribute, read as it is."""

from .clevr_change import ClevrChangeConfig
from .clevr_dc import ClevrDCConfig
from .image_editing_request import ImageEditingRequestConfig
from .spot_the_diff import SpotTheDiffConfig

CONFIGS = (ClevrChangeConfig, ClevrDCConfig, SpotTheDiffConfig, ImageEditingRequestConfig)
