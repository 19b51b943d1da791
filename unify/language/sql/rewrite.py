"""Table references with their positions, conditions and columns, and rewriting of the references."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from unify.engine.types import quote_identifier
from unify.language.sql import parse, predicates
from unify.language.sql.aggregates import AggregateUse, find_aggregate_use
from unify.language.sql.predicates import Parameters
from unify.language.sql.refs import Condition, TableRef
from unify.language.sql.tables import unwrap_statement
from unify.language.sql.used_names import used_names
from unify.language.tokenizer import SqlToken, TokenKind, statement_tokens, unquote

_NAME_KINDS = (TokenKind.WORD, TokenKind.QUOTED)
KnownColumns = Callable[[TableRef], Collection[str]]


@dataclass(frozen=True, slots=True)
class MentionJoin:
    """``column`` must equal ``other_column`` of mention number ``other_table``."""

    column: str
    other: int
    other_column: str


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """A column of ORDER BY, in lower case."""

    column: str
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class TableMention:
    """One reference to a table. ``start`` and ``end`` count characters from 0.

    ``needs_alias``      no alias follows; the rewritten text must keep the table's name as one.
    ``schema_prefixes``  positions of ``schema.`` before this table's name in column references.
    ``columns``          columns that appear to belong to it.
    ``limit``            the statement returns at most this many rows, each from one row of this table.
    ``is_complete``      it is the only table of its SELECT, and ``conditions`` are the whole WHERE.
    ``order_by``         the order in which ``first_rows`` are the ones that the statement needs.
    ``first_rows``       with ``is_complete``: it needs no more than this many rows; None: all of them.
    ``is_counted``       the statement is SELECT count(*) of this table, perhaps with WHERE.
    ``aggregates``       of groups of its rows it needs no more than that; None: it may need each row.
    ``used_names``       it needs no columns of other names, which are in lower case; None: perhaps all.
    """

    ref: TableRef
    start: int
    end: int
    needs_alias: bool
    schema_prefixes: tuple[tuple[int, int], ...] = ()
    conditions: tuple[Condition, ...] = ()
    joins: tuple[MentionJoin, ...] = ()
    limit: int | None = None
    columns: tuple[str, ...] = ()
    is_complete: bool = False
    order_by: tuple[OrderTerm, ...] = ()
    first_rows: int | None = None
    is_counted: bool = False
    used_names: frozenset[str] | None = None
    aggregates: AggregateUse | None = None


@dataclass(frozen=True, slots=True)
class StatementMentions:
    """The mentions of a statement in order. ``is_stored_definition``: it creates a view or macro."""

    sql: str
    mentions: tuple[TableMention, ...]
    is_stored_definition: bool = False

    def replace_mentions(self, relations: Mapping[int, str]) -> str:
        """Return the statement with the mentions of these numbers replaced by SQL relations."""
        cuts: list[tuple[int, int, str]] = []
        for number, name in relations.items():
            mention = self.mentions[number]
            alias = f" AS {quote_identifier(mention.ref.table)}" if mention.needs_alias else ""
            cuts.append((mention.start, mention.end, name + alias))
            cuts += [(start, end, "") for start, end in mention.schema_prefixes]
        parts, position = [], 0
        for start, end, text in sorted(set(cuts)):
            parts += [self.sql[position:start], text]
            position = end
        return "".join([*parts, self.sql[position:]])


def find_mentions(
    sql: str, known_columns: KnownColumns, parameters: Parameters | None = None
) -> StatementMentions | None:
    """Return the mentions in one statement, or None if it cannot be parsed with certainty.

    ``own``  returns the known columns of a table, in lower case; they resolve unqualified names.
    """
    inner = unwrap_statement(sql)
    if not sql.endswith(inner):
        return None
    tree = parse.parse_sql(inner)
    if tree is None:
        return None
    nodes = parse.table_nodes(tree)
    asking = predicates.PredicateCollector(known_columns, parameters or {})
    asked: dict[int, predicates.TablePredicates] = {}
    for select in tree.find_all(exp.Select):
        asked.update(asking.collect(select))
    numbers = {id(node): number for number, node in enumerate(nodes)}
    offset = len(sql) - len(inner)
    names = used_names(inner, tree)
    found = [
        replace(_build_mention(node, asked.get(id(node)), numbers, offset, tree), used_names=names)
        for node in nodes
    ]
    lasting = isinstance(tree, exp.Create) and str(tree.args.get("kind")).upper() != "TABLE"
    return StatementMentions(sql, tuple(found), lasting)


def replace_table_names(sql: str, names: Mapping[TableRef, str]) -> str:
    """Return ``sql`` with these tables renamed, by its tokens: for statements that cannot be parsed.

    ``names``  full names, whose last part is that of the table, so that column references stay valid.
    """
    tokens = statement_tokens(sql)
    cuts: list[tuple[int, int, str]] = []
    position = 0
    while position < len(tokens):
        found = _name_at(tokens, position, names)
        if found is None:
            position += 1
            continue
        length, name = found
        cuts.append((tokens[position].start, tokens[position + length - 1].end, name))
        position += length
    for start, end, name in reversed(cuts):
        sql = sql[:start] + name + sql[end:]
    return sql


def _name_at(
    tokens: Sequence[SqlToken], position: int, names: Mapping[TableRef, str]
) -> tuple[int, str] | None:
    """Return the number of tokens of a table's name that starts here, and its new name."""
    if position and tokens[position - 1].text == ".":
        return None
    for parts in (3, 2):
        chosen = tokens[position : position + 2 * parts - 1]
        if len(chosen) < 2 * parts - 1 or any(token.text != "." for token in chosen[1::2]):
            continue
        if not all(token.kind in _NAME_KINDS for token in chosen[0::2]):
            continue
        *catalog, schema, table = (unquote(token.text) for token in chosen[0::2])
        name = names.get(TableRef(schema, table, "".join(catalog)))
        is_call = [token.text for token in tokens[position + len(chosen) :][:1]] == ["("]
        if name is not None and not is_call:
            return len(chosen), name
    return None


