"""`load`: what `load_dataset("syned", ...)` does, without the place in the `datasets` library that makes it work."""

from typing import Any

import datasets

from .builder import DEFAULT, Syned
from .registration import NAME


def load(
    config: str = DEFAULT,
    /,
    *,
    split: str | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    keep_in_memory: bool = False,
    **options: Any,
) -> datasets.Dataset | datasets.DatasetDict | datasets.IterableDataset | datasets.IterableDatasetDict:
    """
    Loads a configuration, from the same cache as `load_dataset`, whose arguments these are.

    Args:
        config (`str`, *optional*, defaults to `"scenes"`): its name.
        split (`str`, *optional*): a split, or a slice of one, such as `"train[:100]"`; all splits by default.
        streaming (`bool`, *optional*, defaults to `False`): read as it goes, build nothing.
        num_proc (`int`, *optional*): processes that build.
        keep_in_memory (`bool`, *optional*, defaults to `False`): copy the rows into memory.
        options: `data_dir`, the folder with the benchmark's files; `cache_dir`; and arguments of the configuration.

    Raises:
        ValueError: an unknown configuration or argument; files that are missing or broken.

    Example:
        >>> load("spot_the_diff", split="test", data_dir="std/")
    """
    builder = Syned(config_name=config, dataset_name=NAME, **options)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split, in_memory=keep_in_memory)
