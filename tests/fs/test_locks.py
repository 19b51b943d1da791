"""Locks between threads and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from unify.errors import StoreError
from unify.fs.locks import FileLock


def test_a_lock_names_its_holder_after_the_timeout(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock", "a test"), FileLock(tmp_path / "lock")
    with one.hold():
        assert other.holder() == f"process {os.getpid()} (a test)"
        with pytest.raises(StoreError, match=rf"still held by process {os.getpid()} \(a test\) after 0.05 s"):
            other.acquire(timeout_s=0.05)


def test_a_free_lock_has_no_holder(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock", "a test"), FileLock(tmp_path / "lock")
    assert other.holder() == ""
    with one.hold():
        pass
    assert other.holder() == ""


def test_a_waiter_acquires_the_lock_as_soon_as_it_is_free(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    one.acquire()
    got = threading.Event()

    def wait() -> None:
        with other.hold(timeout_s=30):
            got.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not got.wait(0.05)
    one.release()
    waiter.join(5)
    assert got.is_set()


def test_a_waiter_that_timed_out_does_not_keep_the_lock(tmp_path: Path) -> None:
    one, other, third = (FileLock(tmp_path / "lock") for _ in range(3))
    with one.hold(), pytest.raises(StoreError):
        other.acquire(timeout_s=0.02)
    with third.hold(timeout_s=5):
        assert third.is_held


@pytest.mark.process
def test_a_lock_is_reentrant_and_not_inherited_by_children(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    with lock.hold():
        with lock.hold():
            child = subprocess.Popen(
                [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
            )
        assert lock.is_held
    try:
        with other.hold(timeout_s=5):  # the kernel closes the child's copy a moment after exec
            assert child.poll() is None
    finally:
        child.communicate()
