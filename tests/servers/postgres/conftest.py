"""One server for the tests of this folder that only read."""

from __future__ import annotations

from tests.support.postgres_clients import pg

__all__ = ["pg"]
