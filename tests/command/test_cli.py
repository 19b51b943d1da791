"""The command line: streams, exit statuses, order, errors; mostly on a plain DuckDB (fake_session.py)."""

from __future__ import annotations

from tests.support.command import UnifyCommand

# --- What ends with what


# --- Streams


# --- Scripts


# --- The command line itself


# --- Messages


# --- With the real interpreter


def test_the_real_thing_answers(unify: UnifyCommand) -> None:
    assert unify("select 42 as answer").stdout == "answer\n42\n"
    assert unify("select $a || 'x' as v, interval 1 month as i", args=["--var", "a=b"]).rows[1] == [
        "bx",
        "1 month",
    ]


# --- unify demo
