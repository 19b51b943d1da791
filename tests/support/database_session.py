"""A session with a connection ``shop`` to a database server, in a home of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import unify
from tests.support.command import is_daemon_running
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.status.launch import stop_daemon


def write_shop(folder: Path, adapter: str, options: Mapping[str, str], *, writable: bool = False) -> Path:
    """Write connections.yaml with ``shop``; return its path."""
    path = folder / "connections.yaml"
    last = "  writable: true\n" if writable else ""
    path.write_text(f"shop:\n  adapter: {adapter}\n  options: {json.dumps(dict(options))}\n{last}")
    path.chmod(0o600)
    return path


@contextmanager
def open_shop_session(folder: Path, connections: Path) -> Iterator[PythonSession]:
    """Open a session; a daemon that its statements start ends with it."""
    settings = create_home(folder)
    with unify.open(settings.home, connections=connections, environment={}) as session:
        yield session
    if is_daemon_running(settings.home):
        stop_daemon(settings)
