"""Which pairs stay. None is dropped by default, as in the paper; the thresholds of the literature are presets."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .encoders import ClipEncoder, DinoEncoder, Encoder
from .judging import judge
from .model_filters import ClipDirection, ClipImageSimilarity, ClipImageText, DinoSimilarity, EncoderFilter
from .pixel_filters import ChangedArea, NearDuplicates
from .protocol import Filter, Verdict

FILTERS = (ClipImageText, ClipDirection, ClipImageSimilarity, DinoSimilarity, ChangedArea, NearDuplicates)
OF_ENCODERS = {"revision": None, "device": None, "batch_size": 64}  # besides the model
LAST = NearDuplicates.name  # what another filter drops must not drop its duplicates
# The thresholds of the literature.
PRESETS = {
    # dataset_creation/generate_img_dataset.py of https://github.com/timothybrooks/instruct-pix2pix, the defaults of
    # --clip-threshold, --clip-dir-threshold, --clip-img-threshold; metrics/clip_similarity.py: CLIP ViT-L/14. There
    # it then takes the 4 of 100 samples with the best direction, which no filter of single rows does.
    "instruct_pix2pix": {
        "clip_image_text": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "clip_direction": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "image_similarity": {"min": 0.7, "model": "openai/clip-vit-large-patch14"},
    },
    # data_generation/data_generation.py of https://github.com/HaozheZhao/UltraEdit, the defaults of the options
    # (--clip-threshold, --clip-dir-threshold, --clip-img-threshold, --dinov2-sim-threshold); the script beside it for
    # SDXL-Turbo sets .22, .75, .4 for the last three. metrics/clip_similarity.py: CLIP ViT-L/14 and DINOv2 ViT-L/14
    # with registers, the latter on 518 pixels that are not normalised; here as its own image processor does it.
    "ultra_edit": {
        "clip_image_text": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "clip_direction": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "image_similarity": {"min": 0.8, "model": "openai/clip-vit-large-patch14"},
        "dino_similarity": {"min": 0.3, "model": "facebook/dinov2-with-registers-large"},
    },
}

__all__ = ["FILTERS", "PRESETS", "Filter", "Verdict", "describe", "judge", "load_filters"]


def load_filters(
    spec: str | Mapping[str, Any] | Sequence[Any] | None,
    clip_model: str | None = None,
    dino_model: str | None = None,
    device: str | None = None,
) -> list[Filter]:
    """
    Makes filters from what a recipe or a command line says. Loads no model: [`describe`] finds out whether they are
    there, the first batch loads them. Filters of the same model, revision, device and batch size share it.

    Args:
        spec (`str`, `dict`, `list` or `None`): `None` or "none"; a preset ("instruct_pix2pix", "ultra_edit"); a
            filter as "name", "name=0.2" (`min`) or "name=0.01:0.6" (`min:max`, either may be missing); a dict of name
            to options, to a number (`min`), to `[min, max]` or to "min:max"; or a list of all these. What is said of
            a filter goes before what a preset says of it.
        clip_model, dino_model (`str`, *optional*): Hub id or folder, in place of the defaults' and the presets'.
        device (`str`, *optional*): of the models; defaults to the GPU of this process if there is one.

    Returns:
        `list[Filter]`: in the order given, but `near_duplicates` last. Put those first that drop most for least.

    Raises:
        ValueError: no such filter, preset or option, a filter named twice, or a limit outside the measure.
    """
    preset, own = {}, {}
    for name, options in _entries(spec):
        if name in PRESETS and options is None:
            if clash := [known for known in PRESETS[name] if known in preset]:
                raise ValueError(f"filters: two presets set {clash[0]}; name one of them")
            preset |= {known: dict(values) for known, values in PRESETS[name].items()}
            own |= {known: own.get(known, None) for known in PRESETS[name]}
        elif own.get(name) is not None:
            raise ValueError(f"filters: {name} is named twice")
        else:
            own[name] = _options(name, options)
    models = {ClipEncoder: clip_model, DinoEncoder: dino_model}
    encoders: dict[tuple, Encoder] = {}
    made = []
    for name in sorted(own, key=lambda name: name == LAST):
        cls, options = _class_of(name), dict(preset.get(name, {}))
        if issubclass(cls, EncoderFilter):
            options |= {"model": models[cls.kind]} if models[cls.kind] else {}
            options |= {"device": device} if device else {}
        options |= own[name] or {}
        if issubclass(cls, EncoderFilter):
            options = _share_encoder(cls, options, encoders)
        made.append(cls(**options))
    return made


def _share_encoder(
    cls: type[EncoderFilter], options: dict[str, Any], encoders: dict[tuple, Encoder]
) -> dict[str, Any]:
    """Options with an encoder in place of its arguments."""
    how = {name: options.pop(name, default) for name, default in {"model": cls.model, **OF_ENCODERS}.items()}
    key = (cls.kind, *how.values())
    try:
        encoders[key] = encoders.get(key) or cls.kind(**how)
    except ValueError as error:
        raise ValueError(f"filters: {cls.name}: {error}") from error
    return {**options, "encoder": encoders[key]}


def _entries(spec: Any) -> Iterator[tuple[str, Any]]:
    """Names with what is said of them, `None` if nothing."""
    if spec is None or spec == "none":
        return
    if isinstance(spec, str):
        name, equals, limits = spec.partition("=")
        yield name.strip(), limits.strip() if equals else None
    elif isinstance(spec, Mapping):
        yield from spec.items()
    elif isinstance(spec, Sequence):
        for part in spec:
            yield from _entries(part)
    else:
        raise ValueError(f"filters: {spec!r} must be a preset, a dict of filters, or a list; there are {_names()}")


def _names() -> str:
    return f"{', '.join(cls.name for cls in FILTERS)}, and the presets {', '.join(PRESETS)}"


def _class_of(name: str) -> type[Filter]:
    for cls in FILTERS:
        if cls.name == name:
            return cls
    raise ValueError(f"filters: there is no {name!r}; there are {_names()}")


def _options(name: str, said: Any) -> dict[str, Any]:
    """Arguments of a filter."""
    if name in PRESETS:
        raise ValueError(f"filters: the preset {name!r} takes no options; name it in a list, and filters beside it")
    cls = _class_of(name)
    accepted = [option for option in inspect.signature(cls).parameters if option != "options"]
    accepted += ["model", *OF_ENCODERS] if issubclass(cls, EncoderFilter) else []
    if isinstance(said, Mapping):
        options = dict(said)
    elif said is None:
        options = {}
    elif isinstance(said, str):
        options = _limits(name, said)
    elif isinstance(said, Sequence) and len(said) == 2:
        options = {side: limit for side, limit in zip(("min", "max"), said, strict=True) if limit is not None}
    elif isinstance(said, int | float) and not isinstance(said, bool):
        options = {"min": said}
    else:
        raise ValueError(f"filters: {name}: {said!r} must be a number, [min, max], 'min:max' or a dict of options")
    for option in options:
        if option not in accepted:
            raise ValueError(f"filters: {name} has no option {option!r}; it has {', '.join(accepted)}")
    return options


def _limits(name: str, text: str) -> dict[str, float]:
    """ "0.2", "0.01:0.6", ":0.6" """
    try:
        low, high = (float(part) if part.strip() else None for part in (text.split(":") + [""])[:2])
        if text.count(":") > 1 or low is None and high is None:
            raise ValueError
    except ValueError:
        raise ValueError(f"filters: {name}={text!r} must be a number, or min:max as in 0.01:0.6") from None
    return {side: limit for side, limit in (("min", low), ("max", high)) if limit is not None}


def describe(filters: Sequence[Filter]) -> dict[str, dict[str, Any]]:
    """
    Parameters of each filter by its name, fit for JSON: limits, and the model's id and revision (a commit of the Hub,
    or a digest of the folder).

    Raises:
        ValueError: a model cannot be had.
    """
    return {filter.name: dict(filter.parameters) for filter in filters}
