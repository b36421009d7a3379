"""One file for each benchmark: what its authors distribute, read as it is."""

from .clevr_change import ClevrChangeConfig
from .clevr_dc import ClevrDCConfig
from .emu_edit import EmuEditConfig
from .folder import FolderConfig
from .image_editing_request import ImageEditingRequestConfig
from .magicbrush import MagicBrushConfig
from .spot_the_diff import SpotTheDiffConfig
from .synthetic import SynedConfig, SyntheticConfig

CONFIGS = (
    ClevrChangeConfig,
    ClevrDCConfig,
    SpotTheDiffConfig,
    ImageEditingRequestConfig,
    MagicBrushConfig,
    EmuEditConfig,
    SyntheticConfig,
    SynedConfig,
    FolderConfig,
)
