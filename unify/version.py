"""The version of Unify. ``unify --version`` imports nothing else."""

from __future__ import annotations

VERSION = "0.1.0"
