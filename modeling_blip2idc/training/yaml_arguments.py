"""A recipe: a YAML file of a script's arguments, which the command line overrides."""

import json
from argparse import SUPPRESS, Action, ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from transformers import HfArgumentParser

DEFAULTS = "defaults"  # the key of a recipe that names another one


def parse_recipe(
    groups: Sequence[type],
    argv: Sequence[str],
    check: Callable[..., None],
    as_json: Iterable[str] = (),
    sections: Iterable[str] = (),
    refused: Mapping[str, str] | None = None,
    description: str | None = None,
) -> list[Any]:
    """
    Arguments from `[recipe.yaml] [--name value ...]`. A mistake ends the program with one message and the status 2.

    A recipe may take over the values of another one, whose path, from the recipe's folder, is its key `defaults`.

    Args:
        groups (`Sequence[type]`):
            Dataclasses of arguments, as for `HfArgumentParser`.
        argv (`Sequence[str]`):
            The words of the command line, without the program's name.
        check (`Callable`):
            Called with an instance of each group; raises a `ValueError` for what does not go together.
        as_json (`Iterable[str]`, *optional*, defaults to `()`):
            Arguments that are JSON on the command line, and lists or dicts in a recipe. One dict stands for a list of
            one.
        sections (`Iterable[str]`, *optional*, defaults to `()`):
            Keys of a recipe that are for other programs.
        refused (`dict[str, str]`, *optional*):
            Arguments of the groups that the program does not heed, and what to do instead.
        description (`str`, *optional*):
            For `--help`.

    Returns:
        `list`: an instance of each group.
    """
    usage = "%(prog)s recipe.yaml [--argument value ...]"
    parser = HfArgumentParser(tuple(groups), usage=usage, description=description, conflict_handler="resolve")
    kinds = {name: _kinds(hint) for group in groups for name, hint in get_type_hints(group).items()}
    for action in parser._actions:
        if action.dest in as_json:
            action.type, action.nargs = partial(_from_json, kinds=kinds[action.dest]), None
    refused = refused or {}
    for name, instead in refused.items():
        words = [word for action in parser._actions if action.dest == name for word in action.option_strings]
        options = {"dest": name, "default": parser.get_default(name), "metavar": instead, "help": SUPPRESS}
        parser.add_argument(*words, action=_Refused, nargs="*", **options)
    # not the `--no_...` of a switch, which has no value
    arguments = {action.dest: (action, kinds[action.dest]) for action in parser._actions if action.type is not None}
    parser.add_argument("recipe", nargs="?", help="a YAML file with any of the arguments below; comes first")
    recipe = argv[0] if argv and not argv[0].startswith("-") else None
    try:
        if recipe is not None:
            parser.set_defaults(**_read(recipe, arguments, sections, refused))
        *parsed, rest = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
        if rest.recipe != recipe:
            raise ValueError(f"the recipe comes first: {rest.recipe!r}")
        check(*parsed)
    except (ValueError, TypeError, ImportError) as error:
        parser.error(str(error))
    return parsed


class _Refused(Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f"{option_string}: {self.metavar}")


def _kinds(hint) -> set[type]:
    """The types of an annotation, without what is in them: of `list[str] | None`, `list` and `NoneType`."""
    hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return {get_origin(one) or one for one in hints}


def _from_json(text: str, kinds: set[type]) -> Any:
    try:
        return _structured(json.loads(text), kinds)
    except json.JSONDecodeError as error:
        raise ArgumentTypeError(f"{text!r} is not JSON: {error}") from error
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from error


def _structured(value: Any, kinds: set[type]) -> Any:
    """A list or a dict; one dict stands for a list of one."""
    value = [value] if isinstance(value, dict) and dict not in kinds else value
    if type(value) not in kinds:
        raise ValueError(f"it must be a {'list' if list in kinds else 'dict'}")
    return value


def read_recipe(path: str) -> dict[str, Any]:
    """The keys and values of a recipe (`str`, its path), over those of the recipe that its key `defaults` names."""
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"recipe {path!r}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"recipe {path!r} must hold lines of the form `argument: value`")
    if DEFAULTS not in values:
        return values
    below = Path(path).parent / str(values.pop(DEFAULTS))
    if below.resolve() == Path(path).resolve():
        raise ValueError(f"recipe {path!r} names itself as its {DEFAULTS}")
    return {**read_recipe(str(below)), **values}


def _read(path: str, arguments: dict, sections: Iterable[str], refused: Mapping[str, str]) -> dict[str, Any]:
    """Values of a recipe, each of the type that the command line would give it (YAML takes `1e-3` for a text)."""
    values = {name: value for name, value in read_recipe(path).items() if name not in sections}
    for name in refused.keys() & values:
        raise ValueError(f"recipe {path!r}: {name}: {refused[name]}")
    if unknown := sorted(str(name) for name in set(values) - set(arguments)):
        raise ValueError(f"recipe {path!r}: unknown argument {', '.join(unknown)}")
    for name, value in values.items():
        try:
            values[name] = _typed(*arguments[name], value)
        except Exception as error:  # whatever the argument's own type raises
            raise ValueError(f"recipe {path!r}: {name}: {value!r} is not a valid value: {error}") from error
    return values


def _typed(action, kinds, value):
    several = kinds <= {list, NoneType}
    if value is None:
        if NoneType not in kinds:
            raise ValueError("it has no value; leave it out for the default")
        return None
    if isinstance(action.type, partial):  # JSON on a command line
        return _structured(value, kinds)
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


__all__ = ["parse_recipe", "read_recipe"]
