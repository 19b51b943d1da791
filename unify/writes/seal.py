"""The seal of a plan: a digest of its rows, so that a damaged file sends nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from unify.errors import StoreError

_SEALED_COLUMNS = ("number", "action", "vals", "key", "before")


class Seal:
    """The digest of rows, in their order, as writes.db has them."""

    def __init__(self) -> None:
        import hashlib  # 2 ms at the start of each session

        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, row: Mapping[str, object] | sqlite3.Row) -> None:
        for name in _SEALED_COLUMNS:
            self._hash.update(f"{row[name]}\0".encode())

    def digest(self) -> str:
        return self._hash.hexdigest()


def check_seal(rows: Iterable[sqlite3.Row], digest: str, name: str) -> None:
    """Raise StoreError if ``rows`` are not those of ``digest``. ``name``: file and write, for the message."""
    seal = Seal()
    for row in rows:
        seal.add(row)
    if seal.digest() != digest:
        raise StoreError(
            f"{name}: its rows are not those that were planned, because the file is damaged; nothing was "
            "sent. Plan it again"
        )
