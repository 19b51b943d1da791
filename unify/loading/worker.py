"""The former name of ``load.worker``."""

from __future__ import annotations

from unify.load.worker import worker_main

__all__ = ["worker_main"]
