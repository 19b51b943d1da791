"""The analysis of a statement's text, made once and passed to every stage that needs it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.language.sql import tables
from unify.language.sql.refs import TableRef
from unify.language.tokenizer import (
    SqlToken,
    TokenKind,
    VariableUse,
    find_variables,
    is_definition,
    is_select,
    keyword_set,
    statement_tokens,
    unquote,
)

if TYPE_CHECKING:
    from unify.language.sql.predicates import Parameters
    from unify.language.sql.rewrite import KnownColumns, StatementMentions

_LISTING_KEYWORDS = keyword_set("show describe desc summarize pragma")
_PATH_SETTINGS = frozenset({"schema", "search_path"})


class StatementKind(Enum):
    """The kind of a statement, as far as the interpreter distinguishes it."""

    SELECT = "rows"
    EXPLAIN = "a plan alone: EXPLAIN, not EXPLAIN ANALYZE, which runs the statement"
    LISTING = "rows about tables or about DuckDB"
    DEFINITION = "a view or macro, stored as text"
    EXECUTE = "a prepared statement"
    BEGIN = "begins a transaction"
    OTHER = "anything else"


class Analysed(Struct, frozen=True, dict=True):
    """One statement. Nothing is run or bound; text that is no SQL has no tables."""

    sql: str
    tokens: Sequence[SqlToken]  # without blanks and comments

    @cached_property
    def kind(self) -> StatementKind:
        first = self.tokens[0].keyword if self.tokens else ""
        if is_select(self.sql):
            return StatementKind.SELECT
        if first == "explain":
            return StatementKind.EXPLAIN if self._is_plan_only() else StatementKind.OTHER
        if first in _LISTING_KEYWORDS:
            return StatementKind.LISTING
        if first == "execute":
            return StatementKind.EXECUTE
        if first in ("begin", "start"):
            return StatementKind.BEGIN
        return StatementKind.DEFINITION if is_definition(self.sql) else StatementKind.OTHER

    @cached_property
    def tables(self) -> Sequence[TableRef]:
        """The tables it reads or writes, each once; see ``tables.referenced_tables``."""
        return tables.referenced_tables(self.sql)

    @cached_property
    def variables(self) -> Sequence[VariableUse]:
        return find_variables(self.sql)

    @cached_property
    def functions(self) -> frozenset[str]:
        """The names that are called, in lower case: functions, and words such as IN."""
        return frozenset(
            unquote(token.text).lower()
            for token, bracket in zip(self.tokens, self.tokens[1:], strict=False)
            if bracket.text == "(" and token.kind in (TokenKind.WORD, TokenKind.QUOTED)
        )

    @cached_property
    def names_tables_by_expression(self) -> bool:
        """Whether query_table or query gets the name or the SELECT from an expression."""
        return tables.names_tables_by_expression(self.tokens)

    @property
    def is_lasting(self) -> bool:
        """Whether its text, or a part of it, is kept: a view, a macro, a prepared statement."""
        is_prepared = bool(self.tokens) and self.tokens[0].keyword == "prepare"
        return is_prepared or self.kind is StatementKind.DEFINITION

    @property
    def prepared_name(self) -> str:
        """The name after EXECUTE; "" in other statements."""
        if self.kind is not StatementKind.EXECUTE or len(self.tokens) < 2:
            return ""
        return unquote(self.tokens[1].text)

    @property
    def path_schemas(self) -> Sequence[str]:
        """The names that USE, SET schema or SET search_path puts into the search path."""
        words = [token.keyword for token in self.tokens[:3]]
        if words[:1] == ["use"]:
            named = self.tokens[1:]
        elif words[:1] == ["set"] and _PATH_SETTINGS.intersection(words[1:]):
            named = self.tokens[1 + words.index(next(iter(_PATH_SETTINGS.intersection(words)))) :]
        else:
            return ()
        texts = [unquote(token.text) for token in named]
        return [part.strip(' "') for text in texts for entry in text.split(",") for part in entry.split(".")]

    def mentions(
        self, known_columns: KnownColumns, parameters: Parameters | None = None
    ) -> StatementMentions | None:
        """Return each mention of a table with its conditions; see ``rewrite.find_mentions``."""
        from unify.language.sql import rewrite  # sqlglot, for views and live tables only

        return rewrite.find_mentions(self.sql, known_columns, parameters)

    def _is_plan_only(self) -> bool:
        before = len(self.sql) - len(tables.unwrap_statement(self.sql))
        return not any(
            token.keyword in ("analyze", "analyse") for token in self.tokens if token.start < before
        )


@lru_cache(maxsize=4)  # a statement passes several stages, some of them with its variables replaced
def analyse(sql: str) -> Analysed:
    """Analyse one statement. Never raises."""
    return Analysed(sql, statement_tokens(sql))
