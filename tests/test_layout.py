"""The layout of the package: unique class names, no import cycles, current READMEs."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import grimp
import pytest

from tests.support.paths import CHECKOUT

PACKAGE = CHECKOUT / "unify"
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
FORMER = PACKAGE / "loading"  # shims for one release
IMPORTED = re.compile(r"^ *(?:from|import) (unify(?:\.\w+)+)", re.MULTILINE)  # programs within strings too
MODULE_LINE = re.compile(r"^    (\w+) +\S", re.MULTILINE)  # of a package's docstring


def dotted(folder: Path) -> str:
    return ".".join(folder.relative_to(CHECKOUT).parts)


def modules_in(folder: Path) -> set[str]:
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py") if path.parent != FORMER}


def classes() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node.name, str(path.relative_to(CHECKOUT))


def cycles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or indirectly (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for imported in graph.find_modules_directly_imported_by(module):
            if imported not in index:
                visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in stack:
                low[module] = min(low[module], index[imported])
        if low[module] == index[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph.modules):
        if module not in index:
            visit(module)
    return found


def test_class_names_are_unique() -> None:
    places = defaultdict(list)
    for name, path in classes():
        places[name].append(path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_no_import_cycles() -> None:
    """Imports within functions and for type checkers count."""
    graph = grimp.build_graph("unify", cache_dir=None)
    graph.remove_module("unify")  # the public names: imported when they are first used
    assert cycles(graph) == []


@pytest.mark.parametrize("folder", [folder for folder in PACKAGES if folder != FORMER], ids=dotted)
def test_a_package_lists_its_modules(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")), clean=False)
    assert docstring is not None
    assert set(MODULE_LINE.findall(docstring)) == modules_in(folder)


@pytest.mark.parametrize(
    "folder", [folder for folder in PACKAGES if folder not in (PACKAGE, FORMER)], ids=dotted
)
def test_a_package_has_three_to_fifteen_files(folder: Path) -> None:
    assert 3 <= len(list(folder.glob("*.py"))) <= 15


def mentions() -> Iterator[tuple[str, str]]:
    """Return the dotted names of modules in code, strings, comments and documents, with their files."""
    name = re.compile(rf"\bunify\.(?:{'|'.join(sorted(modules_in(PACKAGE)))})(?:\.\w+)*")
    files = [CHECKOUT / name for name in ("README.md", "pyproject.toml", "Makefile", "rest_specs/README.md")]
    files += sorted((CHECKOUT / "docs").glob("*.md"))
    for folder in ("unify", "tests", "benchmarks"):
        files += [path for path in sorted((CHECKOUT / folder).rglob("*.py")) if "peers" not in path.parts]
    for path in files:
        text = path.read_text(encoding="utf-8")
        for found in (*name.findall(text), *IMPORTED.findall(text)):
            yield found, str(path.relative_to(CHECKOUT))


def resolves(name: str) -> bool:
    """Return whether a dotted name is a module or a member of one."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        try:
            found: object = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_every_dotted_name_resolves() -> None:
    known = {name: resolves(name) for name, _ in mentions()}
    wrong = {
        f"{path}: {name}"
        for name, path in mentions()
        if not known[name] and not name.startswith("unify.no_such")
    }
    assert wrong == set()


def has_assertion(function: ast.AST) -> bool:
    """Return whether a function asserts: assert, pytest.raises, pytest.warns, or a helper that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in ("raises", "warns", "fail") or name.startswith(("assert_", "expect")):
                return True
    return False


def test_every_test_has_an_assertion() -> None:
    missing = [
        f"{path.relative_to(CHECKOUT)}:{node.lineno} {node.name}"
        for path in sorted((CHECKOUT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not has_assertion(node)
    ]
    assert missing == []
