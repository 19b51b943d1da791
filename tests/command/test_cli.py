"""``python -m unify`` in an empty home."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import UnifyCommand


def test_the_real_thing_answers(new_home: Path) -> None:
    """The process creates the home, which holds nothing."""
    unify = UnifyCommand(new_home)
    assert unify("select 42 as answer").stdout == "answer\n42\n"
    assert unify("select $a || 'x' as v, interval 1 month as i", args=["--var", "a=b"]).rows[1] == [
        "bx",
        "1 month",
    ]