def _build_mention(
    node: exp.Table,
    predicates: predicates.TablePredicates | None,
    numbers: Mapping[int, int],
    offset: int,
    tree: exp.Expr,
) -> TableMention:
    parts = [part for part in node.parts if isinstance(part, exp.Identifier)]
    links = predicates.joins if predicates else []
    is_complete = predicates is not None and predicates.is_complete
    order_by, first_rows = _first_rows(node, tree) if is_complete else ((), None)
    return TableMention(
        ref=TableRef(node.db, node.name, node.catalog, parse.is_write_target(node)),
        start=parts[0].meta["start"] + offset,
        end=parts[-1].meta["end"] + 1 + offset,
        needs_alias=not node.alias and isinstance(node.parent, (exp.From, exp.Join)),
        schema_prefixes=tuple(_schema_prefixes(node, offset)),
        conditions=tuple(predicates.conditions) if predicates else (),
        joins=tuple(
            MentionJoin(link.column, numbers[id(link.other_table)], link.other_column)
            for link in links
            if id(link.other_table) in numbers
        ),
        columns=_column_names(node),
        limit=None if offset else _row_limit(node, tree),
        is_complete=is_complete,
        order_by=order_by,
        first_rows=first_rows,
        is_counted=_is_counted(node, tree),
        aggregates=find_aggregate_use(node) if is_complete else None,
    )


def _schema_prefixes(node: exp.Table, offset: int) -> Sequence[tuple[int, int]]:
    """Yield positions of ``[catalog.]schema.table.column`` in the SELECT of the table."""
    select = node.find_ancestor(exp.Select)
    if not node.db or node.alias or select is None:
        return ()
    columns = [
        column
        for column in select.find_all(exp.Column)
        if column.table.lower() == node.name.lower()
        and column.db.lower() == node.db.lower()
        and column.catalog.lower() in ("", node.catalog.lower())
    ]
    return [
        (_start_position(column.parts[0]) + offset, _start_position(column.args["table"]) + offset)
        for column in columns
    ]


