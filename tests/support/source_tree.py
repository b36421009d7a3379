"""What the files of this repository import, read from their syntax trees without running them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("modeling_blip2idc", "datasets_syned", "metrics")


@dataclass(frozen=True)
class Import:
    """
    One imported module.

    Args:
        where (`str`): file and line, for messages.
        module (`str`): dotted name as written, without leading dots; empty for `from . import x`.
        level (`int`): number of leading dots; 0 for an absolute import.
        on_import (`bool`): whether it runs when the file is imported: not in a function, nor for type checkers only.
    """

    where: str
    module: str
    level: int
    on_import: bool

    @property
    def top(self) -> str:
        """First part of the name: the package that has to be installed."""
        return self.module.split(".")[0]


def imports(path: Path, root: Path = ROOT) -> list[Import]:
    """Every import of a file, at any depth, `import_module("name")` and the like included."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    name = path.relative_to(root).as_posix()
    return [Import(f"{name}:{line}", module, level, now) for module, level, line, now in _walk(tree, on_import=True)]


def _walk(node: ast.AST, on_import: bool) -> Iterator[tuple[str, int, int, bool]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, 0, node.lineno, on_import) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or "", node.level, node.lineno, on_import
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if called in ("import_module", "__import__", "importorskip") and isinstance(node.args[0].value, str):
            written = node.args[0].value
            yield written.lstrip("."), len(written) - len(written.lstrip(".")), node.lineno, on_import
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for child in node.body:
            yield from _walk(child, on_import=False)
        for child in node.orelse:
            yield from _walk(child, on_import)
        return
    deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, on_import and not deferred)


def python_files(*folders: str, root: Path = ROOT) -> list[Path]:
    """Python files under the named folders of `root`, sorted."""
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
