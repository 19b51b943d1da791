"""The wheel is complete and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import unify as package
from tests.support.command import UnifyCommand
from tests.support.paths import CHECKOUT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT))
    (built,) = folder.glob("*.whl")
    return built


def pip(python: str, *arguments: str) -> None:
    """Run pip; its output is the message if it fails."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_wheel_contains_every_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    in_the_tree = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "unify").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    specs = {f"unify/rest_specs/{path.name}" for path in (CHECKOUT / "rest_specs").glob("*.yaml")}

    assert "unify/rest_specs/github.yaml" in specs
    assert in_the_tree | specs | {"unify/grammar.lark", "unify/py.typed"} <= names
    assert any(name.endswith("queue.sql") for name in names)


def test_the_wheel_contains_only_the_program(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"unify", f"unify_sql-{package.__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_in_an_empty_environment_runs_a_query(wheel: Path, tmp_path: Path, new_home: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=120)
    pip(str(environment / "bin" / "python"), "install", str(wheel))
    unify = UnifyCommand(new_home, [str(environment / "bin" / "unify")])
    unify.environment.pop("PYTHONPATH", None)
    unify.environment.pop("VIRTUAL_ENV", None)

    assert unify.run("--version").stdout == f"unify {package.__version__}\n"
    counted = unify.run("demo", "-c", "select count(*) from github.pulls")
    assert (counted.exit_status, counted.stdout.split()[-1]) == (0, "1200"), counted
    assert list(new_home.iterdir()) == []
