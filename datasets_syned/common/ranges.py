"""Arguments that must be numbers of a range."""

from typing import Any


def check_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """
    Raises a `ValueError` unless a value is a whole number of a range; `True` is not a number.

    Args:
        name (`str`): of the argument, for the message.
        value (`Any`): of the argument.
        low, high (`int`): both belong to the range; without `high` it has no end.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low or high is not None and value > high:
        raise ValueError(f"{name}={value!r} must be a whole number from {low}{'' if high is None else f' to {high}'}")


def check_number(name: str, value: Any, low: float, high: float, above: bool = False) -> None:
    """
    Raises a `ValueError` unless a value is a number of a range; `True` and NaN are not.

    Args:
        name, value, low, high: as of [`check_whole`].
        above (`bool`, *optional*, defaults to `False`): `low` does not belong to the range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or above and value == low:
        span = f"above {low:g}, up to {high:g}" if above else f"from {low:g} to {high:g}"
        raise ValueError(f"{name}={value!r} must be a number {span}")
