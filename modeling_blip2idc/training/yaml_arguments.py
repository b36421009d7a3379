"""A recipe: a YAML file of a script's arguments, which the command line overrides."""

import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from transformers import HfArgumentParser


def parse_recipe(
    groups: Sequence[type],
    argv: Sequence[str],
    check: Callable[..., None],
    as_json: Iterable[str] = (),
    sections: Iterable[str] = (),
    description: str | None = None,
) -> list[Any]:
    """
    Arguments from `[recipe.yaml] [--name value ...]`. A mistake ends the program with one message and the status 2.

    Args:
        groups (`Sequence[type]`):
            Dataclasses of arguments, as for `HfArgumentParser`.
        argv (`Sequence[str]`):
            The words of the command line, without the program's name.
        check (`Callable`):
            Called with an instance of each group; raises a `ValueError` for what does not go together.
        as_json (`Iterable[str]`, *optional*, defaults to `()`):
            Arguments that are JSON on the command line, and lists or dicts in a recipe.
        sections (`Iterable[str]`, *optional*, defaults to `()`):
            Keys of a recipe that are for other programs.
        description (`str`, *optional*):
            For `--help`.

    Returns:
        `list`: an instance of each group.
    """
    usage = "%(prog)s recipe.yaml [--argument value ...]"
    parser = HfArgumentParser(tuple(groups), usage=usage, description=description)
    kinds = {name: _kinds(hint) for group in groups for name, hint in get_type_hints(group).items()}
    for action in parser._actions:
        if action.dest in as_json:
            action.type, action.nargs = partial(_from_json, kinds=kinds[action.dest]), None
    # not the `--no_...` of a switch, which has no value
    arguments = {action.dest: (action, kinds[action.dest]) for action in parser._actions if action.type is not None}
    parser.add_argument("recipe", nargs="?", help="a YAML file with any of the arguments below; comes first")
    recipe = argv[0] if argv and not argv[0].startswith("-") else None
    try:
        if recipe is not None:
            parser.set_defaults(**_read(recipe, arguments, sections))
        *parsed, rest = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
        if rest.recipe != recipe:
            raise ValueError(f"the recipe comes first: {rest.recipe!r}")
        check(*parsed)
    except (ValueError, TypeError, ImportError) as error:
        parser.error(str(error))
    return parsed


def _kinds(hint) -> set[type]:
    """The types of an annotation, without what is in them: of `list[str] | None`, `list` and `NoneType`."""
    hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return {get_origin(one) or one for one in hints}


def _from_json(text: str, kinds: set[type]) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no JSON: {error}") from None
    if type(value) not in kinds:
        raise ArgumentTypeError(f"{text!r} must be a {_named(kinds)}")
    return value


def _named(kinds: set[type]) -> str:
    return "list" if list in kinds else "dict"


def _read(path: str, arguments: dict, sections: Iterable[str]) -> dict[str, Any]:
    """Values of a YAML file, each of the type that the command line would give it (YAML takes `1e-3` for a text)."""
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"recipe {path!r}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"recipe {path!r} must hold lines of the form `argument: value`")
    values = {name: value for name, value in values.items() if name not in sections}
    if unknown := sorted(str(name) for name in set(values) - set(arguments)):
        raise ValueError(f"recipe {path!r}: unknown argument {', '.join(unknown)}")
    for name, value in values.items():
        try:
            values[name] = _typed(*arguments[name], value)
        except Exception as error:  # whatever the argument's own type raises
            raise ValueError(f"recipe {path!r}: {name}: {value!r} is no valid value: {error}") from error
    return values


def _typed(action, kinds, value):
    several = kinds <= {list, NoneType}
    if value is None:
        if NoneType not in kinds:
            raise ValueError("it has no value; leave it out for the default")
        return None
    if isinstance(action.type, partial):  # JSON on a command line
        if type(value) not in kinds:
            raise ValueError(f"it must be a {_named(kinds)}")
        return value
    if isinstance(value, (dict, list)) and type(value) not in kinds:
        raise ValueError("it must be a list" if several else "it must be one value")
    if isinstance(value, dict) or value is True and action.const is True:
        return value
    if isinstance(value, list):
        return [_one(action, item) for item in value]
    return [_one(action, value)] if several else _one(action, value)


def _one(action, value):
    if value is False and "no" in (action.choices or ()):
        value = "no"  # which YAML takes for a truth value
    read = action.type(str(value))
    if action.choices and read not in action.choices:
        raise ValueError(f"choose from {', '.join(map(str, action.choices))}")
    return value if read == value else read


__all__ = ["parse_recipe"]
