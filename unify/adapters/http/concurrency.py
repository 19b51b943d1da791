"""The limit of concurrent requests of a connection, shared by all worker processes.

    slot     a file locked with flock(2) while a request runs: a process that dies releases it
    queue    a file locked by the process that waits for a slot; the kernel queues the others
    wake     a FIFO: a released slot wakes the process at the head of the queue
    member   a file locked by each process that uses the connection; its time is that of the last request

A process holds at most its share of the slots, so that a table of slow or endless pages leaves the others of
its connection theirs.
"""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from unify.errors import Interrupted, StoreError

MAX_MEMBERS = 64  # processes that are counted; one worker process is one load
ACTIVE_S = 10.0  # after its last request a process counts as one that uses the connection
COUNT_INTERVAL_S = 0.5  # between two counts of the processes
RECHECK_S = 1.0  # in case that a process died without releasing its slot, or a wait was not cancelled
_WAKE = b"\0"


class _Waiter(Struct, eq=False):
    stop: threading.Event
    slot: int | None = None


class ConcurrencySlots:
    """The slots of a connection, for one process; methods may be called from any thread.

    ``count``  of all processes together.

    Raises:
        StoreError: a file cannot be opened.
    """

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self._folder, self._name, self._count = folder, name, count
        self._changed = threading.Condition()
        self._waiters: deque[_Waiter] = deque()
        self._held_slots: set[int] = set()
        self._open_files: dict[Path, int] = {}
        self._wake_file: int | None = None
        self._queue_thread: threading.Thread | None = None
        self._error: StoreError | None = None
        self._own_member: Path | None = None
        self._active = (0.0, 1)  # when the processes were counted, and how many there were
        self._closed = False

    def acquire(self, stop: threading.Event) -> int:
        """Wait for a slot and return it for ``release``.

        Raises:
            Interrupted: ``stop`` is set; ``cancel`` ends the wait at once.
        """
        with self._changed:
            self._mark_active()
            if not self._waiters and (slot := self._try_acquire()) is not None:
                return slot
            waiter = _Waiter(stop)
            self._waiters.append(waiter)
            self._start_queue_thread()
            while waiter.slot is None and not stop.is_set() and self._error is None and not self._closed:
                self._changed.wait(RECHECK_S)
            if waiter.slot is not None:
                return waiter.slot
            self._waiters.remove(waiter)
            self._wake()  # the thread may wait for nobody
            raise self._error or Interrupted("the read was cancelled")

    def release(self, slot: int) -> None:
        with self._changed:
            self._held_slots.discard(slot)
            self._unlock(self._path(f"{slot}.slot"))
            self._changed.notify_all()
            self._wake()

    def cancel(self, stop: threading.Event) -> None:
        """End the waits with ``stop``, which is set."""
        with self._changed:
            if any(waiter.stop is stop for waiter in self._waiters):
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._wake()
            self._closed = True
            self._changed.notify_all()
            files = list(self._open_files.values())
            self._open_files.clear()
            if self._queue_thread is None:
                self._close_wake_file()
        for file in files:
            os.close(file)

    # -- the queue -----------------------------------------------------------------------------------

    def _start_queue_thread(self) -> None:
        if self._queue_thread is None:
            self._queue_thread = threading.Thread(target=self._serve_waiters, name="unify-slots", daemon=True)
            self._queue_thread.start()
        self._changed.notify_all()

    def _serve_waiters(self) -> None:
        """Take slots for the waiters of this process, one after the other, until none waits."""
        try:
            while self._wait_for_share():
                with self._head_of_queue():
                    self._serve_first_waiter()
        except StoreError as error:
            with self._changed:
                self._error, self._queue_thread = error, None
                self._changed.notify_all()
        with self._changed:
            if self._closed:
                self._close_wake_file()

    def _wait_for_share(self) -> bool:
        """Wait until this process may hold another slot; False if nobody waits for one."""
        with self._changed:
            while self._waiters and not self._closed and len(self._held_slots) >= self._share():
                self._changed.wait(RECHECK_S)
            if self._waiters and not self._closed:
                return True
            self._queue_thread = None
            return False

    @contextmanager
    def _head_of_queue(self) -> Iterator[None]:
        """Wait behind the other processes; their order is that of the kernel."""
        file = _open(self._path("queue"))  # not that of _try_acquire, which close() may close meanwhile
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _serve_first_waiter(self) -> None:
        """Wait for a free slot and give it to the first waiter."""
        while True:
            with self._changed:
                if not self._waiters or self._closed:
                    return
                wake_file = self._open_wake_file()
                _drain(wake_file)
                if (slot := self._try_slots()) is not None:
                    self._waiters.popleft().slot = slot
                    self._changed.notify_all()
                    return
            select.select([wake_file], [], [], RECHECK_S)

    def _try_acquire(self) -> int | None:
        """A free slot if no process waits for one."""
        queue = self._path("queue")
        if len(self._held_slots) >= self._share() or not self._try_lock(queue):
            return None
        try:
            return self._try_slots()
        finally:
            self._unlock(queue)

    def _try_slots(self) -> int | None:
        for number in range(self._count):
            if number not in self._held_slots and self._try_lock(self._path(f"{number}.slot")):
                self._held_slots.add(number)
                return number
        return None

    def _wake(self) -> None:
        """Wake the head of the queue, in whatever process."""
        if self._closed:
            return
        try:
            os.write(self._open_wake_file(), _WAKE)
        except BlockingIOError:
            return  # it has not read the last ones yet

    # -- the share of this process -------------------------------------------------------------------

    def _share(self) -> int:
        counted_at, active = self._active
        if time.monotonic() - counted_at >= COUNT_INTERVAL_S:
            active = 1 + sum(map(self._is_active, self._other_members()))
            self._active = (time.monotonic(), active)
        return max(1, -(-self._count // active))

    def _mark_active(self) -> None:
        if self._own_member is None:
            members = (self._path(f"{number}.member") for number in range(MAX_MEMBERS))
            self._own_member = next(filter(self._try_lock, members), None)
        if self._own_member is not None:
            os.utime(self._open_files[self._own_member])

    def _other_members(self) -> Iterator[Path]:
        for number in range(MAX_MEMBERS):
            path = self._path(f"{number}.member")
            if path != self._own_member:
                if not path.exists():
                    return
                yield path

    def _is_active(self, member: Path) -> bool:
        """Whether another process has locked the file, and has sent requests lately."""
        if self._try_lock(member):
            self._unlock(member)
            return False
        return os.fstat(self._open_files[member]).st_mtime > time.time() - ACTIVE_S

    # -- files ---------------------------------------------------------------------------------------

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._name}.{suffix}"

    def _open_wake_file(self) -> int:
        if self._wake_file is None:
            path = self._path("wake")
            try:
                with suppress(FileExistsError):
                    os.mkfifo(path, 0o600)
            except OSError as error:
                raise StoreError(f"{path}: cannot be created ({error.strerror})") from error
            self._wake_file = _open(path, os.O_RDWR | os.O_NONBLOCK)
        return self._wake_file

    def _close_wake_file(self) -> None:
        if self._wake_file is not None:
            os.close(self._wake_file)
            self._wake_file = None

    def _try_lock(self, path: Path) -> bool:
        if path not in self._open_files:
            self._open_files[path] = _open(path)
        try:
            fcntl.flock(self._open_files[path], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(self, path: Path) -> None:
        if path in self._open_files:
            fcntl.flock(self._open_files[path], fcntl.LOCK_UN)


def _open(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened ({error.strerror})") from error


def _drain(file: int) -> None:
    try:
        while os.read(file, 4096):
            pass
    except BlockingIOError:
        return
