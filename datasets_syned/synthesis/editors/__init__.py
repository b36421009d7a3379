"""Editors: what makes the other image of a pair."""

import inspect
from typing import Any

from .protocol import EditError, Editor

PROCEDURAL = "procedural"

__all__ = ["PROCEDURAL", "EditError", "Editor", "load_editor"]


def load_editor(name: str, **options: Any) -> Editor:
    """
    Makes an editor ready to tell what it is; weights are loaded by its first edit.

    Args:
        name (`str`):
            "procedural" ([`ProceduralEditor`]), or a pipeline of diffusers: its name on the Hub, or a folder
            ([`DiffusersEditor`]).
        options (`Any`): of the editor.

    Raises:
        ValueError: there is no such editor, or it does not take these options.

    Example:
        >>> editor = load_editor("timbrooks/instruct-pix2pix", steps=50, guidance=9.0)
        >>> editor.revision, editor.parameters["steps"]
    """
    if name == PROCEDURAL:
        from .procedural import ProceduralEditor

        return ProceduralEditor(**_checked(ProceduralEditor, name, options))
    from .diffusers_editor import DiffusersEditor

    return DiffusersEditor(name, **_checked(DiffusersEditor, name, options, own="model"))


def _checked(editor: type, name: str, options: dict[str, Any], own: str = "") -> dict[str, Any]:
    known = [option for option in inspect.signature(editor).parameters if option != own]
    unknown = ", ".join(option for option in options if option not in known)
    if unknown:
        raise ValueError(f"editor {name!r} takes no option {unknown}; it takes {', '.join(known)}")
    return options
