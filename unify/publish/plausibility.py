"""Plausibility of a new version: whether a replacement loses so much that a person has to accept it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from unify.errors import LoadFailed
from unify.load.staging import Manifest
from unify.model import Column, TableName
from unify.text import format_count

MIN_EMPTIED_ROWS = 20  # a table of fewer rows may become empty
MIN_STORED_ROWS = 100  # a table of fewer rows may lose most of them: small tables do so every day
MIN_SHARE = 0.1  # of the stored rows
MIN_STORED_COLUMNS = 4
MIN_COLUMN_SHARE = 0.5  # of the stored columns
_MAX_NAMED_COLUMNS = 5


class VersionHeld(LoadFailed):
    """The new version of a table is held back until ``accept table``; the stored one stays."""


def check_new_version(
    table: TableName,
    manifest: Manifest,
    strategy: str,
    *,
    stored_rows: int,
    stored_columns: Sequence[Column],
) -> None:
    """Raise VersionHeld if the version that would replace the stored rows lacks most rows or columns.

    That is: no rows, less than a tenth of the stored rows, or less than half of the stored columns. Loads
    that only add or merge rows replace nothing, as does a merge that deletes nothing because the load was not
    complete or rows were discarded. ``refresh: {shrink: allow}`` turns the check off.
    """
    replaces = strategy == "reload" or (
        strategy == "merge_delete" and manifest.complete and not manifest.discarded
    )
    if manifest.may_shrink or not replaces or not stored_rows:
        return
    rows = manifest.key_rows if manifest.key_file else manifest.rows
    loss = _lost_rows(rows, stored_rows) or _lost_columns(
        {column.name.lower() for column in manifest.columns}, stored_columns
    )
    if loss:
        raise VersionHeld(
            f"{table}: the new version is held back: {loss}. The stored version stays; "
            f"accept table {table} replaces it. If the table often shrinks so, set refresh: {{shrink: allow}}"
        )


def _lost_rows(rows: int, stored: int) -> str:
    minimum = MIN_STORED_ROWS if rows else MIN_EMPTIED_ROWS
    if stored < minimum or rows >= stored * MIN_SHARE:
        return ""
    return f"it has {format_count(rows, 'row') if rows else 'no rows'}, the stored version {stored:,}"


def _lost_columns(columns: Collection[str], stored: Sequence[Column]) -> str:
    missing = [column.name for column in stored if column.name.lower() not in columns]
    if len(stored) < MIN_STORED_COLUMNS or len(missing) <= len(stored) * (1 - MIN_COLUMN_SHARE):
        return ""
    more = " …" if len(missing) > _MAX_NAMED_COLUMNS else ""
    names = ", ".join(missing[:_MAX_NAMED_COLUMNS])
    return f"{len(missing)} of {len(stored)} columns are missing: {names}{more}"
