"""Processes forked from a server that has imported Unify: a tenth of the CPU of a new Python process.

The server is a new process without threads (``multiprocessing``'s forkserver), so a fork of it has nothing of
the process of tests. Use ``subprocess`` where imports, arguments or the environment are the subject.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess

_MODULES = ["__main__", "pytest", "tests.support.publishing", "unify.status.launch"]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_MODULES)


def start_forked(target: Callable[..., object], *arguments: object, failpoint: str = "") -> BaseProcess:
    """Start ``target``, a function of a module, in a process; ``failpoint`` is its UNIFY_FAILPOINT."""
    process = _context.Process(target=_run, args=(target, arguments, failpoint))
    process.start()
    return process


def _run(target: Callable[..., object], arguments: tuple[object, ...], failpoint: str) -> None:
    os.environ["UNIFY_FAILPOINT"] = failpoint
    target(*arguments)
