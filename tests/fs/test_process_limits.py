"""Limits of the system: what is said about them, and the limit of open files that is raised."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import UNIFY_COMMAND
from unify.engine.errors import translate_lake_error
from unify.fs.process_limits import shortage_advice
from unify.load.protocol import make_unexpected_failure


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "raise the limit (ulimit -n)"),
        (OSError(errno.ENFILE, os.strerror(errno.ENFILE)), "raise the limit (ulimit -n)"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "there is not enough memory"),
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "raise the limit (ulimit -u"),
        (RuntimeError("can't start new thread"), "raise the limit (ulimit -u"),
        (MemoryError(), "there is not enough memory"),
        ("Too many open files (src/epoll.cpp:38)", "raise the limit (ulimit -n)"),
        ("x.so: failed to map segment from shared object", "there is not enough memory"),
    ],
)
def test_a_limit_of_the_system_is_named_with_its_remedy(error: Exception | str, advice: str) -> None:
    assert advice in shortage_advice(error)


@pytest.mark.parametrize("error", [KeyError("x"), OSError(errno.ENOENT, "No such file"), "memory"])
def test_another_error_is_no_limit_of_the_system(error: Exception | str) -> None:
    assert shortage_advice(error) == ""


def test_a_load_that_meets_a_limit_is_tried_again_and_is_no_bug() -> None:
    failure = make_unexpected_failure(MemoryError(), Path("/h"))
    assert (failure.bug, failure.retryable) == (False, True)
    assert "ulimit -v" in failure.message


def test_an_error_of_duckdb_about_open_files_names_the_limit() -> None:
    error = OSError('Cannot open file "/h/x.parquet": Too many open files')
    assert "raise the limit (ulimit -n)" in translate_lake_error(error, Path("/h")).message


@pytest.mark.process
def test_a_low_limit_of_open_files_is_raised() -> None:
    script = (
        "import resource; from unify.fs.process_limits import raise_open_files; "
        "print(raise_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = ["bash", "-c", f'ulimit -Sn 100; exec {sys.executable} -c "{script}"']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = str(min(hard, 1024))
    assert done.stdout.split() == [expected, expected]


@pytest.mark.process
@pytest.mark.parametrize("files", [8, 12, 16])
def test_a_command_without_enough_files_names_the_limit(tmp_path: Path, files: int) -> None:
    words = [*UNIFY_COMMAND, "--home", str(tmp_path / "home"), "-c", "select count(*) from unify.loads"]
    command = ["bash", "-c", f'ulimit -n {files}; exec "$@"', "_", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"only {files} files may be open (ulimit -n); Unify needs 64" in done.stderr
    assert "bug in Unify" not in done.stderr
    assert done.returncode in (0, 1)
