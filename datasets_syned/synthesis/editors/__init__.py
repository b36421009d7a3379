"""Editors: what makes the other image of a pair."""

import importlib
import inspect
import os
import re
import sys
from difflib import get_close_matches
from typing import Any

from .protocol import EditError, Editor

PROCEDURAL = "procedural"
OWN = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")

__all__ = ["PROCEDURAL", "EditError", "Editor", "load_editor"]


def load_editor(name: str, **options: Any) -> Editor:
    """
    Makes an editor ready to tell what it is; weights are loaded by its first edit.

    Args:
        name (`str`):
            "procedural" ([`ProceduralEditor`]); a class of your own as "module:Class", found in the current folder as
            well ([`Editor`]); or a pipeline of diffusers, by its name on the Hub or its folder ([`DiffusersEditor`]).
        options (`Any`): of the editor.

    Raises:
        ValueError: there is no such editor, or it does not take these options.

    Example:
        >>> editor = load_editor("timbrooks/instruct-pix2pix", steps=50, guidance=9.0)
        >>> editor.revision, editor.parameters["steps"]
    """
    before = ()
    if name == PROCEDURAL:
        from .procedural import ProceduralEditor as editor
    elif own := OWN.fullmatch(name):
        editor = _import(*own.groups())
    elif not os.path.isdir(name) and get_close_matches(name, [PROCEDURAL], cutoff=0.8):
        raise ValueError(f"there is no editor {name!r}; did you mean {PROCEDURAL!r}?")
    else:
        from .diffusers_editor import DiffusersEditor as editor

        before = (name,)
    try:
        inspect.signature(editor).bind(*before, **options)
    except TypeError as error:
        known = ", ".join(inspect.signature(editor).parameters)
        raise ValueError(f"editor {name!r} {error}; it takes {known}") from error
    return editor(*before, **options)


def _import(module: str, name: str) -> type[Editor]:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a command does not look there
    try:
        editor = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"editor {module}:{name} cannot be imported: {error}") from error
    if not hasattr(editor, "edit"):
        raise ValueError(f"editor {module}:{name} has no method edit(images, instructions, seeds)")
    return editor
