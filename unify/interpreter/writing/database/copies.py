"""Stored copies of tables that a statement has changed at their database."""

from __future__ import annotations

from unify.errors import UnifyError
from unify.interpreter.query.load_client import LoadClient, LoadRequest
from unify.interpreter.results import Watcher
from unify.interpreter.sources.source_tables import SourceTables
from unify.model import Action, Priority, TableName


class StoredCopies:
    """Has them read from the database in this session, and loaded again."""

    def __init__(self, sources: SourceTables, load_client: LoadClient, watcher: Watcher) -> None:
        self._sources = sources
        self._load_client = load_client
        self._watcher = watcher

    def note_change(self, name: TableName, *, only_new_rows: bool) -> None:
        """Note that a table was changed. ``only_new_rows``: a refresh finds them, else all rows are read."""
        self._sources.note_change(name)
        stored = self._sources.stored_name(name)
        if stored is None:
            return
        action = Action.REFRESH if only_new_rows else Action.RELOAD
        try:
            self._load_client.enqueue(LoadRequest(stored, action), Priority.SCHEDULED)
        except UnifyError as error:
            self._watcher.notice(f"the stored rows of {name} are those before the write: {error.message}")
