"""Which checkpoint of a run to go on from."""

import json
import os
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR


def last_checkpoint(folder: str | os.PathLike) -> str | None:
    """
    The newest checkpoint of a run that is whole. (`transformers.trainer_utils.get_last_checkpoint` also returns one
    that was being written when the run was killed.)

    Args:
        folder (`str` or `os.PathLike`):
            `output_dir` of the run; may be missing.

    Returns:
        `str` or `None`: its folder; `None` when there is none.
    """
    numbers = (path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-") for path in Path(folder).glob("checkpoint-*"))
    for number in sorted((int(number) for number in numbers if number.isdecimal()), reverse=True):
        checkpoint = Path(folder) / f"{PREFIX_CHECKPOINT_DIR}-{number}"
        try:  # what the Trainer writes last
            json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return str(checkpoint)
    return None


__all__ = ["last_checkpoint"]
