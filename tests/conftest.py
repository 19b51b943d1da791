"""Fixtures for all tests: homes, the command, the lake, the fault server and the sample API."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import quick_tests
from tests.support.command import InProcessCommand, UnifyCommand
from tests.support.demo_api import DemoAPI, run_demo_server
from tests.support.fake_session import FAKE_SESSION_COMMAND, open_session
from tests.support.fault_server import FaultServer
from tests.support.home_files import find_leaks
from tests.support.mysql_server import MySQLServer, run_mysql
from tests.support.paths import CHECKOUT
from tests.support.postgres_server import PostgresServer, run_postgres
from tests.support.shared_home import SharedHome
from tests.support.stores import create_home
from tests.support.temporary import use_memory_folder
from unify.config.settings import Settings
from unify.lake.lake import Lake

if TYPE_CHECKING:
    from prompt_toolkit.input import PipeInput

    from tests.support.daemon_home import DaemonHome


LONGEST_MODULES = (  # run first, so that no worker ends long after the others
    "tests/promises/test_secrets.py",
    "tests/adapters/test_github_emulator.py",
    "tests/adapters/test_foreign_servers.py",
    "tests/adapters/files/test_folder_tables.py",
    "tests/promises/test_daemon.py",
    "tests/command/test_waiting.py",
    "tests/command/test_resumed_loads.py",
    "tests/command/test_home_commands.py",
    "tests/command/test_demo.py",
    "tests/daemon/test_disk_space.py",
    "tests/daemon/test_memory.py",
    "tests/load/test_postgres_recovery.py",
    "tests/publish/test_crash_recovery.py",
    "tests/test_packaging.py",
)


def pytest_configure() -> None:
    use_memory_folder()
    quick_tests.install_audit_hook()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        quick_tests.add_marks(item)
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_MODULES))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Exclude the tests themselves, a million objects, from garbage collection, and collect less often."""
    gc.disable()
    gc.set_threshold(2_000, 10, 30)
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with quick_tests.check_unmarked(item):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _one_duckdb_thread() -> Iterator[None]:
    """Leave DuckDB one thread in this process. Statements of tests have few rows, for which several threads
    take a third more CPU, and other tests run at the same time. Processes have all threads, as in production.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "use_all_threads", lambda lake: None)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this process."""
    with ExitStack() as stack:
        yield stack.enter_context(run_postgres())
        with quick_tests.unchecked():
            stack.close()


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySQLServer]:
    """A MariaDB server of this process."""
    with run_mysql() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a home with an empty lake."""
    return create_home(tmp_path)


@pytest.fixture
def lake(settings: Settings) -> Iterator[Lake]:
    """An empty lake, open for writing."""
    with Lake(settings) as opened:
        yield opened


@pytest.fixture
def shell(empty_home: Path) -> InProcessCommand:
    """The command on a plain DuckDB (``fake_session``), run in this process, in an empty folder."""
    command = InProcessCommand(empty_home, FAKE_SESSION_COMMAND, open_session)
    command.environment["PYTHONPATH"] = str(CHECKOUT)
    return command


@pytest.fixture
def shell_process(empty_home: Path) -> UnifyCommand:
    """The command on a plain DuckDB as a process: for tests of signals, pipes, locale and memory."""
    command = UnifyCommand(empty_home, FAKE_SESSION_COMMAND)
    command.environment["PYTHONPATH"] = str(CHECKOUT)
    return command


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _clear_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the user who runs the tests."""
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
def empty_home(tmp_path: Path) -> Path:
    """An empty home folder, for tests that start no daemon."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def new_home(empty_home: Path) -> Iterator[Path]:
    """An empty home folder. Teardown stops its daemon and checks that no secret is left in it."""
    yield empty_home
    UnifyCommand(empty_home).stop_daemon()
    assert find_leaks(empty_home) == []


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with an empty lake, shared by tests of a module. Teardown as for ``new_home``."""
    folder = create_home(tmp_path_factory.mktemp("module")).home
    yield folder
    UnifyCommand(folder).stop_daemon()
    assert find_leaks(folder) == []


@pytest.fixture(scope="session")
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedHome]:
    home = SharedHome(tmp_path_factory.mktemp("session"))
    yield home
    with quick_tests.unchecked():
        home.close()


@pytest.fixture
def shared_unify(_session_home: SharedHome, monkeypatch: pytest.MonkeyPatch) -> InProcessCommand:
    """The command in a home whose daemon serves all tests of this process and retries quickly.

    Each test starts as in a new home, except that job numbers go on.
    """
    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_quick_retries")
    _session_home.clear()
    unify = InProcessCommand(_session_home.path)
    unify.environment["PYTHONPATH"] = str(CHECKOUT)
    return unify


@pytest.fixture
def home(new_home: Path) -> Path:
    """A home folder with an empty lake. Teardown as for ``new_home``."""
    return create_home(new_home.parent).home


@pytest.fixture
def unify(home: Path) -> InProcessCommand:
    """The command in a home of its own, run in this process: ``unify("select 1")`` returns its output."""
    return InProcessCommand(home)


@pytest.fixture
def unify_process(home: Path) -> UnifyCommand:
    """The command in a home of its own, as a process: for tests of signals, pipes, imports and secrets."""
    return UnifyCommand(home)


@pytest.fixture
def daemon_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonHome]:
    """A home of its own whose daemon has fake workers (``tests.support.fake_runners``)."""
    from tests.support.daemon_home import DaemonHome

    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_process")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.delenv("TEST_TOKEN", raising=False)
    made = DaemonHome(tmp_path)
    yield made
    made.close()


@pytest.fixture
def key_input() -> Iterator[PipeInput]:
    """A pipe through which a test sends keys to a prompt."""
    from prompt_toolkit.input import create_pipe_input

    with create_pipe_input() as pipe:
        yield pipe


@pytest.fixture(scope="session")
def demo_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoAPI]:
    """The sample API, shared by all tests; its data is constant."""
    with run_demo_server(tmp_path_factory.mktemp("demo_api")) as api:
        yield api


@pytest.fixture
def demo_unify(unify: UnifyCommand, demo_api: DemoAPI) -> UnifyCommand:
    """The command with one connection, ``github``, to the sample API."""
    unify.write_connections(demo_api.connection_yaml())
    return unify
