"""Statements are split as DuckDB splits them."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unify.language.statements import (
    Statement,
    incomplete_reason,
    incomplete_reasons_by_line,
    is_complete,
    split_statements,
)
from unify.language.tokenizer import blank_comments, tokenize

# text, its statements
SPLITS: list[tuple[str, list[str]]] = [
    ("", []),
    ("  \n\t ", []),
    (";", []),
    (" ; ;; \n;", []),
    ("-- only a comment", []),
    ("/* only a comment */;", []),
    ("select 1", ["select 1"]),
    ("select 1;", ["select 1"]),
    ("select 1; select 2", ["select 1", "select 2"]),
    ("select 1;select 2;", ["select 1", "select 2"]),
    (";;select 1;;;select 2;;", ["select 1", "select 2"]),
    ("select ';'; select 2", ["select ';'", "select 2"]),
    ("select 'it''s;'; select 2", ["select 'it''s;'", "select 2"]),
    ("select 'a\\'; select 2", ["select 'a\\'", "select 2"]),
    ("select E'a\\';'; select 2", ["select E'a\\';'", "select 2"]),
    ("select e'a\\\\'; select 2", ["select e'a\\\\'", "select 2"]),
    ("select E'a'';'; select 2", ["select E'a'';'", "select 2"]),
    ("select '\n;\n'; select 2", ["select '\n;\n'", "select 2"]),
    ('select ";"; select 2', ['select ";"', "select 2"]),
    ('select "a"";"; select 2', ['select "a"";"', "select 2"]),
    ('select "\'"; select 2', ['select "\'"', "select 2"]),
    ("select '\"'; select 2", ["select '\"'", "select 2"]),
    ("select $$;$$; select 2", ["select $$;$$", "select 2"]),
    ("select $$'$$; select 2", ["select $$'$$", "select 2"]),
    ("select $a$;$$;$a$; select 2", ["select $a$;$$;$a$", "select 2"]),
    ("select $a$ $A$ ; $a$; select 2", ["select $a$ $A$ ; $a$", "select 2"]),
    ("select $é$;$é$; select 2", ["select $é$;$é$", "select 2"]),
    ("select 1 as a$b$; select 2 as c$b$", ["select 1 as a$b$", "select 2 as c$b$"]),
    ("select $1; select $2", ["select $1", "select $2"]),
    ("select 1 -- ; no\n; select 2", ["select 1", "select 2"]),
    ("select 1 -- '\n; select 2", ["select 1", "select 2"]),
    ("select -- c\r 1; select 2", ["select -- c\r 1", "select 2"]),
    ("select 1 /* ; */; select 2", ["select 1", "select 2"]),
    ("select /* a /* b */ c; */ 1; select 2", ["select /* a /* b */ c; */ 1", "select 2"]),
    ("select /* ' */ 1; select 2", ["select /* ' */ 1", "select 2"]),
    ("select /*/ ; */ 1; select 2", ["select /*/ ; */ 1", "select 2"]),
    ("select /* -- */ 1; select 2", ["select /* -- */ 1", "select 2"]),
    ("select 1 - -1; select 2", ["select 1 - -1", "select 2"]),
    ("select 4/2; select 2*/**/3", ["select 4/2", "select 2*/**/3"]),
    ("-- first\nselect 1; -- second\nselect 2 -- third", ["select 1", "select 2"]),
    ('select \'{"a": ["("]}\'; select 2', ['select \'{"a": ["("]}\'', "select 2"]),
    ("select (1); select [1]; select {'a': 1}", ["select (1)", "select [1]", "select {'a': 1}"]),
    ("select 1\u00a0;\u3000select 2", ["select 1", "select 2"]),
    ("\ufeffselect 1; select 2", ["select 1", "select 2"]),
    ("select 1;\r\nselect 2;\r\n", ["select 1", "select 2"]),
    ("create macro f(a) as a + 1; select f(1)", ["create macro f(a) as a + 1", "select f(1)"]),
    ("begin; insert into t values (';'); commit", ["begin", "insert into t values (';')", "commit"]),
    ("show tables; ??; count a.b", ["show tables", "??", "count a.b"]),
]

# text, what the prompt waits for
WAITS: list[tuple[str, str | None]] = [
    ("", None),
    ("   \n ", None),
    ("-- a comment", None),
    ("/* a comment */", None),
    ("/* a comment", "comment"),
    ("/* a /* nested */ comment", "comment"),
    (";", None),
    ("select 1", ";"),
    ("select 1;", None),
    ("select 1;  ", None),
    ("select 1; -- done", None),
    ("select 1; /* done */", None),
    ("select 1; /* not done", "comment"),
    ("select 1 -- ;", ";"),
    ("select 1 /* ; */", ";"),
    ("select ';", "quote"),
    ("select 'it''s", "quote"),
    ("select 'it''", "quote"),
    ("select 'a\\';", None),
    ("select E'a\\';", "quote"),
    ("select E'a\\", "quote"),
    ('select ";', "quote"),
    ("select $$;", "quote"),
    ("select $a$;$$", "quote"),
    ("select $a$;$a$", ";"),
    ("select $a$;$a$;", None),
    ("select $1;", None),
    ("select (1;", "bracket"),
    ("select (1", "bracket"),
    ("select [1, 2", "bracket"),
    ("select {'a': 1", "bracket"),
    ("select (1);", None),
    ("select 1);", None),
    ("select ')' from (select 1", "bracket"),
    ("select '('", ";"),
    ("select 1; select 2", ";"),
    ("select 1; select 2;", None),
    ("select 1;\nselect (", "bracket"),
    ("create macro f(a) as a", ";"),
    ("show tables", None),
    ("SHOW\n TABLES", None),
    ("show tables;", None),
    ("show tabels", None),
    ("show", None),
    ("show databases", ";"),
    ("show all tables", ";"),
    ("describe", None),
    ("describe github.pulls", None),
    ("describe select 1", ";"),
    ("describe (", "bracket"),
    ("??", None),
    ("count github.pulls", None),
    ("load table github.pulls", None),
    ("load table", None),
    ("load httpfs", ";"),
    ('load table "My Conn', "quote"),
    ("load table github.pulls /*", "comment"),
    ("refresh table github.pulls every '5 minutes", "quote"),
    ("system status", None),
    ("systm status", None),
    ("exit", None),
    ("quit", None),
    ("help load", None),
    ("set max_age = 0", None),
    ("set threads = 2", ";"),
    ("select 1; show tables", None),
    ("show tables; select 1", ";"),
    ("-- note\nshow tables", None),
    ("from github.pulls", ";"),
    ("sleect 1", ";"),
]


@pytest.mark.parametrize(("text", "statements"), SPLITS)
def test_a_text_splits_into_its_statements(text: str, statements: list[str]) -> None:
    assert [statement.text for statement in split_statements(text)] == statements


@pytest.mark.parametrize(
    "text", [text for text, statements in SPLITS if statements and "??" not in text and "\r 1" not in text]
)
def test_duckdb_splits_at_the_same_positions(text: str) -> None:
    ours = [statement.text for statement in split_statements(text)]
    theirs = duckdb.extract_statements(text)
    assert len(ours) == len(theirs)
    assert [repr(duckdb.extract_statements(one)[0].type) for one in ours] == [
        repr(one.type) for one in theirs
    ]


@pytest.mark.parametrize(("text", "reason"), WAITS)
def test_the_prompt_waits_for_missing_input(text: str, reason: str | None) -> None:
    assert incomplete_reason(text) == reason
    assert is_complete(text) == (reason is None)


@pytest.mark.parametrize(
    "text",
    [
        "select 1;",
        "select ';', $$;$$, E'\\';' /* ; */;",
        "with x as (select 1)\nselect *\nfrom x;",
        "set threads = 2;",
        "create table t as from github.pulls;",
    ],
)
def test_sql_typed_letter_by_letter_never_runs_before_its_end(text: str) -> None:
    assert [text[:end] for end in range(1, len(text)) if is_complete(text[:end])] == []
    assert is_complete(text)


def test_statements_have_their_line_numbers() -> None:
    text = "\n\nselect 1;\n-- comment\nselect\n  2; select 3;\n/* a\nb */ show tables"
    assert split_statements(text) == [
        Statement("select 1", 3),
        Statement("select\n  2", 5),
        Statement("select 3", 6),
        Statement("show tables", 8),
    ]


def test_comments_inside_a_statement_are_kept_and_others_removed() -> None:
    assert split_statements("/* a */ select /* b */ 1 -- c\n;") == [Statement("select /* b */ 1")]


@pytest.mark.parametrize(
    "text", ["select 'a; select 2", 'select "a; select 2', "select /* a; select 2", "select $$; x"]
)
def test_unterminated_text_is_one_statement_that_duckdb_refuses(text: str) -> None:
    assert split_statements(text) == [Statement(text)]
    with pytest.raises(duckdb.ParserException):
        duckdb.extract_statements(text)


def test_after_a_missing_bracket_no_statement_runs() -> None:
    assert split_statements("select (1; drop table t; select 2") == [
        Statement("select (1; drop table t; select 2")
    ]


def test_an_extra_bracket_affects_only_its_statement() -> None:
    assert split_statements("select 1); select 2") == [Statement("select 1)"), Statement("select 2")]


SQL_PIECES = st.lists(
    st.sampled_from([*"aE1$.;'\"()[]{}\\ \n\r-/*é", "--", "/*", "*/", "$$", "$a$", "E'", "''", "select"]),
    max_size=30,
).map("".join)


@settings(deadline=None)  # of the clock: a machine may be busy
@given(SQL_PIECES)
def test_tokens_of_any_text_join_to_the_text(text: str) -> None:
    assert "".join(token.text for token in tokenize(text)) == text
    assert [token.start for token in tokenize(text)] == [
        sum(len(before.text) for before in list(tokenize(text))[:number])
        for number in range(len(list(tokenize(text))))
    ]


@settings(deadline=None)  # of the clock: a machine may be busy
@given(SQL_PIECES)
def test_blanking_comments_keeps_every_position(text: str) -> None:
    blanked = blank_comments(text)
    assert len(blanked) == len(text)
    assert [at for at, char in enumerate(blanked) if char == "\n"] == [
        at for at, char in enumerate(text) if char == "\n"
    ]


@settings(deadline=None)  # of the clock: a machine may be busy
@given(SQL_PIECES)
def test_splitting_loses_nothing_but_semicolons_blanks_and_comments(text: str) -> None:
    for statement in split_statements(text):
        assert statement.text in text
        assert text.split("\n")[statement.line - 1].find(statement.text.split("\n")[0]) >= 0
    assert split_statements(";\n".join(statement.text for statement in split_statements(text))) == [
        Statement(statement.text, line) for statement, line in _renumbered(split_statements(text))
    ]


def _renumbered(statements: list[Statement]) -> list[tuple[Statement, int]]:
    line, found = 1, []
    for statement in statements:
        found.append((statement, line))
        line += statement.text.count("\n") + 1
    return found


SQL_SCRIPTS = st.lists(
    st.sampled_from(
        [
            "select 1",
            ";",
            " ",
            "\n",
            "-- ;'\n",
            "/* ; ' */",
            "/* /* ; */ */",
            ' as "a;""b"',
            ", ';''-- '",
            ", $$;'$$",
            ", $a$;$$'$a$",
            ", E'\\';'",
            ", (1)",
            ", [';']",
            ", {'a': 1}",
            "\u00a0",
            "-- \r",
        ]
    ),
    max_size=12,
).map("".join)


@settings(deadline=None)  # of the clock: a machine may be busy
@given(SQL_SCRIPTS)
def test_duckdb_finds_the_same_number_of_statements(script: str) -> None:
    try:
        theirs = duckdb.extract_statements(script)
    except duckdb.Error:
        return
    assert len(theirs) == len(split_statements(script))


@settings(deadline=None)  # of the clock: a machine may be busy
@given(SQL_PIECES)
def test_the_missing_input_of_any_text_is_determined(text: str) -> None:
    assert incomplete_reason(text) in (None, "quote", "comment", "bracket", ";")
    assert is_complete(text + "\n;") or incomplete_reason(text) in ("quote", "comment", "bracket")


@settings(deadline=None)  # of the clock: a machine may be busy
@given(st.text(alphabet="a;'\"$-*/()[ \n\\erhelp", max_size=60))
def test_the_missing_input_is_known_for_each_line(text: str) -> None:
    lines = text.split("\n")

    assert incomplete_reasons_by_line(text) == [
        incomplete_reason("\n".join(lines[:count])) for count in range(1, len(lines))
    ]


def test_a_large_script_is_split_quickly() -> None:
    script = "insert into t values (1, 'a;b', $$;$$); -- note\n" * 20_000
    assert len(split_statements(script)) == 20_000
    assert incomplete_reason("select '" + "a" * 5_000_000) == "quote"
    assert incomplete_reason("/*" * 200_000) == "comment"
