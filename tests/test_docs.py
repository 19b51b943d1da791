"""What the documentation names exists, and the commands it shows run."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from tests.support.paths import CHECKOUT
from unify.cli.args import parse_arguments

TESTS = CHECKOUT / "tests"
_NAMED_TEST = re.compile(r"`(?:tests/)?([\w/]+\.py)((?:::\w+)*)(?:\[[^\]`]*\])?`")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?:\]\(|src=\")([^)\"#:]+)(?:#[^)\"]*)?[)\"]")
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def test_every_test_that_shows_a_promise_exists() -> None:
    text = (CHECKOUT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = [(match[1], match[2].removeprefix("::")) for match in _NAMED_TEST.finditer(text)]

    assert len(named) > 50
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (TESTS / path).is_file() or (name and name not in _names(TESTS / path))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_resolve(page: Path) -> None:
    links = [match[1] for match in _LINK.finditer(page.read_text(encoding="utf-8")) if "//" not in match[1]]

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_module_that_the_architecture_page_names_exists() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (CHECKOUT / "unify").glob("*/__init__.py")}
    named = {match[1] for match in re.finditer(r"`([a-z_]+(?:\.[a-z_]+)+)`", text)}
    modules = [name for name in named if name.partition(".")[0] in packages and not name.endswith(".db")]

    assert len(modules) > 30
    paths = [CHECKOUT / "unify" / name.replace(".", "/") for name in modules]
    assert [str(path) for path in paths if not path.is_dir() and not path.with_suffix(".py").is_file()] == []


def test_the_statements_of_the_readme_run_on_the_sample_api(demo_unify: UnifyCommand) -> None:
    script = "\n".join(_readme_blocks("sql"))
    assert script.count(";") > 5

    outcome = demo_unify.run("--echo", "-f", "-", stdin=script)

    assert outcome.exit_status == 0, outcome


def test_the_command_lines_of_the_readme_are_valid() -> None:
    lines = [line for block in _readme_blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines]
    unify = [words[words.index("unify") + 1 :] for words in commands if "unify" in words]
    targets = [word for words in commands if words[:1] == ["make"] for word in words[1:]]

    assert len(unify) >= 5
    for words in unify:
        parse_arguments(words[: _end(words)])
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def _end(words: list[str]) -> int:
    """Return the number of words before a redirection."""
    return next((number for number, word in enumerate(words) if word in (">", "|")), len(words))


def _readme_blocks(language: str) -> list[str]:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    return [match[2] for match in _BLOCK.finditer(text) if match[1] == language]


@cache
def _names(path: Path) -> set[str]:
    """Return the tests of a module: ``test_name``, ``TestClass``, ``TestClass::test_name``."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names.update(
                f"{node.name}::{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)
            )
    return names
