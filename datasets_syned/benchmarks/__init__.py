"""One file for each benchmark: what its authors distribute, read as it is."""

from .birds_to_words import BirdsToWordsConfig
from .clevr_change import ClevrChangeConfig
from .clevr_dc import ClevrDCConfig
from .diffspot import DiffSpotConfig
from .emu_edit import EmuEditConfig
from .folder import FolderConfig
from .image_editing_request import ImageEditingRequestConfig
from .img_diff import ImgDiffConfig
from .levir_cc import LevirCCConfig
from .magicbrush import MagicBrushConfig
from .spot_the_diff import SpotTheDiffConfig
from .synthetic import SynedConfig, SyntheticConfig
from .vismin import VisMinConfig
from .vlm_subtlebench import VLMSubtleBenchConfig

CONFIGS = (
    ClevrChangeConfig,
    ClevrDCConfig,
    SpotTheDiffConfig,
    ImageEditingRequestConfig,
    MagicBrushConfig,
    EmuEditConfig,
    LevirCCConfig,
    BirdsToWordsConfig,
    DiffSpotConfig,
    ImgDiffConfig,
    VLMSubtleBenchConfig,
    VisMinConfig,
    SyntheticConfig,
    SynedConfig,
    FolderConfig,
)
