"""The models of the library as their source says, read without running it: a list of them must not cost the import of
torch, nor one model the import of all others."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Listed:
    """A model by its registered name: its family (the folder of its file), module, abilities and one-line summary."""

    name: str
    family: str
    module: str
    abilities: tuple[str, ...]
    summary: str


@functools.cache
def library_models() -> dict[str, Listed]:
    """Every model that is registered in a file of `ancestral.models`, by name: the families in their order."""
    families: list[str] = _constant("ancestral.models", "FAMILIES")
    known: list[str] = _constant("ancestral.interface.abilities", "ABILITIES")
    found = {}
    for file in sorted(_ROOT.glob("models/*/**/*.py"), key=lambda file: (families.index(_family(file)), file)):
        module = ".".join(("ancestral", *file.relative_to(_ROOT).with_suffix("").parts))
        for definition in _classes(module).values():
            if name := _registered_name(definition):
                ancestors = set(_ancestors(module, definition))
                abilities = tuple(ability for ability in known if ability in ancestors)
                summary = (ast.get_docstring(definition) or "").split("\n")[0]
                found[name] = Listed(name, _family(file), module, abilities, summary)
    return found


def _family(file: Path) -> str:
    return file.relative_to(_ROOT / "models").parts[0]


def _registered_name(definition: ast.ClassDef) -> str | None:
    """The name in `@register("name")`."""
    for decorator in definition.decorator_list:
        match decorator:
            case ast.Call(func=ast.Name("register"), args=[ast.Constant(str(name))]):
                return name
    return None


def _ancestors(module: str, definition: ast.ClassDef) -> Iterator[str]:
    """The names of all classes of this library that a class inherits from."""
    for base in definition.bases:
        where, name = module, ast.unparse(base).split("[")[0]
        # Followed through the packages that pass it on.
        while name in (passed := _imported(where)) and name not in _classes(where):
            where, name = passed[name]
        yield name
        if name in _classes(where):
            yield from _ancestors(where, _classes(where)[name])


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in _tree(module).body if isinstance(node, ast.ClassDef)}


@functools.cache
def _imported(module: str) -> dict[str, tuple[str, str]]:
    """Names that a module takes from others, with where each comes from and its name there."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in _tree(module).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def _constant(module: str, name: str) -> list[str]:
    """The entries of a tuple of texts, or of names, that a module binds."""
    for node in _tree(module).body:
        match node:
            case ast.Assign([ast.Name(bound)], ast.Tuple(entries)) if bound == name:
                return list(map(_word, entries))
            case ast.AnnAssign(ast.Name(bound), _, ast.Tuple(entries)) if bound == name:
                return list(map(_word, entries))
    raise AssertionError(f"{module} binds no tuple {name}")


def _word(entry: ast.expr) -> str:
    return str(entry.value) if isinstance(entry, ast.Constant) else ast.unparse(entry)


@functools.cache
def _tree(module: str) -> ast.Module:
    """The source of a module of this library; nothing of others."""
    package, *parts = module.split(".")
    if package != "ancestral":
        return ast.Module([], [])
    path = _ROOT.joinpath(*parts)
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
