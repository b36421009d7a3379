"""Which pairs stay. None is dropped by default, as in the paper; the thresholds of the literature are presets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .model_filters import ClipDirection, ClipImageSimilarity, ClipImageText, DinoSimilarity, ModelFilter
from .pixel_filters import ChangedArea, NearDuplicates
from .protocol import Filter, Verdict, judge

FILTERS = (ClipImageText, ClipDirection, ClipImageSimilarity, DinoSimilarity, ChangedArea, NearDuplicates)
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
    there, the first batch loads them.

    Args:
        spec (`str`, `dict`, `list` or `None`): `None` or "none"; a preset ("instruct_pix2pix", "ultra_edit"); a
            filter as "name", "name=0.2" (`min`) or "name=0.01:0.6" (`min:max`, either may be missing); a dict of name
            to such limits or to a dict of options; or a list of all these, of which the last one counts. What is said
            of a filter goes before what a preset says of it.
        clip_model, dino_model (`str`, *optional*): Hub id or folder, in place of the defaults' and the presets'.
        device (`str`, *optional*): of the models; defaults to the GPU of this process if there is one.

    Returns:
        `list[Filter]`: in the order given, but `near_duplicates` last. The first that drops a pair is named.

    Raises:
        ValueError: no such filter, preset or option, or a limit outside the measure.
    """
    preset, own = {}, {}
    for name, options in _entries(spec):
        if name not in PRESETS:
            own[name] = options
        elif options:
            raise ValueError(f"filters: the preset {name!r} takes no options; name filters beside it")
        else:
            preset |= PRESETS[name]
            own = {**own, **{one: own.get(one, {}) for one in PRESETS[name]}}
    known, models, made = {cls.name: cls for cls in FILTERS}, {"clip": clip_model, "dino": dino_model}, []
    for name in sorted(own, key=lambda name: name == LAST):
        if name not in known:
            raise ValueError(f"filters: there is no {name!r}; there are {', '.join([*known, *PRESETS])}")
        cls = known[name]
        common = {"model": models[cls.kind], "device": device} if issubclass(cls, ModelFilter) else {}
        common = {option: value for option, value in common.items() if value is not None}
        try:
            made.append(cls(**{**preset.get(name, {}), **common, **own[name]}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"filters: {name}: {error}") from error
    return made


def _entries(spec: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names of filters and presets with the options that are given."""
    if spec is None or spec == "none":
        return
    if isinstance(spec, str):
        name, equals, limits = spec.partition("=")
        yield name.strip(), _limits(name, limits) if equals else {}
    elif isinstance(spec, Mapping):
        for name, said in spec.items():
            yield name, dict(said) if isinstance(said, Mapping) else {} if said is None else _limits(name, said)
    elif isinstance(spec, Sequence):
        for part in spec:
            yield from _entries(part)
    else:
        raise ValueError(f"filters: {spec!r} must be a name, a dict of filters, or a list")


def _limits(name: str, said: Any) -> dict[str, float]:
    """0.2, "0.2", "0.01:0.6", ":0.6" """
    low, _, high = str(said).partition(":")
    try:
        limits = {side: float(part) for side, part in (("min", low), ("max", high)) if part.strip()}
    except ValueError:
        limits = {}
    if not limits:
        raise ValueError(f"filters: {name}={said!r} must be a number, or min:max as in 0.01:0.6")
    return limits


def describe(filters: Sequence[Filter]) -> dict[str, dict[str, Any]]:
    """Parameters of each filter by its name, fit for JSON. Raises a `ValueError` if a model cannot be had."""
    return {filter.name: dict(filter.parameters) for filter in filters}
