"""The tables that read the responses of a load, so that the API is asked once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unify.adapters import registry
from unify.config.connections import Connection
from unify.errors import UnifyError
from unify.model import LoaderJob, TableName


def find_shared_tables(cache: Path, job: LoaderJob, connection: Connection) -> Sequence[TableName]:
    """Return the other tables that the responses of a load fill.

    None for a faulty spec, which the load reports.
    """
    folders = [Path(folder) for folder in job.origin.specs]
    try:
        names = registry.tables_of_same_requests(connection, folders, cache / "outlines", job.table.table)
    except UnifyError:
        return ()
    return [TableName(job.table.schema, name) for name in names]
