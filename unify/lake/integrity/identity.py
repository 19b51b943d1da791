"""Which catalog the data files belong to: the lake's id and latest snapshot, in a file beside the catalog.

Data files that the catalog does not name are deleted by maintenance. Before that, this file shows that it is
the right catalog: not that of another lake, and not an older copy, whose later files it cannot know.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from unify.fs.durable import read_regular_file
from unify.lake.protocols import CATALOG, METADATA

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

IDENTITY_FILE = "identity.json"
RETENTION = timedelta(days=30)  # of files that the catalog does not name, and after it was replaced

# The UUID that DuckLake gives the first schema of a new lake.
_CATALOG_SQL = (
    f"SELECT schema_uuid, (SELECT max(snapshot_id) FROM {METADATA}.ducklake_snapshot) "
    f"FROM {METADATA}.ducklake_schema WHERE schema_id = 0"
)
_COMMITTED_SQL = f"FROM ducklake_last_committed_snapshot('{CATALOG}')"


class LakeIdentity(msgspec.Struct, frozen=True):
    """The lake as it was last written.

    ``replaced_at``  when its catalog was found to be an older copy.
    """

    lake: str
    snapshot: int = 0
    replaced_at: datetime | None = None

    def keeps_files(self, now: datetime) -> bool:
        """Whether no file may be deleted, because a later copy of the catalog may need it."""
        return self.replaced_at is not None and now - self.replaced_at < RETENTION


def read_identity(lake: Path) -> LakeIdentity | None:
    """Return None for a lake that an earlier version made."""
    try:
        return msgspec.json.decode(read_regular_file(lake / IDENTITY_FILE), type=LakeIdentity)
    except (OSError, msgspec.DecodeError):
        return None


def read_catalog_identity(connection: DuckDBPyConnection) -> LakeIdentity:
    """Return id and latest snapshot of the attached catalog."""
    return LakeIdentity(*(connection.execute(_CATALOG_SQL).fetchall()[0]))


def compare_identities(
    recorded: LakeIdentity | None, found: LakeIdentity, now: datetime
) -> LakeIdentity | None:
    """Return what to record of the catalog ``found``; None if it is another lake's."""
    if recorded is None:
        return found
    if recorded.lake != found.lake:
        return None
    if found.snapshot < recorded.snapshot:
        return replace(found, replaced_at=now)
    return replace(found, replaced_at=recorded.replaced_at)


def write_identity(lake: Path, identity: LakeIdentity) -> None:
    """Record ``identity``. Not synced: after a power failure an older or an empty file does no harm."""
    temporary = lake / f"{IDENTITY_FILE}.{os.getpid()}"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(identity))
    temporary.replace(lake / IDENTITY_FILE)


def record_commit(lake: Path, connection: DuckDBPyConnection) -> None:
    """Record the last snapshot that the process of ``connection`` committed. Call with the writers' lock."""
    recorded = read_identity(lake)
    [(snapshot,)] = connection.execute(_COMMITTED_SQL).fetchall()
    if recorded is None or snapshot is None or snapshot == recorded.snapshot:
        return
    current = compare_identities(recorded, LakeIdentity(recorded.lake, snapshot), datetime.now(UTC))
    assert current is not None  # the same lake
    write_identity(lake, current)
