"""Marks of tests that need more than this process, and the check that no mark is missing.

``make test-quick`` leaves out the marks ``process``, ``socket`` and ``lake``. Most marks follow from the
fixtures of a test or from its file; the others are written at the test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

FIXTURES = {
    "process": (
        "daemon_home",
        "demo_api",
        "github",
        "module_home",
        "mysql_server",
        "postgres_server",
        "new_home",  # the command in a home may start a daemon
        "shared_home",
        "shared_unify",
        "shell_process",
        "terminal",
        "wheel",
    ),
    "socket": (
        "api",
        "served",
        "guarded",
        "impatient",
        "certificates",
        "foreign",
        "oauth_server",
        "token_server",
        "tracker",
    ),
    "lake": ("filled", "lake", "settings", "unchanged_lake"),  # every commit is an fsync
}
PATHS = {
    "process": (
        "tests/cli/test_shell_completion.py",
        "tests/command/",
        "tests/daemon/test_worker_pool.py",
        "tests/demo/",
        "tests/promises/",
        "tests/render/test_pager.py",
    ),
    "socket": ("tests/adapters/spec/test_bundled_specs.py", "tests/status/"),
    "lake": ("tests/lake/test_lost_catalog.py",),
}
_AUDIT_EVENTS = {
    "subprocess.Popen": "starts a process",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "socket.bind": "opens a socket",
    "socket.connect": "opens a socket",
}
_current_test: list[str] = []


def add_marks(item: pytest.Item) -> None:
    """Add the marks that follow from the fixtures and the file of a test."""
    fixtures = set(getattr(item, "fixturenames", ()))
    for mark in ("process", "socket", "lake"):
        if fixtures.intersection(FIXTURES[mark]) or item.nodeid.startswith(PATHS.get(mark, ())):
            item.add_marker(mark)


def install_audit_hook() -> None:
    """Let a process or a socket of an unmarked test be an error. A hook stays until the process ends."""
    sys.addaudithook(_audit)


@contextmanager
def check_unmarked(item: pytest.Item) -> Iterator[None]:
    """Check the block for processes and sockets if ``item`` has none of the marks."""
    if any(item.get_closest_marker(mark) for mark in ("slow", *FIXTURES)):
        yield
        return
    _current_test.append(item.nodeid)
    try:
        yield
    finally:
        _current_test.pop()


@contextmanager
def unchecked() -> Iterator[None]:
    """Do not check the block: the end of a fixture of the session, in whichever test is the last one."""
    tests, _current_test[:] = list(_current_test), []
    try:
        yield
    finally:
        _current_test[:] = tests


def _audit(event: str, _arguments: object) -> None:
    if _current_test and event in _AUDIT_EVENTS:
        raise RuntimeError(
            f"{_current_test[-1]} {_AUDIT_EVENTS[event]}: mark it with process or socket, "
            "or add its fixture to tests/support/quick_tests.py"
        )
