"""Configurations of BLIP-2 and InstructBLIP for image difference captioning."""

import string

from huggingface_hub.dataclasses import strict
from transformers import Blip2Config, InstructBlipConfig

# How CLEVR-Change and CLEVR-DC annotate an unchanged pair, and the phrasings of the embedded benchmark.
NO_CHANGE_CAPTIONS = (
    "the scene is the same as before",
    "there is no change",
    "there is no difference",
    "there are no changes",
    "there are no differences",
    "nothing has changed",
    "nothing changed",
    "nothing was modified",
    "no change was made",
    "no changes were made",
    "no change",
    "no changes",
    "no difference",
    "no differences",
    "the two scenes seem identical",
    "the two images are identical",
    "the scene remains the same",
    "the images are the same",
)

_TO_SPACES = str.maketrans(dict.fromkeys(string.punctuation, " "))


def normalize_caption(caption: str) -> str:
    """Lower case, no punctuation, single spaces: the form in which captions are compared."""
    return " ".join(caption.lower().translate(_TO_SPACES).split())


class CanvasConfigMixin:
    """What [`Blip2IDCConfig`] and [`InstructBlipIDCConfig`] check. `stock_type` is the model type that they extend."""

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        for name in ("image_size", "patch_size"):
            if not isinstance(value := getattr(self.vision_config, name), int):
                raise ValueError(
                    f"vision_config.{name} is {value!r}; it must be one integer. The canvas need not be square: its "
                    "size is that of the processor."
                )

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs):
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        model_type = config_dict.get("model_type")
        # The stock model is what this class extends, so loading one deserves no warning; anything else is a mistake.
        if model_type not in (cls.stock_type, cls.model_type):
            raise ValueError(
                f"{str(pretrained_model_name_or_path)!r} is not {cls.stock_name}: the model_type in its "
                f"config.json is {model_type!r}, it must be {cls.stock_type!r} or {cls.model_type!r}."
            )
        return {**config_dict, "model_type": cls.model_type}, kwargs

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        # transformers would take a repository's copy of the pipeline in place of the registered one, and ask for
        # trust_remote_code. The copy of this class that a process without this package gets does read it.
        if not cls.__module__.startswith("transformers_modules"):
            config_dict = dict(config_dict)
            pipelines = dict(config_dict.pop("custom_pipelines", None) or {})
            pipelines.pop("image-difference-captioning", None)
            config_dict |= {"custom_pipelines": pipelines} if pipelines else {}
        return super().from_dict(config_dict, **kwargs)


@strict
class Blip2IDCConfig(CanvasConfigMixin, Blip2Config):
    r"""
    Configuration of a [`Blip2IDCForConditionalGeneration`]: that of BLIP-2, and what its captions mean.

    The canvas (its size and the axis along which the two images are stacked) belongs to the processor.

    Args:
        no_change_captions (`list[str]`, *optional*):
            Captions, in lower case and without final punctuation, that say that nothing changed. By default those of
            CLEVR-Change and CLEVR-DC, and near variants.
        not_sure_below (`float`, *optional*):
            Score of the pipeline below which the model was wrong more often than right, on the evaluation split of its
            training and in its own way of search. Adapters on the model do not take it over.
        kwargs:
            As for `transformers.Blip2Config`. Leave `vision_config.image_size` one integer, also for a canvas that is
            not square: position embeddings are interpolated from that square grid.

    Raises:
        `ValueError`: if `vision_config.image_size` is not an integer; and by `from_pretrained`, if the checkpoint has
            another model type than `blip-2` or `blip2idc`.
    """

    model_type = "blip2idc"
    stock_type, stock_name = "blip-2", "a BLIP-2 model"

    no_change_captions: list[str] | tuple[str, ...] = NO_CHANGE_CAPTIONS
    not_sure_below: float | None = None


@strict
class InstructBlipIDCConfig(CanvasConfigMixin, InstructBlipConfig):
    r"""
    Configuration of an [`InstructBlipIDCForConditionalGeneration`]: that of InstructBLIP, and what its captions mean.

    Args:
        no_change_captions (`list[str]`, *optional*), not_sure_below (`float`, *optional*):
            As for [`Blip2IDCConfig`].
        kwargs:
            As for `transformers.InstructBlipConfig`, with `vision_config.image_size` one integer.

    Raises:
        `ValueError`: if `vision_config.image_size` is not an integer; and by `from_pretrained`, if the checkpoint has
            another model type than `instructblip` or `instructblipidc`.
    """

    model_type = "instructblipidc"
    stock_type, stock_name = "instructblip", "an InstructBLIP model"

    no_change_captions: list[str] | tuple[str, ...] = NO_CHANGE_CAPTIONS
    not_sure_below: float | None = None

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        # Blip2Config says so itself; without it the Trainer counts T5's labels as if they were shifted.
        self.is_encoder_decoder = self.text_config.is_encoder_decoder


__all__ = ["NO_CHANGE_CAPTIONS", "Blip2IDCConfig", "InstructBlipIDCConfig", "normalize_caption"]
