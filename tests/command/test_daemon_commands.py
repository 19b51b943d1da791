"""``unify daemon start``, ``status`` and ``stop``."""

from __future__ import annotations

from tests.support.command import UnifyCommand


def test_daemon_start_status_and_stop(unify: UnifyCommand) -> None:
    assert unify.run("daemon", "status").exit_status == 1
    assert "is running (pid" in unify.run("daemon", "start").stdout
    assert "is already running" in unify.run("daemon", "start").stdout
    assert unify.run("daemon", "status").exit_status == 0
    assert unify.run("daemon", "stop").stdout == "the daemon has stopped\n"
    assert unify.run("daemon", "stop").stdout == "the daemon was not running\n"
    assert unify.run("daemon", "status").exit_status == 1
