"""A recipe: a YAML file of a script's arguments, which the command line overrides."""

import json
import math
import os
from argparse import SUPPRESS, Action, ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
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
    as_json: Mapping[str, str] | None = None,
    sections: Iterable[str] = (),
    refused: Mapping[str, str] | None = None,
    bundled: str | os.PathLike | None = None,
) -> list[Any]:
    """
    Parses `[recipe] [--name value ...]` into an instance of each of `groups`, dataclasses as for `HfArgumentParser`. A
    mistake ends the program with one message and the status 2; `check` is called with the instances, and raises a
    `ValueError` for what does not go together. A recipe may take over the values of another one, whose path, from its
    own folder, is its key `defaults`; one in the folder `bundled` needs no more than its name. Arguments in `as_json`
    are JSON on the command line, and lists or dicts in a recipe; the value is an example, and one dict stands for a
    list of one. `sections` are keys of a recipe that are for other programs; `refused` are arguments of the groups
    that the program does not heed, and what to do instead.
    """
    options = {"usage": "%(prog)s RECIPE [--option value ...]", "allow_abbrev": False, "conflict_handler": "resolve"}
    parser = HfArgumentParser(tuple(groups), **options)
    parser.add_argument("--help_all", action="help", help="show all options")
    kinds = {name: _kinds(hint) for group in groups for name, hint in get_type_hints(group).items()}
    as_json, refused = as_json or {}, refused or {}
    for action in parser._actions:
        if action.dest in as_json:
            action.type, action.nargs = partial(_from_json, kinds[action.dest], as_json[action.dest]), None
        action.type = {int: _whole, float: _number}.get(action.type, action.type)
    for name, instead in refused.items():
        words = [word for action in parser._actions if action.dest == name for word in action.option_strings]
        options = {"dest": name, "default": parser.get_default(name), "metavar": instead, "help": SUPPRESS}
        parser.add_argument(*words, action=_Refused, nargs="*", **options)
    # not the `--no_...` of a switch, which has no value
    arguments = {action.dest: (action, kinds[action.dest]) for action in parser._actions if action.type is not None}
    parser.add_argument("recipe", nargs="?", help="a YAML file of options, or the name of a bundled one; comes first")
    recipe = argv[0] if argv and not argv[0].startswith("-") else None
    try:
        known = [word for action in parser._actions for word in action.option_strings]
        for word in (word.partition("=")[0] for word in argv if word.startswith("--")):
            if word not in known:
                raise ValueError(f"unknown argument {word}{_meant(word, known)}")
        if recipe is not None:
            parser.set_defaults(**_read(_find(recipe, bundled), arguments, sections, refused))
        *parsed, rest = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
        if rest.recipe != recipe:
            raise ValueError(f"the recipe comes first: {rest.recipe!r}")
        check(*parsed)
    except (ValueError, TypeError, ImportError, OverflowError) as error:
        parser.error(str(error))
    return parsed


def _meant(word: str, known: Iterable[str]) -> str:
    """What may have been meant by a wrong word, as the end of a message."""
    near = get_close_matches(word, [*known], 1)
    return f"; did you mean {near[0]}?" if near else ""


def _find(recipe: str, bundled: str | os.PathLike | None) -> str:
    """The path of a recipe, which may be the name of a bundled one."""
    if Path(recipe).is_file() or bundled is None:
        return recipe
    names = {path.stem: str(path) for path in sorted(Path(bundled).glob("*.yaml")) if path.stem != DEFAULTS}
    if recipe not in names and not Path(recipe).exists():
        meant = _meant(Path(recipe).stem, names) or f"; the names are {', '.join(names)}"
        raise ValueError(f"recipe {recipe!r}: there is no such file, and no bundled recipe of this name{meant}")
    return names.get(recipe, recipe)


class _Refused(Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f"{option_string}: {self.metavar}")


def _kinds(hint) -> set[type]:
    """The types of an annotation, without what is in them: of `list[str] | None`, `list` and `NoneType`."""
    hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return {get_origin(one) or one for one in hints}


def _whole(text: str) -> int:
    with suppress(ValueError):
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a whole number, such as 16")


def _number(text: str) -> float:
    with suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    raise ArgumentTypeError(f"{text!r} is not a number, such as 0.05 or 1e-4")


def _from_json(kinds: set[type], example: str, text: str) -> Any:
    try:
        return _structured(json.loads(text), kinds)
    except (ValueError, RecursionError) as error:
        kind = "not JSON" if isinstance(error, json.JSONDecodeError) else "not right"
        raise ArgumentTypeError(f"{text!r} is {kind} ({error}), such as '{example}'") from error


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
        json.dumps(values, default=str)  # refuses what contains itself
    except UnicodeDecodeError as error:
        raise ValueError(f"recipe {path!r} is not text; it must hold lines of the form `argument: value`") from error
    except OSError as error:
        raise ValueError(f"recipe {path!r}: {error.strerror}") from error
    except RecursionError as error:
        raise ValueError(f"recipe {path!r} is nested too deeply") from error
    except (ValueError, TypeError, OverflowError, yaml.YAMLError) as error:
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
        raise ValueError(f"recipe {path!r}: unknown argument {', '.join(unknown)}{_meant(unknown[0], arguments)}")
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
