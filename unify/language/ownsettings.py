"""Which settings are ours: known without the commands, which take 10 ms to import and SQL never needs."""

from __future__ import annotations

OWN_SETTINGS = frozenset({"max_age", "keys"})  # `set` of any other name is DuckDB's
