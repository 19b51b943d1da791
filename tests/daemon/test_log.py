"""The log of the daemon."""

from __future__ import annotations

from pathlib import Path

from tests.support.stores import NOW, TABLE
from unify.daemon.log import MAX_FILE_BYTES, MAX_FILES, DaemonLog


class TestDaemonLog:
    def test_an_event_is_one_line(self, tmp_path: Path) -> None:
        log = DaemonLog(tmp_path, 7, now=lambda: NOW)
        log.write_event("load.started", job=12, table=TABLE, error="", note="two words", nothing=None)
        log.close()
        assert (tmp_path / "daemon.log").read_text() == (
            '2026-03-01T12:00:00.000Z 7 load.started job=12 table=github.pulls note="two words"\n'
        )

    def test_control_characters_are_escaped(self, tmp_path: Path) -> None:
        log = DaemonLog(tmp_path, 7, now=lambda: NOW)
        log.write_event("load.failed", error="a\nb\x1b[2Jc\u202e")
        log.close()
        assert log.path.read_text().count("\n") == 1
        assert log.path.read_text().isascii()

    def test_secrets_are_redacted_in_every_encoding(self, tmp_path: Path) -> None:
        log = DaemonLog(tmp_path, 7)
        log.add_secrets(["canary/5f+2c", "short"])
        log.write_event("x", a="canary/5f+2c", b="q=canary%2F5f%2B2c", c="Y2FuYXJ5LzVmKzJj", d="short")
        log.close()
        text = log.path.read_text()
        assert text.count("***") == 3
        assert "d=short" in text

    def test_the_log_rotates_and_is_private(self, tmp_path: Path) -> None:
        log = DaemonLog(tmp_path, 7)
        for _ in range(MAX_FILES + 2):
            log.write_event("x" * (MAX_FILE_BYTES + 1))
        log.write_event("the last")
        log.close()
        files = sorted(path.name for path in tmp_path.iterdir())
        assert files == ["daemon.log", *(f"daemon.log.{number}" for number in range(1, MAX_FILES))]
        assert "the last" in log.path.read_text()
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
