"""The wheel is complete and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import unify as package
from tests.support.command import UnifyCommand
from tests.support.paths import CHECKOUT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, made by the build backend that pip calls."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    (built,) = folder.glob("*.whl")
    return built


def run(*command: str) -> None:
    """Run a command in the checkout; its output is the message if it fails."""
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def required_distributions(requirements: list[str]) -> dict[str, Distribution]:
    """Return the distributions that pip installs for ``requirements``, without extras of this package."""
    found: dict[str, Distribution] = {}
    pending = [(Requirement(text), "") for text in requirements]
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        known = found.get(requirement.name.lower())
        if known is not None and not requirement.extras:
            continue
        found[requirement.name.lower()] = installed = distribution(requirement.name)
        for inner in ("", *requirement.extras):
            pending += [(Requirement(text), inner) for text in installed.requires or ()]
    return found


def top_level_paths(installed: Distribution) -> Iterator[Path]:
    """Yield the files and folders of a distribution in site-packages."""
    for name in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
        yield Path(str(installed.locate_file(name)))


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Path:
    """A virtual environment that has the wheel and what it requires, and nothing else.

    Required packages are links to those of the environment of the tests, so nothing is downloaded.
    """
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = str(folder / "bin" / "python")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", "--no-compile", str(wheel))
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (metadata,) = site_packages.glob("unify_sql-*.dist-info")
    for installed in required_distributions(Distribution.at(metadata).requires or []).values():
        for path in top_level_paths(installed):
            if not (site_packages / path.name).exists():  # two packages of one namespace
                (site_packages / path.name).symlink_to(path)
    return folder


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


def test_the_wheel_in_an_environment_of_its_own_runs_a_query(environment: Path, new_home: Path) -> None:
    unify = UnifyCommand(new_home, [str(environment / "bin" / "unify")])
    unify.environment.pop("PYTHONPATH", None)
    unify.environment.pop("VIRTUAL_ENV", None)

    assert unify.run("--version").stdout == f"unify {package.__version__}\n"
    counted = unify.run("demo", "-c", "select count(*) from github.pulls")
    assert (counted.exit_status, counted.stdout.split()[-1]) == (0, "1200"), counted
    assert list(new_home.iterdir()) == []
