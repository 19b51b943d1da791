"""Ctrl-C is seen by a thread while the main thread waits in a call."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from unify.fs.interrupts import InterruptWatch


def test_a_function_is_called_while_the_main_thread_waits() -> None:
    called = threading.Event()
    reader, writer = os.pipe()

    def end_call() -> None:
        called.set()
        os.write(writer, b"x")

    watch = InterruptWatch(end_call)
    before = signal.set_wakeup_fd(-1)
    with watch.active(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert called.wait(10)
    assert signal.set_wakeup_fd(before) == -1
    assert os.read(reader, 1) == b"x"
    watch.close()
    os.close(reader)
    os.close(writer)


def test_other_threads_are_not_watched() -> None:
    watch = InterruptWatch(lambda: None)
    entered = threading.Event()

    def enter() -> None:
        with watch.active():
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered.is_set()
    assert not [one for one in threading.enumerate() if one.name == "interrupts"]
