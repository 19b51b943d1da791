"""SessionWriter: a write on a connection of its own to the database."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.writing.sql_writer import SqlWriter
from unify.adapters.table_writes import RowFetcher, TableWrite, WritableTable


class _Closable(Protocol):
    def close(self) -> None: ...


Session = TypeVar("Session", bound=_Closable)


class SessionWriter(SqlWriter, Generic[Session]):
    """Connects when it has to. ``find_table``: returns a table as it is read."""

    def __init__(self, connection: str, find_table: Callable[[str], DatabaseTable | None]) -> None:
        self.connection = connection
        self.find_table = find_table
        self.session: Session | None = None

    def close(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.close()

    def find_target(self, table: str) -> WritableTable | None:
        found = self.find_table(table)
        return None if found is None else self.read_target(found)

    @abstractmethod
    def read_target(self, found: DatabaseTable) -> WritableTable:
        """Return what may be written to a table. Raises QueryError for a view."""

    def create(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> int:
        target = write.target
        with self.transaction():
            if target.replaces:
                self.check_cascades(target)
            name = self.new_name(target) if target.replaces else target.sql_name
            self.execute(self.builder.create_table(target, name))
            count = self.load(name, write, values, rows)
            if target.replaces:
                self.execute(self.builder.drop(target))
                self.execute(self.rename_text(name, target))
        return count

    @abstractmethod
    def new_name(self, target: WritableTable) -> str:
        """Return a name in SQL for a table that takes the place of ``target`` once it has its rows."""

    @abstractmethod
    def rename_text(self, sql_name: str, target: WritableTable) -> str:
        """Return the statement that gives a table the name of ``target``."""
