"""The former name of ``load.loader``."""

from __future__ import annotations

from unify.load.loader import LoadRunner

__all__ = ["LoadRunner"]
