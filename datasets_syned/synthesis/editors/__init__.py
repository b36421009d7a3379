"""Editors: what makes the other image of a pair."""

import os
import pkgutil
import re
import sys
from typing import Any

from .protocol import EditError, Editor

PROCEDURAL, COMPOSITE = "procedural", "composite"
OWN = re.compile(r"[A-Za-z_][\w.]*:\w+")

__all__ = ["COMPOSITE", "PROCEDURAL", "EditError", "Editor", "load_editor"]


def load_editor(name: str, **options: Any) -> Editor:
    """
    Makes an editor ready to tell what it is; weights are loaded by its first edit.

    Args:
        name (`str`):
            "procedural" ([`ProceduralEditor`]); "composite" ([`CompositeEditor`]); a class of your own as
            "module:Class", found in the current folder as well ([`Editor`]); or a pipeline of diffusers, by its name
            on the Hub or its folder ([`DiffusersEditor`]).
        options (`Any`): of the editor.

    Raises:
        ValueError: there is no such editor, or it does not take these options.

    Example:
        >>> editor = load_editor("timbrooks/instruct-pix2pix", steps=50, guidance=9.0)
        >>> editor.revision, editor.parameters["steps"]
    """
    try:
        if name == PROCEDURAL:
            from .procedural import ProceduralEditor

            return ProceduralEditor(**options)
        if name == COMPOSITE:
            from .composite import CompositeEditor

            return CompositeEditor(**options)
        if OWN.fullmatch(name):
            sys.path.append(os.getcwd())  # where a command does not look
            return pkgutil.resolve_name(name)(**options)
        from .diffusers_editor import DiffusersEditor

        return DiffusersEditor(name, **options)
    except (TypeError, ImportError, AttributeError) as error:
        raise ValueError(f"editor {name!r}: {error}") from error