def _column_names(node: exp.Table) -> tuple[str, ...]:
    """Yield columns qualified with this table, or unqualified if it is the only table."""
    select = node.parent.parent if isinstance(node.parent, (exp.From, exp.Join)) else None
    if not isinstance(select, exp.Select):
        return ()
    alone = not select.args.get("joins")
    name = node.alias_or_name.lower()
    found = [
        column.name
        for column in select.find_all(exp.Column)
        if isinstance(column.this, exp.Identifier)
        and (column.table.lower() == name or (alone and not column.table))
    ]
    return tuple(dict.fromkeys(found))


_ROW_CLAUSES = frozenset({"expressions", "from_", "where", "limit", "kind", "hint", "operation_modifiers"})


def _row_limit(node: exp.Table, tree: exp.Expr) -> int | None:
    """Return the LIMIT of a statement that is one SELECT over this table, row by row; else None."""
    select = _select_of(node, tree, _ROW_CLAUSES)
    if select is None or not is_row_by_row(select):
        return None
    return _literal_rows(select.args.get("limit"))


def _first_rows(node: exp.Table, tree: exp.Expr) -> tuple[tuple[OrderTerm, ...], int | None]:
    """Return ORDER BY, and LIMIT plus OFFSET, of a statement that is one SELECT over this table."""
    select = _select_of(node, tree, _ROW_CLAUSES | {"order", "offset"})
    if select is None or not is_row_by_row(select):
        return (), None
    limit, offset = _literal_rows(select.args.get("limit")), select.args.get("offset")
    skipped = 0 if offset is None else _literal_rows(offset)
    order = select.args.get("order")
    terms = [] if order is None else [_order_term(one, select) for one in order.expressions]
    if limit is None or skipped is None or None in terms:
        return (), None
    return tuple(term for term in terms if term is not None), limit + skipped


def _order_term(ordered: exp.Expr, select: exp.Select) -> OrderTerm | None:
    """Return a term that is a column; None for a number, an expression or the name of an expression."""
    column = ordered.this
    if not isinstance(ordered, exp.Ordered) or ordered.args.get("with_fill"):
        return None
    if not isinstance(column, exp.Column) or not isinstance(column.this, exp.Identifier):
        return None
    name = column.name.lower()
    renamed = any(one.alias.lower() == name for one in select.expressions if isinstance(one, exp.Alias))
    if renamed or name == "all":
        return None
    return OrderTerm(name, bool(ordered.args.get("desc")), bool(ordered.args.get("nulls_first")))


def _is_counted(node: exp.Table, tree: exp.Expr) -> bool:
    select = _select_of(node, tree, frozenset({"expressions", "from_", "where"}))
    if select is None or len(select.expressions) != 1:
        return False
    counted = select.expressions[0].unalias()
    return isinstance(counted, exp.Count) and isinstance(counted.this, exp.Star)


def _select_of(node: exp.Table, tree: exp.Expr, clauses: Collection[str]) -> exp.Select | None:
    """Return the statement if it is one SELECT from this table alone with no other clauses."""
    if (
        not isinstance(tree, exp.Select)
        or not isinstance(node.parent, exp.From)
        or node.parent.parent is not tree
    ):
        return None
    return tree if not any(value for key, value in tree.args.items() if key not in clauses) else None


def is_row_by_row(select: exp.Select) -> bool:
    """Whether each row of the result comes from one row of the table."""
    parts = (exp.AggFunc, exp.Window, exp.Anonymous, exp.Query, exp.Unnest, exp.Explode, exp.Placeholder)
    return not any(one is not select for one in select.find_all(*parts))


def _literal_rows(clause: exp.Expr | None) -> int | None:
    """Return the number of LIMIT or OFFSET; None if it is not a literal number of rows."""
    if not isinstance(clause, exp.Limit | exp.Offset) or clause.args.get("limit_options"):
        return None
    rows = clause.expression
    return int(rows.name) if isinstance(rows, exp.Literal) and rows.is_int and not rows.is_string else None


def _start_position(identifier: exp.Expr) -> int:
    return int(identifier.meta["start"])
