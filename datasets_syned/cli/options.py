"""Options on the command line: those that `load_dataset` takes, by their names, and those of settings."""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
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
        what = "name a config, one" if config is None else f"config {config!r} is none"
        raise WrongUse(f"{what} of {', '.join(Syned.builder_configs)}")
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


def settings_of(parser: Any, section: str) -> Callable[..., None]:
    """How a command gets options that are settings of a section: what is not given is left out of [`sections`]."""

    def add(name: str, help: str, option: str | None = None, **how: Any) -> None:
        if how.get("action") != "store_true" and "choices" not in how:
            how = {"metavar": "N" if "type" in how else "NAME", **how}
        default = argparse.SUPPRESS
        parser.add_argument(f"--{option or name}", dest=f"{section}.{name}", default=default, help=help, **how)

    return add


def sections(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The settings that were given, by section."""
    found = {}
    for name, value in vars(args).items():
        section, dot, option = name.partition(".")
        if dot:
            found.setdefault(section, {})[option] = value
    return found
