"""How a checkpoint becomes one of our models: complete, from a stock model, or with an adapter."""

import copy
import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import is_offline_mode
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers import GenerationConfig
from transformers.utils import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

# The embedded models by name, the one for photographs and the one for rendered scenes.
EMBEDDED = {name: Path(__file__).parent / name for name in ("mini_photos", "mini")}
EMBEDDED_PREFIX = "modeling_blip2idc/"  # an adapter on one names it so: every copy of this package has it
# What is used where no model is named: the first one that is there.
DEFAULT = next((name for name in EMBEDDED if (EMBEDDED[name] / "model.safetensors").is_file()), "mini")
HUB_KEYWORDS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


def embedded_model(name: str = DEFAULT) -> str:
    """
    The folder of an embedded model, for `pipeline("image-difference-captioning", model=embedded_model("mini"))`.

    Args:
        name (`str`, *optional*): `"mini"`, for rendered scenes, or `"mini_photos"`, for photographs. By default the
            latter, if this copy of the package has it.

    Raises:
        `ValueError`: there is no model of that name. `FileNotFoundError`: it is not in this copy of the package.
    """
    if name not in EMBEDDED:
        raise ValueError(f"no embedded model is called {name!r}; their names are {', '.join(EMBEDDED)}")
    if not (EMBEDDED[name] / "config.json").is_file():
        make = f"`make {name.replace('_', '-')}` makes it, or name another model"
        raise FileNotFoundError(f"The embedded model {name!r} is missing ({EMBEDDED[name]}); {make}.")
    return str(EMBEDDED[name])


def embedded_name(model_id: str | os.PathLike | None) -> str | None:
    """How an adapter names the embedded model that `model_id` is, or `None` for any other model."""
    folder = Path(EMBEDDED[DEFAULT] if model_id is None else model_id).resolve()
    return next((EMBEDDED_PREFIX + name for name, path in EMBEDDED.items() if path.resolve() == folder), None)


