"""Temporary files that a signal removes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from unify.fs.temporary_files import lock_temporary, remove_leftovers, temporary_path

_SCRIPT = """
import signal, sys
from pathlib import Path
from unify.fs.temporary_files import removed_at_termination
from unify.fs import temporary_files
file, folder, kept = (Path(word) for word in sys.argv[1:])
for path in (file, kept):
    path.write_text("x")
(folder / "inner").mkdir(parents=True)
with removed_at_termination(kept):
    pass
temporary_files.remove_at_termination(file)
with removed_at_termination(folder):
    signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.process
def test_a_signal_removes_what_is_temporary(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("file", "folder", "kept")]
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *map(str, paths)], timeout=60, check=False)

    assert done.returncode == -signal.SIGTERM
    assert [path.exists() for path in paths] == [False, False, True]


def test_files_of_processes_that_have_ended_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, used, folder = (temporary_path(tmp_path / f"{name}.csv") for name in ("left", "used", "folder"))
    other = tmp_path / ".unify-notes.csv"
    for path in (left, used, other):
        path.write_text("x")
    (folder / "inner").mkdir(parents=True)
    descriptor = os.open(used, os.O_RDONLY)
    lock_temporary(descriptor)

    remove_leftovers(tmp_path)
    assert all(path.exists() for path in (left, used, folder, other))  # a process may be about to lock them

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    remove_leftovers(tmp_path)
    assert [path.exists() for path in (left, used, folder, other)] == [False, True, False, True]

    os.close(descriptor)
    remove_leftovers(tmp_path)
    assert not used.exists()


def test_the_name_of_a_temporary_file_is_short_enough(tmp_path: Path) -> None:
    path = temporary_path(tmp_path / ("é" * 120 + ".csv.gz"))
    path.touch()
    assert path.name.endswith(".csv.gz")


def test_what_a_killed_process_left_is_removed_by_the_next_one(
    unify: UnifyCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = temporary_path(unify.home / "report.parquet")
    left.mkdir()
    (left / "report.parquet").write_text("half")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)

    assert unify("select 1 as a", args=["-o", "report.csv"]).exit_status == 0
    assert not left.exists()
    assert unify("select 1 as a", args=["-o", "report.parquet"]).exit_status == 0
    assert not [path.name for path in unify.home.iterdir() if path.name.startswith(".unify")]
