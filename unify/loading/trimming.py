"""Rows without the members no column wants, so that those are neither stored nor parsed.

msgspec steps over an unwanted value without reading it, and what is kept stays byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from unify.loading.guard import Unguardable, struct
from unify.loading.structure import Structure


class Trimmer:
    """Takes unwanted members out of rows of one version of the structure."""

    def __init__(self, structure: Structure) -> None:
        self.version = structure.version
        self._decode = None
        members = structure.row.members
        wanted = {
            key: msgspec.Raw | msgspec.UnsetType for key, node in members.items() if not node.choice.skip
        }
        if wanted and len(wanted) < len(members):
            try:
                kept = struct(wanted, default=msgspec.UNSET, closed=False)
            except (Unguardable, ValueError):
                return
            self._decode = msgspec.json.Decoder(kept).decode

    def trimmed(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """The rows with what is wanted of them; all as they are where one is no object."""
        if self._decode is None:
            return rows
        try:
            kept = list(map(self._decode, rows))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return rows
        return list(map(msgspec.json.encode, kept))
