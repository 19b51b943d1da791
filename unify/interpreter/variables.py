"""``$name``: a value, bound as a parameter, or rows, used as a table.

Names are case-sensitive: a variable in capitals is kept after the session. A name without an exact match
matches a single variable that differs only in case. ROLLBACK restores the variables that its transaction
changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, UnknownName
from unify.interpreter.results import Rows, listing_rows
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.lake.saved_variables import SavedVariable, SavedVariables, read_parquet_sql
from unify.language import tokenizer
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.sql.refs import Constant
from unify.text import did_you_mean, format_count

_PERSISTENT_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_MAX_SHOWN_CHARS = 60  # characters of a value in `show variables`


class ScalarVariable(Struct, frozen=True):
    """A single value: DuckDB's type, and its text (None: NULL)."""

    type: str
    text: str | None


class RowsVariable(Struct, frozen=True):
    """Rows. ``saved`` is the file of a variable that outlives the session."""

    saved: SavedVariable | None = None


class StatementParameter(Struct, frozen=True):
    """A value of a program for one statement, in the form in which DuckDB takes it."""

    value: object


SessionVariable = ScalarVariable | RowsVariable


class BoundQuery(Struct, frozen=True):
    """A statement ready to run: rows by their table's name in its text, values as DuckDB's parameters."""

    sql: str
    parameters: Mapping[str, object] | None
    definitions: Sequence[str] = ()  # SQL of the views and macros that it goes through


