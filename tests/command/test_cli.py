"""``python -m unify`` without a home."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import UnifyCommand


def test_the_command_creates_the_home_and_runs_queries(new_home: Path) -> None:
    unify = UnifyCommand(new_home)
    assert unify("select 42 as answer").stdout == "answer\n42\n"
    assert unify("select $a || 'x' as v, interval 1 month as i", args=["--var", "a=b"]).rows[1] == [
        "bx",
        "1 month",
    ]
