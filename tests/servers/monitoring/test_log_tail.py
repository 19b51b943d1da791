"""Lines that other processes append to a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from unify.servers.monitoring.log_tail import CHUNK_BYTES, MAX_LINE_BYTES, LogTail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def tail(path: Path) -> LogTail:
    path.write_bytes(b"before\n")
    return LogTail(path, path.with_name("log.1"))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_each_line_is_read_once_and_older_ones_are_not(tail: LogTail, path: Path) -> None:
    assert list(tail.read_lines()) == []
    append(path, b"a\nb\n")
    assert list(tail.read_lines()) == [b"a", b"b"]
    assert list(tail.read_lines()) == []


def test_a_line_is_read_when_it_is_complete(tail: LogTail, path: Path) -> None:
    append(path, b"a\nhal")
    assert list(tail.read_lines()) == [b"a"]
    append(path, b"f\n")
    assert list(tail.read_lines()) == [b"half"]


def test_the_end_of_a_rotated_file_is_read_too(tail: LogTail, path: Path) -> None:
    append(path, b"a\n")
    path.rename(path.with_name("log.1"))
    path.write_bytes(b"b\n")
    assert list(tail.read_lines()) == [b"a", b"b"]
    append(path, b"c\n")
    assert list(tail.read_lines()) == [b"c"]


def test_a_file_that_appears_later_is_read_from_its_start(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "new", tmp_path / "new.1")
    assert list(tail.read_lines()) == []
    (tmp_path / "new").write_bytes(b"a\n")
    assert list(tail.read_lines()) == [b"a"]


def test_a_truncated_file_is_read_from_its_start(tail: LogTail, path: Path) -> None:
    append(path, b"a\n" * 10)
    assert len(list(tail.read_lines())) == 10
    path.write_bytes(b"b\n")
    assert list(tail.read_lines()) == [b"b"]


def test_lines_of_any_length_are_read_in_bounded_memory(tail: LogTail, path: Path) -> None:
    long = b"x" * (3 * CHUNK_BYTES)
    append(path, long + b"\n" + b"y" * (2 * MAX_LINE_BYTES) + b"\nlast\n")
    found = list(tail.read_lines())
    assert found[0] == long
    assert found[-1] == b"last"
    assert max(map(len, found)) < MAX_LINE_BYTES


def test_a_pipe_is_an_error(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    tail = LogTail(tmp_path / "pipe", tmp_path / "pipe.1")
    with pytest.raises(OSError, match="not a regular file"):
        list(tail.read_lines())
