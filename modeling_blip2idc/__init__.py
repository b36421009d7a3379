"""
BLIP-2 and InstructBLIP for image difference captioning. Importing it registers the Auto classes and the pipeline's
task.
"""

from typing import Any

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.pipelines import PIPELINE_REGISTRY

from .attribution.overlay import overlay
from .attribution.relevance import RelevanceMaps, relevance_maps
from .checkpoints_blip2idc import DEFAULT, EMBEDDED
from .configuration_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig
from .hub.saving import export_remote_code
from .image_processing_blip2idc import CanvasGeometry, make_canvas
from .image_utils_blip2idc import load_image
from .loading.load import CaptionerLoader, embedded_model, load_idc
from .modeling_blip2idc import Blip2IDCForConditionalGeneration, InstructBlipIDCForConditionalGeneration
from .pipeline_blip2idc import TASK, ImageDifferenceCaptioningPipeline
from .processing_blip2idc import Blip2IDCProcessor, InstructBlipIDCProcessor

for config_class, model_class, processor_class in (
    (Blip2IDCConfig, Blip2IDCForConditionalGeneration, Blip2IDCProcessor),
    (InstructBlipIDCConfig, InstructBlipIDCForConditionalGeneration, InstructBlipIDCProcessor),
):
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    AutoModelForImageTextToText.register(config_class, model_class, exist_ok=True)
    AutoProcessor.register(config_class, processor_class, exist_ok=True)
    # What makes save_pretrained copy the code and write auto_map, for processes without this package.
    config_class.register_for_auto_class()
    model_class.register_for_auto_class("AutoModelForImageTextToText")
    processor_class.register_for_auto_class("AutoProcessor")

saved_as = ImageDifferenceCaptioningPipeline._registered_impl  # without the loader and the embedded model's folder
PIPELINE_REGISTRY.register_pipeline(
    TASK,
    pipeline_class=ImageDifferenceCaptioningPipeline,
    pt_model=CaptionerLoader,
    default=(str(EMBEDDED[DEFAULT]), None),
    type="multimodal",
)
ImageDifferenceCaptioningPipeline._registered_impl = saved_as
ImageDifferenceCaptioningPipeline._load_processor = False  # the loader loads it with the model


def __getattr__(name: str) -> Any:
    """What stands on peft, whose import takes as long as that of all else here, is imported when it is asked for."""
    if name in ("check_towers", "count_trainable", "lora_config"):
        from .loading import lora

        return getattr(lora, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Blip2IDCConfig",
    "Blip2IDCForConditionalGeneration",
    "Blip2IDCProcessor",
    "CanvasGeometry",
    "ImageDifferenceCaptioningPipeline",
    "InstructBlipIDCConfig",
    "InstructBlipIDCForConditionalGeneration",
    "InstructBlipIDCProcessor",
    "RelevanceMaps",
    "check_towers",
    "count_trainable",
    "embedded_model",
    "export_remote_code",
    "load_idc",
    "load_image",
    "lora_config",
    "make_canvas",
    "overlay",
    "relevance_maps",
]
