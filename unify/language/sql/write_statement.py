"""INSERT, UPDATE and DELETE, cut into their clauses as they are written; nothing is rewritten or run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from unify.errors import QueryError
from unify.language.sql.refs import TableRef
from unify.language.tokenizer import SqlToken, TokenKind, keyword_set, statement_tokens, unquote

StatementOperation = Literal["insert", "update", "delete"]
_OPERATIONS: dict[str, StatementOperation] = {"insert": "insert", "update": "update", "delete": "delete"}
_CLAUSES = keyword_set("set from where returning using on when")


class Assignment(Struct, frozen=True):
    """``column = expression`` of an UPDATE."""

    column: str
    expression: str


class WriteStatement(Struct, frozen=True):
    """A statement that changes rows of one table.

    ``with_clause``  the CTEs before it, with WITH; "" for none.
    ``columns``      of an INSERT, as listed; empty: those of the source. ``by_name``: BY NAME is written.
    ``source``       SELECT or VALUES of an INSERT.
    ``others``       further tables: FROM of an UPDATE, USING of a DELETE.
    ``where``        the condition; "" for none.
    ``returning``    the text after RETURNING; "" for none.
    """

    operation: StatementOperation
    target: TableRef
    with_clause: str = ""
    alias: str = ""
    columns: tuple[str, ...] = ()
    by_name: bool = False
    source: str = ""
    assignments: tuple[Assignment, ...] = ()
    others: str = ""
    where: str = ""
    returning: str = ""


def parse_write_statement(sql: str) -> WriteStatement | None:
    """Parse INSERT, UPDATE or DELETE; None for any other statement.

    Raises QueryError for a form that only DuckDB's own tables have, such as ON CONFLICT.
    """
    reader = StatementReader(sql)
    with_clause = reader.take_with_clause()
    operation = _OPERATIONS.get(reader.keyword)
    if operation is None:
        return None
    reader.advance()
    match operation:
        case "insert":
            found = _parse_insert(reader)
        case "update":
            found = _parse_update(reader)
        case "delete":
            found = _parse_delete(reader)
    return None if found is None else replace(found, with_clause=with_clause)


class StatementReader:
    """The tokens of a statement outside brackets, one after the other."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._tokens: Sequence[SqlToken] = [token for token in statement_tokens(sql) if token.text != ";"]
        self._at = 0

    @property
    def token(self) -> SqlToken | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    @property
    def keyword(self) -> str:
        return self.token.keyword if self.token is not None else ""

    def advance(self) -> None:
        self._at += 1

    def take_word(self, *words: str) -> bool:
        """Pass one of ``words`` if it comes next."""
        if self.keyword in words:
            self._at += 1
            return True
        return False

    def take_with_clause(self) -> str:
        """Pass ``WITH …`` up to the statement itself; return its text."""
        if self.keyword != "with":
            return ""
        start = self.start
        while self.token is not None and self.keyword not in (*_OPERATIONS, "merge"):
            self.skip_item()
        return self.sql[start : self.start]

    def take_table(self) -> TableRef | None:
        """Pass a dotted name; None if there is none."""
        parts: list[str] = []
        while (token := self.token) is not None and token.kind in (TokenKind.WORD, TokenKind.QUOTED):
            parts.append(unquote(token.text))
            self._at += 1
            if self.token is None or self.token.text != ".":
                break
            self._at += 1
        if not parts or len(parts) > 3:
            return None
        catalog, schema, table = ["", "", *parts][-3:]
        return TableRef(schema, table, catalog, is_written=True)

    def take_alias(self) -> str:
        has_as = self.take_word("as")
        token = self.token
        is_name = token is not None and token.kind in (TokenKind.WORD, TokenKind.QUOTED)
        if token is None or not is_name or (not has_as and token.keyword in _CLAUSES):
            return ""
        self._at += 1
        return unquote(token.text)

    def take_name_list(self) -> tuple[str, ...]:
        """Pass ``(a, "b")``; empty if no bracket comes next, or one with anything but names."""
        if self.token is None or self.token.text != "(":
            return ()
        names: list[str] = []
        at = self._at + 1
        while at + 1 < len(self._tokens):
            name, after = self._tokens[at], self._tokens[at + 1]
            if name.kind not in (TokenKind.WORD, TokenKind.QUOTED) or after.text not in (",", ")"):
                return ()
            names.append(unquote(name.text))
            at += 2
            if after.text == ")":
                self._at = at
                return tuple(names)
        return ()

    def take_until(self, *clauses: str) -> str:
        """Pass everything up to one of ``clauses`` outside brackets; return its text."""
        start = self.start
        end = start
        while self.token is not None and not self._begins(clauses):
            end = self.skip_item()
        return self.sql[start:end].strip()

    def take_items_until(self, *clauses: str) -> list[str]:
        """The same, split at commas outside brackets."""
        items, start, end = [], self.start, self.start
        while self.token is not None and not self._begins(clauses):
            if self.token.text == ",":
                items.append(self.sql[start:end].strip())
                self._at += 1
                start = self.start
                continue
            end = self.skip_item()
        return [*items, self.sql[start:end].strip()]

    def take_bracket_items(self) -> list[str]:
        """Pass a bracket; return its content, split at commas. Empty if none comes next."""
        if self.token is None or self.token.text != "(":
            return []
        inner = StatementReader(self.sql[self.start + 1 : self.skip_item() - 1])
        return inner.take_items_until()

    def skip_item(self) -> int:
        """Pass a token, or a bracket or CASE with its content; return where it ends."""
        depth, end = 0, self.start
        while (token := self.token) is not None:
            depth += token.text in ("(", "[", "{") or token.keyword == "case"
            depth -= token.text in (")", "]", "}") or token.keyword == "end"
            end = token.end
            self._at += 1
            if depth <= 0:
                break
        return end

    def _begins(self, clauses: Sequence[str]) -> bool:
        """Whether one of ``clauses``, such as ``on conflict``, comes next (not FROM of IS DISTINCT FROM)."""
        if self._at and self._tokens[self._at - 1].keyword == "distinct" and self.keyword == "from":
            return False
        following = [token.keyword for token in self._tokens[self._at : self._at + 2]]
        return any(following[: len(words)] == words for words in map(str.split, clauses))

    @property
    def start(self) -> int:
        return self.token.start if self.token is not None else len(self.sql)


