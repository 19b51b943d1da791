"""Find the tables of a statement without running or binding it.

sqlglot parses the statement, unless its tokens show that it has one table. If it cannot, a scan looks for
two- and three-part names after the keywords that introduce a table, so that unknown syntax costs precision
but never fails the query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from unify.language.sql.refs import TableRef, merge_refs
from unify.language.sql.simple_select import simple_select_table
from unify.language.statements import split_statements
from unify.language.tokenizer import (
    SqlToken,
    TokenKind,
    keyword_set,
    significant_tokens,
    statement_tokens,
    unquote,
    without_constant_runs,
)

# Without any of these words a statement has no table; sqlglot (90 ms) is not imported.
_TABLE_KEYWORDS = keyword_set(
    "from join into update table view desc describe show summarize pivot unpivot pivot_wider pivot_longer "
    "copy truncate index comment analyze vacuum using pragma call"
)
_SHOW_LISTINGS = frozenset(
    {"all", "databases", "schemas", "tables", "variables"}
)  # SHOW listings, not tables
_LISTING_KEYWORDS = frozenset({"show", "describe", "desc", "summarize"})
# Functions whose constant names a table, and query, whose constant is a SELECT.
_QUERY_FUNCTIONS = keyword_set(
    "query query_table pragma_table_info pragma_storage_info table_info storage_info"
)
_NAMING_FUNCTIONS = keyword_set("query query_table")
_MAX_PARSED_CHARS = 200_000  # characters; sqlglot parses 500,000 a second, which is too slow for bulk inserts


def referenced_tables(sql: str) -> tuple[TableRef, ...]:
    """Return the tables that ``sql`` reads or writes, each once, in order.

    Excluded are CTE names in scope and table functions. Included are one-part names (schema "") and files
    read by name (`from 'a.csv'`). Never raises.
    """
    several = any(token.text == ";" for token in statement_tokens(sql))
    texts = [statement.text for statement in split_statements(sql)] if several else [sql]
    return merge_refs([ref for text in texts for ref in _statement_tables(text)])


def names_tables_by_expression(tokens: Sequence[SqlToken]) -> bool:
    """Whether a call of query_table or query has an argument that is no constant."""
    for position in range(len(tokens) - 1):
        if tokens[position].keyword in _NAMING_FUNCTIONS and tokens[position + 1].text == "(":
            for token in tokens[position + 2 :]:
                if token.text == ")":
                    break
                if token.kind is not TokenKind.STRING and token.text not in ("[", "]", ","):
                    return True
    return False


def string_constants(sql: str) -> list[str]:
    """Return the texts of the string constants of a statement."""
    tokens = significant_tokens(sql, constants=True)
    return [unquote(token.text) for token in tokens if token.kind is TokenKind.STRING]


def tables_in_text(text: str) -> Sequence[TableRef]:
    """Return the tables of a text that query_table or query may be given: a name, or a SELECT."""
    tokens = list(significant_tokens(text))
    ref = _table_ref(tokens)
    return [ref] if ref is not None and len(tokens) in (1, 3, 5) else referenced_tables(text)


def _statement_tables(sql: str) -> Sequence[TableRef]:
    inner = unwrap_statement(sql)
    tokens = statement_tokens(inner)
    if not any(token.keyword in _TABLE_KEYWORDS for token in tokens):
        return ()
    if (only := simple_select_table(tokens)) is not None:
        return [only]
    if any(token.keyword in _QUERY_FUNCTIONS for token in tokens):
        tokens = tuple(significant_tokens(inner, constants=True))  # a constant may name a table
    shorter = without_constant_runs(inner)
    if len(shorter) > _MAX_PARSED_CHARS:
        return [*scan_for_tables(inner), *_embedded_tables(tokens)]
    from unify.language.sql import parse

    found = parse.statement_tables(shorter)
    return [*(scan_for_tables(inner) if found is None else found), *_embedded_tables(tokens)]


def _embedded_tables(tokens: Sequence[SqlToken]) -> Sequence[TableRef]:
    """Tables that no parser finds: query_table('a.b'), query('from a.b'), (show a.b)."""
    found: list[TableRef] = []
    for position in range(len(tokens) - 1):
        word, after = tokens[position], tokens[position + 1]
        if word.keyword in _QUERY_FUNCTIONS and after.text == "(":
            texts = list(_string_arguments(tokens[position + 2 :]))
            if word.keyword == "query":
                found += [ref for text in texts[:1] for ref in referenced_tables(text)]
            else:
                found += [ref for text in texts if (ref := _table_ref(list(significant_tokens(text))))]
        elif word.text == "(" and after.keyword in _LISTING_KEYWORDS:
            ref = _table_ref(tokens[position + 2 :])
            found += [ref] if ref is not None and ref.table.lower() not in _SHOW_LISTINGS else []
    return found


def _string_arguments(tokens: Sequence[SqlToken]) -> Iterator[str]:
    for token in tokens:
        if token.text == ")":
            return
        if token.kind is TokenKind.STRING:
            yield unquote(token.text)


def _table_ref(tokens: Sequence[SqlToken]) -> TableRef | None:
    match _name_parts(tokens[:5]):
        case [table]:
            return TableRef("", table)
        case [schema, table]:
            return TableRef(schema, table)
        case [catalog, schema, table]:
            return TableRef(schema, table, catalog)
        case _:
            return None


def unwrap_statement(sql: str) -> str:
    """Return the inner statement of EXPLAIN or PREPARE; SHOW becomes DESCRIBE."""
    tokens = statement_tokens(sql)
    match [token.keyword for token in tokens[:2]]:
        case ["explain", *_]:
            start = _skip_explain(tokens)
            return unwrap_statement(sql[start:]) if start < len(sql) else ""
        case ["prepare", *_]:
            start = next((token.end for token in tokens if token.keyword == "as"), len(sql))
            return unwrap_statement(sql[start:])
        case ["show" | "describe" | "desc", listing] if listing in _SHOW_LISTINGS:
            return ""
        case ["show", _]:
            return f"describe {sql[tokens[0].end :]}"
        case ["copy", "from"]:
            return ""  # copy from database a to b
        case _:
            return sql


def _skip_explain(tokens: Sequence[SqlToken]) -> int:
    """Return where the statement after EXPLAIN, ANALYZE and options begins."""
    position = 1
    while position < len(tokens) and tokens[position].keyword in ("analyze", "analyse", "verbose"):
        position += 1
    if position + 1 < len(tokens) and _opens_options(tokens[position], tokens[position + 1]):
        while position < len(tokens) and tokens[position].text != ")":
            position += 1
        position += 1
    return tokens[position].start if position < len(tokens) else tokens[-1].end


def _opens_options(bracket: SqlToken, word: SqlToken) -> bool:
    queries = (
        "select",
        "from",
        "with",
        "values",
        "table",
        "pivot",
        "unpivot",
        "describe",
        "summarize",
        "show",
    )
    return bracket.text == "(" and word.kind is TokenKind.WORD and word.keyword not in queries


_READ_KEYWORDS = keyword_set(
    "from join using pivot unpivot pivot_wider pivot_longer summarize describe desc copy vacuum analyze"
)
_WRITE_KEYWORDS = frozenset({"into", "table", "view", "truncate"})
_UPDATE_KEYWORDS = frozenset({"update"})
# Words between the keyword and the name: create table if not exists a.b.
_SKIPPED_KEYWORDS = frozenset({"if", "not", "exists", "only", "lateral", "table"})
# After these words a bracket continues a list of tables; after others it is a function call.
_LIST_KEYWORDS = frozenset({"from", "join", "using", "lateral"})
# Words that end a list of tables.
_LIST_END_KEYWORDS = keyword_set(
    "select where group order having qualify limit offset window set union intersect except values "
    "returning when sample"
)
# FROM inside these functions: extract(year from a.b).
_FUNCTIONS_WITH_FROM = frozenset({"extract", "substring", "trim", "overlay", "position"})


def scan_for_tables(sql: str) -> list[TableRef]:
    """Return every two- or three-part name in a position where a table is expected."""
    tokens = statement_tokens(sql)
    found: list[TableRef] = []
    lists = [False]  # per open bracket: whether a comma continues a list of tables
    for position, token in enumerate(tokens):
        word = token.keyword
        if token.text == "(":
            lists.append(lists[-1] and _continues_list(tokens[position - 1]))
        elif token.text == ")" and len(lists) > 1:
            lists.pop()
        elif word in _LIST_END_KEYWORDS:
            lists[-1] = False
        if _expects_table(tokens, position, in_list=lists[-1]):
            lists[-1] = lists[-1] or word in ("from", "using")
            ref = _parse_name_after(tokens, position)
            if ref is not None:
                found.append(ref)
    return found


def _continues_list(before: SqlToken) -> bool:
    return before.text in (",", "(") or before.keyword in _LIST_KEYWORDS


def _expects_table(tokens: Sequence[SqlToken], position: int, *, in_list: bool) -> bool:
    """Return whether a table name may follow this token."""
    token = tokens[position]
    if token.text in (",", "("):
        return in_list and token.kind is TokenKind.SYMBOL
    if token.keyword == "from":
        return not _is_function_from(tokens, position)
    return (
        token.keyword in _READ_KEYWORDS
        or token.keyword in _WRITE_KEYWORDS
        or token.keyword in _UPDATE_KEYWORDS
    )


def _is_function_from(tokens: Sequence[SqlToken], position: int) -> bool:
    """Return whether FROM belongs to `is distinct from` or to the syntax of a function."""
    before = tokens[max(0, position - 4) : position]
    if before and before[-1].keyword == "distinct":
        return True
    return any(
        word.keyword in _FUNCTIONS_WITH_FROM and bracket.text == "(" for word, bracket in pairwise(before)
    )


def _parse_name_after(tokens: Sequence[SqlToken], position: int) -> TableRef | None:
    """Return the two- or three-part table name after ``position``, or None."""
    announced = tokens[position].keyword
    position += 1
    while position < len(tokens) and tokens[position].keyword in _SKIPPED_KEYWORDS:
        position += 1
    if position + 1 < len(tokens) and tokens[position + 1].text == ":":
        position += 2  # from alias: a.b
    parts = _name_parts(tokens[position : position + 5])
    after = position + 2 * len(parts) - 1
    if not 2 <= len(parts) <= 3:
        return None
    written = announced in _WRITE_KEYWORDS or announced in _UPDATE_KEYWORDS
    if not written and after < len(tokens) and tokens[after].text == "(":
        return None  # a table function in a schema
    catalog = parts[0] if len(parts) == 3 else ""
    return TableRef(parts[-2], parts[-1], catalog, written, is_read=announced not in _WRITE_KEYWORDS)


def _name_parts(tokens: Sequence[SqlToken]) -> list[str]:
    """Return the parts of the dotted name at the start of ``tokens``."""
    parts: list[str] = []
    for name, dot in zip(tokens[0::2], [*tokens[1::2], None], strict=False):
        if name.kind not in (TokenKind.WORD, TokenKind.QUOTED):
            break
        parts.append(unquote(name.text))
        if dot is None or dot.text != ".":
            break
    return parts