class Variables:
    """The variables of one session. ``initial`` are those of the command line, which are texts.

    Rows of the session are temporary tables called ``"$name"``: they are gone with its connection.
    """

    def __init__(self, lake: Lake, saved_variables: SavedVariables, initial: Mapping[str, object]) -> None:
        self.lake = lake
        self.saved_variables = saved_variables
        self._session: dict[str, SessionVariable] = {
            name: ScalarVariable("VARCHAR", str(value)) for name, value in initial.items()
        }
        self._parameters: Mapping[str, object] = {}
        self._before_transaction: dict[str, SessionVariable] | None = None  # None: nothing was changed in it

    @contextmanager
    def statement_parameters(self, values: Mapping[str, object]) -> Iterator[None]:
        """Let the statements of the block have these values, before variables of the same names."""
        before, self._parameters = self._parameters, values
        try:
            yield
        finally:
            self._parameters = before

    def bind(self, sql: str) -> BoundQuery:
        """Bind the variables that ``sql`` uses. Raises UnknownName for one that is not set."""
        statement = analyse(sql)
        found = statement.variables
        if not found:
            return BoundQuery(sql, None)
        if statement.kind is StatementKind.DEFINITION:
            raise QueryError(
                f"a view or macro outlives this session's variables: ${found[0].name} cannot be in it"
            )
        tables: dict[str, str] = {}
        values: dict[str, object] = {}
        for name in dict.fromkeys(use.name for use in found):
            known = self._canonical_name(name)
            match self._find(known):
                case ScalarVariable() as value:
                    self._add_parameter(values, name, known, _parameter(value))
                case StatementParameter(given):
                    self._add_parameter(values, name, known, given)
                case RowsVariable(kept):
                    tables[name] = self._table_sql(known, kept)
        return BoundQuery(tokenizer.substitute_variables(sql, found, tables), values or None)

    def set_value(self, name: str, bound: BoundQuery) -> ScalarVariable:
        """Set a variable to the value of an expression. Raises QueryError for several values."""
        query = f"SELECT typeof(v), CAST(v AS VARCHAR) FROM (SELECT (\n{bound.sql}\n) AS v) AS one"
        rows = session_rows.fetch_session_rows(self.lake, query, bound.parameters)
        if len(rows) != 1:
            raise QueryError(f"${name} takes one value, and this gives {format_count(len(rows), 'value')}")
        value = ScalarVariable(
            _bindable_type(str(rows[0][0])), None if rows[0][1] is None else str(rows[0][1])
        )
        self._check_round_trip(name, value)
        self._remember_for_rollback()
        self._drop(name)
        if _PERSISTENT_NAME.fullmatch(name):
            self.saved_variables.save_value(self.lake, name, value.type, value.text)
        else:
            self._session[name] = value
        return value

    def set_rows(self, name: str, bound: BoundQuery) -> int:
        """Set a variable to the rows of a SELECT; return their number."""
        if _PERSISTENT_NAME.fullmatch(name):
            count = self.saved_variables.save_rows(
                self.lake, name, bound.sql, bound.parameters, bound.definitions
            )
            self._remember_for_rollback()
            self._drop(name)
            return count
        made = session_rows.fetch_session_rows(
            self.lake, f"CREATE OR REPLACE TEMP TABLE {_table_name(name)} AS\n{bound.sql}", bound.parameters
        )
        self._remember_for_rollback()
        self._session[name] = RowsVariable()
        return int(str(made[0][0])) if made else 0

    def unset(self, name: str) -> str:
        """Delete a variable; return its name as it was defined. Raises UnknownName."""
        known = self._canonical_name(name)
        self._find(known)
        if known in self._session:
            self._remember_for_rollback()
            self._drop(known)
        else:
            self.saved_variables.delete(self.lake, known)
        return known

    def query(self, name: str) -> str:
        """Return the SQL that shows a variable. Raises UnknownName."""
        known = self._canonical_name(name)
        return f"FROM ${known}" if isinstance(self._find(known), RowsVariable) else f"SELECT ${known}"

    def listing(self) -> Rows:
        """``show variables``: session before home, in the order of names."""
        names = sorted(self._session) + [
            name for name in self.saved_variables.names() if name not in self._session
        ]
        rows = [(f"${name}", *self._describe(name), self._storage_location(name)) for name in names]
        columns = ["variable", "type", "value", "kept"]
        return listing_rows([(column, "VARCHAR") for column in columns], rows)

    def names(self) -> tuple[str, ...]:
        """Return the names of all variables."""
        return tuple(dict.fromkeys([*self._session, *self.saved_variables.names()]))

    def _find(self, name: str) -> SessionVariable | StatementParameter:
        if name in self._parameters:
            return StatementParameter(self._parameters[name])
        if name in self._session and self._is_there(name):
            return self._session[name]
        kept = self.saved_variables.find(self.lake, name) if _PERSISTENT_NAME.fullmatch(name) else None
        if kept is None:
            near = did_you_mean(f"${name}", [f"${known}" for known in self.names()])
            raise UnknownName(f"${name} is not set{near}; set it with ${name} = …, or --var {name}=…")
        return RowsVariable(kept) if kept.type is None else ScalarVariable(kept.type, kept.text)

    def _is_there(self, name: str) -> bool:
        """Whether a variable of the session still exists: its rows are lost if the lake is opened again."""
        if self._session[name] != RowsVariable() or self.lake.in_transaction:
            return True
        try:
            session_rows.fetch_session_rows(self.lake, f"DESCRIBE {_table_name(name)}")
        except QueryError:
            del self._session[name]
            return False
        return True

    def _remember_for_rollback(self) -> None:
        """Before a change: keep what ROLLBACK of the open transaction restores. DuckDB restores the rows."""
        if self.lake.in_transaction and self._before_transaction is None:
            self._before_transaction = dict(self._session)
            self.lake.statements.at_transaction_end(self._end_transaction)

    def _end_transaction(self, committed: bool) -> None:
        before, self._before_transaction = self._before_transaction, None
        if before is not None and not committed:
            self._session = before

    def _canonical_name(self, name: str) -> str:
        known = (*self._parameters, *self.names())
        if name in known:
            return name
        alike = [other for other in known if other.lower() == name.lower()]
        return alike[0] if len(alike) == 1 else name

    def _add_parameter(self, values: dict[str, object], name: str, known: str, value: object) -> None:
        """Add a parameter. Names that differ only in case are one parameter in DuckDB, and are refused."""
        twin = next((other for other in values if other.lower() == name.lower()), None)
        if twin is not None and self._canonical_name(twin) != known:
            raise QueryError(
                f"${twin} and ${name} differ in case only; DuckDB cannot tell them apart in one statement"
            )
        values[name] = value

    def _table_sql(self, name: str, saved: SavedVariable | None) -> str:
        table = _table_name(name)
        if saved is not None:
            session_rows.fetch_session_rows(
                self.lake,
                f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * FROM {read_parquet_sql(saved.path)}",
            )
        return table

    def _drop(self, name: str) -> None:
        if isinstance(self._session.pop(name, None), RowsVariable):
            session_rows.fetch_session_rows(self.lake, f"DROP TABLE IF EXISTS {_table_name(name)}")

    def _check_round_trip(self, name: str, value: ScalarVariable) -> None:
        """Raise QueryError if the text does not convert back to the value."""
        if value.text is None:
            return
        text = session_rows.fetch_session_rows(
            self.lake, "SELECT CAST($value AS VARCHAR)", {"value": _parameter(value)}
        )
        if text[0][0] != value.text:
            raise QueryError(
                f"${name} cannot hold a value of type {value.type}; cast it, to VARCHAR for example"
            )

    def _describe(self, name: str) -> tuple[str, str | None]:
        match self._find(name):
            case ScalarVariable(type, text):
                shown = (
                    text
                    if text is None or len(text) <= _MAX_SHOWN_CHARS
                    else text[: _MAX_SHOWN_CHARS - 1] + "…"
                )
                return type, shown
            case StatementParameter(given):
                return "parameter", str(given)
            case RowsVariable(kept):
                [(rows,)] = session_rows.fetch_session_rows(
                    self.lake, f"SELECT count(*) FROM {self._table_sql(name, kept)}"
                )
                return "rows", format_count(int(str(rows)), "row")

    def _storage_location(self, name: str) -> str:
        return "this session" if name in self._session else "home folder"


def parameter_constants(parameters: Mapping[str, object] | None) -> Mapping[str, Constant | None]:
    """Return the parameters of a statement as constants, to analyse its conditions."""
    return {name: _constant(value) for name, value in (parameters or {}).items()}


def _constant(value: object) -> Constant | None:
    if value is None or isinstance(value, str):
        return None if value is None else Constant(value)
    import duckdb

    if isinstance(value, duckdb.Value):
        return Constant(str(value.object), str(value.type))
    return None  # a list or mapping of a program


def _table_name(name: str) -> str:
    return quoted(f"${name}")


def _bindable_type(type: str) -> str:
    """Return the type of a value's parameter; members of an ENUM are texts."""
    if type.strip('"') == "NULL":
        return "NULL"
    return "VARCHAR" if type.startswith("ENUM") else type


def _parameter(value: ScalarVariable) -> object:
    if value.text is None or value.type == "VARCHAR":
        return value.text
    import duckdb

    return duckdb.Value(value.text, duckdb.sqltype(value.type))