def check_folder(model_id: str | os.PathLike | None = None, subfolder: str = "") -> str:
    """
    The folder or Hub id of a model: `model_id`, for the folder of a training run `final` in it, and for the name of an
    embedded model its folder. A folder of that name in the working folder wins, as it does over a Hub id;
    `modeling_blip2idc/mini` then names the embedded one. By default the default embedded model.

    Refuse a missing folder, for which the Hub would be asked, and a folder without a model.
    """
    if model_id is None:
        return embedded_model()
    path = Path(model_id := os.fspath(model_id))
    if not path.exists() and model_id.removeprefix(EMBEDDED_PREFIX) in EMBEDDED:
        return embedded_model(model_id.removeprefix(EMBEDDED_PREFIX))
    if path.is_dir():
        if not subfolder and not any(path.glob("*.safetensors")) and any((path / "final").glob("*config.json")):
            return str(path / "final")
        if not any((path / subfolder / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise FileNotFoundError(
                f"No model in {str(path / subfolder)!r}: it has neither config.json nor adapter_config.json. (A run "
                "has its model in final/ when it is done.)"
            )
    elif path.exists():
        raise FileNotFoundError(f"{model_id!r} is a file; name the folder of the model.")
    else:
        try:
            validate_repo_id(model_id)
        except HFValidationError as error:
            raise FileNotFoundError(f"No such folder: {model_id!r}, which is not a Hub id either.") from error
    return model_id


def base_of(adapter: str, adapter_file: str) -> tuple[str, str | None]:
    """
    Hub id or folder of the base model that an adapter names, and its revision.

    Args:
        adapter (`str`): Hub id or folder of the adapter.
        adapter_file (`str`): path of its `adapter_config.json`.

    Raises:
        `ValueError`: if the file names no base. `FileNotFoundError`: if the base is a folder that is missing.
    """
    try:
        config = json.loads(Path(adapter_file).read_text(encoding="utf-8"))
        base = config.get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"adapter_config.json of {adapter!r} is not a JSON object: {error}") from error
    if not base:
        raise ValueError(f"adapter_config.json of {adapter!r} names no base_model_name_or_path.")
    if base.startswith(EMBEDDED_PREFIX) and base.removeprefix(EMBEDDED_PREFIX) in EMBEDDED:
        return embedded_model(base.removeprefix(EMBEDDED_PREFIX)), None
    beside = Path(adapter_file).parent / base
    if os.path.isdir(adapter) and beside.is_dir():
        return str(beside.resolve()), None
    try:
        base = check_folder(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The base model of the adapter {adapter!r} is missing. {error}") from error
    return base, config.get("revision")


def find_base(model_id: str, hub: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Of an adapter, its base and the keywords with which that is found on the Hub; of a full model, `None`."""
    adapter_file = find_adapter_config_file(model_id, **hub)
    if adapter_file is None:
        return None
    base, revision = base_of(model_id, adapter_file)
    kept = {name: value for name, value in hub.items() if name not in ("revision", "subfolder")}
    return base, kept | ({"revision": revision} if revision else {})


def has_file(model_id: str, name: str, hub: dict[str, Any]) -> bool:
    """Whether a folder or a repository has a file; offline, whether it is in the cache."""
    online = not (is_offline_mode() or hub.get("local_files_only"))
    raises = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": online}
    return cached_file(model_id, name, **hub, **raises) is not None


def with_adapter(model, adapter: str, base: str, hub: dict[str, Any]) -> torch.nn.Module:
    """
    Put an adapter on its base model, and take over the generation settings that were saved with it.

    `adapter` and `base` are the Hub ids or folders of the two, `hub` the keywords that find the adapter on the Hub.

    Raises:
        `ValueError`: if the adapter does not fit, is a learned prompt, or its configuration is not one of peft.
        `FileNotFoundError`: if its folder has no weights, for which the Hub would be asked.
    """
    from peft import PeftConfig, PeftModel

    try:
        config = PeftConfig.from_pretrained(adapter, **hub)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"adapter_config.json of {adapter!r} is not the configuration of an adapter: {error}"
        ) from error
    refuse_learned_prompt(config)
    folder = Path(adapter, hub.get("subfolder") or "")
    if folder.is_dir() and not any(folder.glob("adapter_model.*")):
        raise FileNotFoundError(f"{folder} has neither adapter_model.safetensors nor adapter_model.bin")
    if (file := folder / "adapter_model.bin").is_file() and not (folder / "adapter_model.safetensors").is_file():
        try:
            torch.load(file, map_location="meta", weights_only=True)
        except Exception as error:  # whatever a damaged file provokes
            why = f"is damaged, or holds something else than tensors ({type(error).__name__})"
            raise ValueError(f"{file} {why}") from error
    config.inference_mode = True
    model.config.not_sure_below = None  # the base's; the adapter changes its scores
    added = getattr(config, "trainable_token_indices", None)
    grown = isinstance(added, list) and max(added) >= model.get_input_embeddings().num_embeddings
    if grown or getattr(config, "ensure_weight_tying", False):
        resize_vocabulary(model, max(added or [0]) + 1)  # the adapter has the rows of words that the base lacks
    misfit = f"The adapter {adapter!r} does not fit its base model {base!r}: "
    try:
        adapted = PeftModel(model, config)
        result = adapted.load_adapter(adapter, "default", torch_device="cpu", **hub)
    except torch.OutOfMemoryError:
        raise
    except (KeyError, ValueError, RuntimeError) as error:  # no such modules; other shapes
        raise ValueError(misfit + " ".join(str(error).split())[:500]) from error
    lacks = [key for key in result.missing_keys if "vblora_vector_bank" not in key]  # one for all layers
    for what, keys in (("the base has no module for", result.unexpected_keys), ("it lacks", lacks)):
        if keys:
            raise ValueError(f"{misfit}{what} {len(keys)} weights, such as {sorted(keys)[0]!r}.")
    if has_file(adapter, "generation_config.json", hub):  # how its captions were searched when it was scored
        model.generation_config = GenerationConfig.from_pretrained(adapter, **hub)
    return adapted


def take_adapter_settings(model, source: str) -> None:
    """
    Take over the generation settings saved with an adapter, which transformers does not when it puts one on a stock
    model. `source` is where the processor comes from. Settings that somebody changed stay.
    """
    try:
        if find_adapter_config_file(source) is None or not has_file(source, "generation_config.json", {}):
            return
        has_settings = has_file(model.name_or_path, "generation_config.json", {})
        base = GenerationConfig.from_pretrained(model.name_or_path) if has_settings else None
        if model.generation_config == (base or GenerationConfig.from_model_config(model.config)):
            model.generation_config = GenerationConfig.from_pretrained(source)
    except OSError as error:  # a private repository, and the token was an argument
        warnings.warn(f"The generation settings of the adapter {source} are not used: {error}", stacklevel=3)


def resize_vocabulary(model, size: int) -> None:
    """Make room for `size` tokens in a model, in place, and let peft see that embeddings and head share weights."""
    if size > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(size, mean_resizing=False)
    # peft reads both of the outer model alone, and would train a head of its own, which is lost in a merge
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings
    model._tied_weights_keys = model.all_tied_weights_keys


def refuse_learned_prompt(config) -> None:
    """`PeftModel` puts a learned prompt before the text of some kinds of models, of which BLIP-2 is none."""
    if config.is_prompt_learning:
        raise ValueError(
            f"The adapter is a learned prompt ({config.peft_type.value}), which peft does not put before the prompt "
            "of a BLIP-2 model. Use LoRA, or another method that adapts modules."
        )


def add_image_token(model, processor) -> None:
    """Fill in what checkpoints from before the `<image>` token leave out, in model and processor."""
    if processor.num_query_tokens is None:
        processor.num_query_tokens = model.config.num_query_tokens
    if model.config.image_token_index is None:
        model.config.image_token_index = processor.image_token_id
        if processor.image_token_id >= model.config.text_config.vocab_size:
            # its embedding is never read: the image features stand in its place
            model.resize_token_embeddings(processor.image_token_id + 1, mean_resizing=False)


class CheckpointMixin:
    """How both of our models are made of checkpoints."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, output_loading_info=False, **kwargs):
        """
        Stock `from_pretrained`, of a full model or of an adapter, which is put on its base by peft.

        Raises:
            `ValueError`: if weights are missing, which transformers would make up with a warning, or if the adapter
                does not fit its base.
        """
        name = os.fspath(pretrained_model_name_or_path or "")
        options = dict(kwargs)
        adapter_options = dict(options.pop("adapter_kwargs", None) or {})  # of an Auto class, which knows the adapter
        adapter = adapter_options.pop("_adapter_model_path", None)
        of_base = {key: options[key] for key in HUB_KEYWORDS if key in options}
        of_adapter = {**of_base, **adapter_options}
        if adapter in (None, name) and (found := find_base(name, of_adapter)):
            adapter, (name, of_base) = name, found
            options = {key: value for key, value in options.items() if key not in HUB_KEYWORDS} | of_base
        model, info = super().from_pretrained(name, *args, **options, output_loading_info=True)
        if missing := sorted(info["missing_keys"]):
            raise ValueError(
                f"{name!r} lacks {len(missing)} of the weights that its config.json asks for, such as {missing[0]!r}; "
                "they are those of another model."
            )
        if adapter is not None:
            with_adapter(model, adapter, name, of_adapter)
            model._hf_peft_config_loaded = True  # for `save_pretrained`, `set_adapter` and so on of transformers
        return (model, info) if output_loading_info else model

    @classmethod
    def from_stock(cls, model):
        """
        One of our models with the modules and parameters of a stock one, which stays what it is.

        Args:
            model (`PreTrainedModel` or `PeftModel`):
                A `Blip2ForConditionalGeneration` or an `InstructBlipForConditionalGeneration`, or an adapter over one.

        Returns:
            `PreTrainedModel` or `PeftModel`: a model of this class, or the adapter over one.
        """
        if hasattr(model, "get_base_model"):
            tuner, adapted = copy.copy(model.base_model), copy.copy(model)
            tuner._modules = {**tuner._modules, "model": cls.from_stock(model.get_base_model())}
            adapted._modules = {**adapted._modules, "base_model": tuner}
            return adapted
        ours = cls.__new__(cls)
        ours.__dict__.update(model.__dict__)  # also hooks, device map and adapters
        ours.config = cls.config_class.from_dict({**model.config.to_dict(), "model_type": cls.config_class.model_type})
        ours.generation_config = copy.deepcopy(model.generation_config)
        if hasattr(model, "_hf_hook"):  # of accelerate, which has put its own `forward` before the stock one
            from accelerate.hooks import add_hook_to_module

            for name in ("_hf_hook", "_old_forward", "forward"):
                del ours.__dict__[name]
            add_hook_to_module(ours, model._hf_hook)
        return ours
