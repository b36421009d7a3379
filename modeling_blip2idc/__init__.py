"""BLIP-2 for image difference captioning. Importing it registers the Auto classes and the pipeline's task."""

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from .configuration_blip2idc import Blip2IDCConfig
from .export_blip2idc import export_remote_code
from .image_processing_blip2idc import CanvasGeometry, make_canvas
from .image_utils_blip2idc import load_image
from .loading_blip2idc import load_idc
from .modeling_blip2idc import Blip2IDCForConditionalGeneration
from .peft_blip2idc import count_trainable, lora_config
from .pipeline_blip2idc import ImageDifferenceCaptioningPipeline, register
from .processing_blip2idc import Blip2IDCProcessor

AutoConfig.register(Blip2IDCConfig.model_type, Blip2IDCConfig, exist_ok=True)
AutoModelForImageTextToText.register(Blip2IDCConfig, Blip2IDCForConditionalGeneration, exist_ok=True)
AutoProcessor.register(Blip2IDCConfig, Blip2IDCProcessor, exist_ok=True)
# What makes save_pretrained copy the code and write auto_map, for processes without this package.
Blip2IDCConfig.register_for_auto_class()
Blip2IDCForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")
Blip2IDCProcessor.register_for_auto_class("AutoProcessor")
register()

__all__ = [
    "Blip2IDCConfig",
    "Blip2IDCForConditionalGeneration",
    "Blip2IDCProcessor",
    "CanvasGeometry",
    "ImageDifferenceCaptioningPipeline",
    "count_trainable",
    "export_remote_code",
    "load_idc",
    "load_image",
    "lora_config",
    "make_canvas",
]
