"""Options of configurations on the command line: those that `load_dataset` takes, by their names."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any

import datasets

from ..loading.builder import Syned


class WrongUse(ValueError):
    """Options that cannot be meant so; the command then ends with status 2."""

    exit_code = 2


COMMON = {field.name for field in fields(datasets.BuilderConfig)}


def option_names(without: Iterable[str] = ()) -> dict[str, list[str]]:
    """Names of all options of configurations, each with the configurations that have it."""
    owners = {}
    for config in Syned.builder_configs.values():
        for field in fields(config):
            if field.name not in COMMON.union(without):
                owners.setdefault(field.name, []).append(config.name)
    return owners


def add_options(parser: argparse.ArgumentParser, without: Iterable[str] = ()) -> None:
    """Adds the options of all configurations to a command, but those that are its own."""
    group = parser.add_argument_group("options of a configuration", "as load_dataset takes them; no value means true")
    for name, owners in option_names(without).items():
        group.add_argument(
            f"--{name}", nargs="?", const="true", default=argparse.SUPPRESS, metavar="VALUE", help=", ".join(owners)
        )


def given_options(args: argparse.Namespace, without: Iterable[str] = ()) -> dict[str, str]:
    """The options that were given, as they were typed."""
    return {name: getattr(args, name) for name in option_names(without) if hasattr(args, name)}


def option_values(config: str, options: dict[str, str]) -> dict[str, Any]:
    """
    What options mean for a configuration.

    Raises:
        WrongUse: there is no such configuration, or it has no such option, or the value is of another kind.
    """
    if config not in Syned.builder_configs:
        near = "".join(f"; did you mean {name}?" for name in get_close_matches(str(config), Syned.builder_configs, 1))
        what = "name a config, one" if config is None else f"config {config!r} is none"
        raise WrongUse(f"{what} of {', '.join(Syned.builder_configs)}{near}")
    own = {field.name: field for field in fields(Syned.builder_configs[config]) if field.name not in COMMON}
    if unknown := [name for name in options if name not in own]:
        raise WrongUse(f"config {config!r} has no option {unknown[0]!r}, but {', '.join(own)}")
    return {name: _value(value, own[name]) for name, value in options.items()}


def _value(value: str, field: Any) -> Any:
    """What a text means: JSON, unless the option takes a text."""
    if isinstance(field.default, str) or field.default is MISSING:
        return value
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(value, value))
    except json.JSONDecodeError:
        if field.default is None:
            return value
        raise WrongUse(f"--{field.name} {value} must be like {json.dumps(field.default)}") from None
