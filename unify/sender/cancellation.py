"""Ends the waits and the request of a write that is cancelled, while its attempt waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from unify.adapters.base import Adapter
from unify.errors import StoreError
from unify.writes.records import Write
from unify.writes.store import WriteStore

POLL_INTERVAL_S = 0.25
REQUEST_GRACE_S = 1.0  # for the request under way: its response tells what became of its rows


@contextmanager
def watch_cancellation(store: WriteStore, write: Write, adapter: Adapter) -> Iterator[None]:
    """End the requests of ``adapter`` soon after ``write`` is cancelled; within 2 s nothing more is sent."""
    ended = threading.Event()

    def watch() -> None:
        with suppress(StoreError):  # the attempt itself meets the error
            while not ended.wait(POLL_INTERVAL_S):
                if store.is_cancel_asked(write):
                    break
            if not ended.wait(REQUEST_GRACE_S):
                adapter.cancel()

    thread = threading.Thread(target=watch, name="write cancellation", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
