"""The forms of ``watch``: where its SELECT ends, and what follows it."""

from __future__ import annotations

import pytest

from unify.errors import CommandSyntaxError
from unify.language.commands import RunWatch, ShowWatches, Unwatch, WatchRows
from unify.language.parser import parse
from unify.language.statements import Statement
from unify.model import RowCondition, WatchTarget

FILE = WatchTarget("file", "f.jsonl")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("watch select 1 as a", WatchRows("select 1 as a")),
        ("watch from t", WatchRows("from t")),
        ("watch with a as (select 1) select * from a", WatchRows("with a as (select 1) select * from a")),
        ("watch (select * from t) to 'f.jsonl' as w", WatchRows("select * from t", target=FILE, name="w")),
        (
            "watch select a from s.t group by a order by a by a, b every 5 minutes to 'f.jsonl' as w",
            WatchRows("select a from s.t group by a order by a", ("a", "b"), 300.0, FILE, name="w"),
        ),
        (
            "watch select 1 union all by name select 2 to 'https://h/x' secret '${S}' when rows <> 3",
            WatchRows(
                "select 1 union all by name select 2",
                target=WatchTarget("address", "https://h/x", secret="${S}"),
                condition=RowCondition("<>", 3),
            ),
        ),
        (
            "watch select case when rows then 1 end from t where x similar to 'a' when rows != 3 as w",
            WatchRows(
                "select case when rows then 1 end from t where x similar to 'a'",
                condition=RowCondition("<>", 3),
                name="w",
            ),
        ),
        (
            "watch select 1 as a to mail 'a@b', 'c@d'",
            WatchRows("select 1 as a", target=WatchTarget("mail", "mail", ("a@b", "c@d"))),
        ),
        (
            "watch select 1 as a to shop.sales.out",
            WatchRows("select 1 as a", target=WatchTarget("table", "shop.sales.out")),
        ),
        ("run watch w", RunWatch("w")),
        ('unwatch "my watch"', Unwatch("my watch")),
        ("show watches", ShowWatches()),
    ],
)
def test_forms(text: str, command: object) -> None:
    assert parse(Statement(text)) == command


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("watch", "expected a SELECT or a SELECT in (brackets)"),
        ("watch select 1 to", "expected a file written 'PATH'"),
        ("watch select 1 to 'x.jsonl' when rows", "expected > or another comparison"),
        ("watch select 1 every 5", "expected a unit such as minutes"),
        ("unwatch", "expected the name of a watch"),
        ("watch select 1 to 'f.jsonl' when rows > 9999999999999999999", "too large"),
    ],
)
def test_mistakes_say_what_is_expected(text: str, message: str) -> None:
    with pytest.raises(CommandSyntaxError, match="(?s)" + message.replace("(", r"\(").replace(")", r"\)")):
        parse(Statement(text))


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [("=", "=2"), ("<>", "<>"), ("<", "1"), ("<=", "12"), (">", "3"), (">=", "23")],
)
def test_conditions(comparison: str, holds: str) -> None:
    condition = next(
        RowCondition(each, 2) for each in ("=", "<>", "<", "<=", ">", ">=") if each == comparison
    )
    expected = {"=2": [2], "<>": [1, 3]}.get(holds, [int(digit) for digit in holds if digit.isdigit()])
    assert [rows for rows in (1, 2, 3) if condition.holds(rows)] == expected