def _parse_insert(reader: StatementReader) -> WriteStatement | None:
    if reader.take_word("or"):
        raise QueryError(
            "rows of a connection are replaced by key: export (SELECT …) to SCHEMA.TABLE upsert by KEY"
        )
    reader.take_word("into")
    target = reader.take_table()
    if target is None:
        return None
    alias = reader.take_alias() if reader.keyword == "as" else ""
    columns = reader.take_name_list()
    if reader.keyword == "default":
        raise QueryError(f"insert into {target}: name the columns and their values")
    by_name = False
    if reader.take_word("by"):
        by_name = reader.keyword == "name"
        reader.advance()  # NAME or POSITION
    source = reader.take_until("returning", "on conflict")
    if reader.keyword == "on":
        raise QueryError(
            f"ON CONFLICT does not apply to {target}; to change rows that exist: "
            f"export (SELECT …) to {target} upsert by KEY"
        )
    return WriteStatement(
        "insert",
        target,
        alias=alias,
        columns=columns,
        by_name=by_name,
        source=source,
        returning=_returning(reader),
    )


def _parse_update(reader: StatementReader) -> WriteStatement | None:
    target = reader.take_table()
    if target is None:
        return None
    alias = reader.take_alias()
    if not reader.take_word("set"):
        return None
    assignments = tuple(map(parse_assignment, reader.take_items_until("from", "where", "returning")))
    others = reader.take_until("where", "returning") if reader.take_word("from") else ""
    where = reader.take_until("returning") if reader.take_word("where") else ""
    return WriteStatement(
        "update",
        target,
        alias=alias,
        assignments=assignments,
        others=others,
        where=where,
        returning=_returning(reader),
    )


def _parse_delete(reader: StatementReader) -> WriteStatement | None:
    reader.take_word("from")
    target = reader.take_table()
    if target is None:
        return None
    alias = reader.take_alias()
    others = reader.take_until("where", "returning") if reader.take_word("using") else ""
    where = reader.take_until("returning") if reader.take_word("where") else ""
    return WriteStatement(
        "delete", target, alias=alias, others=others, where=where, returning=_returning(reader)
    )


def parse_assignment(text: str) -> Assignment:
    column, equals, expression = text.partition("=")
    if not equals or not expression.strip():
        raise QueryError(f"SET {text}: expected COLUMN = VALUE")
    return Assignment(unquote(column.strip()), expression.strip())


def _returning(reader: StatementReader) -> str:
    return reader.take_until() if reader.take_word("returning") else ""
