"""A daemon that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemon_home import DaemonHome
from tests.support.paths import CHECKOUT


@pytest.fixture(scope="module")
def _module_daemon_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonHome]:
    home = DaemonHome(tmp_path_factory.mktemp("daemon"))
    yield home
    home.close()


@pytest.fixture
def shared_home(_module_daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonHome]:
    """A home whose daemon runs, for tests that only load: ``enqueue_new_table`` gives each its own tables.

    Tests that stop or kill the daemon, or change its environment, use ``daemon_home``.
    """
    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_process")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    _module_daemon_home.start_daemon()
    yield _module_daemon_home
    _module_daemon_home.cancel_jobs()
