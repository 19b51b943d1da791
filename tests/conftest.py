"""Fixtures every test may use: a home of its own, the command line in it, the sample API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.canaries import leaks
from tests.support import DemoAPI, Unify, serving_demo

if TYPE_CHECKING:
    from prompt_toolkit.input import PipeInput

    from tests.test_daemon import Home


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own; no test sees them."""
    for name in (
        "UNIFY_HOME",
        "UNIFY_CONNECTIONS",
        "UNIFY_SPECS",
        "UNIFY_TENANT",
        "NO_COLOR",
        "PAGER",
        "EDITOR",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty home folder; at the end its daemon is stopped and proved gone, and no secret is left in it."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    yield folder
    Unify(folder).stop_daemon()
    assert leaks(folder) == []


@pytest.fixture
def unify(home: Path) -> Unify:
    """The command line in a home of its own: ``unify("select 1")`` gives stdout, stderr and status."""
    return Unify(home)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty home folder, for a shell that starts no daemon."""
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home whose daemon has workers that do what a table is called after (tests.daemon_process)."""
    from tests.test_daemon import REPOSITORY, Home

    monkeypatch.setattr("unify.status.launch.COMMAND", "tests.daemon_process")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("TEST_TOKEN", raising=False)
    made = Home(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    """Where a test presses keys for a prompt without a terminal."""
    from prompt_toolkit.input import create_pipe_input

    with create_pipe_input() as pipe:
        yield pipe


@pytest.fixture(scope="session")
def demo_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoAPI]:
    """One sample API for all tests: its data never changes."""
    with serving_demo(tmp_path_factory.mktemp("demo_api")) as api:
        yield api


@pytest.fixture
def demo_unify(unify: Unify, demo_api: DemoAPI) -> Unify:
    """The command line with one connection, ``github``, to the sample API."""
    unify.connect(demo_api.connection())
    return unify
