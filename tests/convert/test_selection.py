"""``exclude`` and ``only``: which columns a load stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.staging import stage
from unify.convert.selection import ColumnRules
from unify.errors import BadResponse, ConfigError


def test_invalid_text_in_an_excluded_column_fails_the_load(tmp_path: Path) -> None:
    with pytest.raises(BadResponse, match="utf-8"):
        stage(tmp_path, b'{"a":1,"b":"ok"}', b'{"a":2,"b":"\xff"}', shape=ColumnRules(exclude=("b",)))


ISSUE = {
    "id": 1,
    "html_url": "x",
    "user": {"login": "ada", "html_url": "y"},
    "repo": {"name": "duck", "url": "z"},
}


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        (ColumnRules(exclude=("*_url",)), ["id", "user_login", "repo_name"]),
        (ColumnRules(exclude=("*_URL", "repo")), ["id", "user_login"]),
        (ColumnRules(only=("id", "user_l*")), ["id", "user_login"]),
        (ColumnRules(only=("repo",)), ["repo_name", "repo_url"]),
        (ColumnRules(only=("repo_*",), exclude=("*_url",), key=("id",)), ["id", "repo_name"]),
    ],
)  # fmt: skip
def test_exclude_and_only_select_the_columns(tmp_path: Path, shape: ColumnRules, names: list[str]) -> None:
    issue = {**ISSUE, "repo": {"name": "duck", "html_url": "z"}} if "repo_url" not in names else ISSUE

    assert list(stage(tmp_path, issue, shape=shape).types) == names


def test_an_excluded_member_is_left_out_of_later_loads(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "x_url": "s"},
        {"id": 2, "x_url": {"deep": 1}},
        {"id": 3, "x_url": [1], "y_url": {"a": 1}},
    ]

    assert stage(tmp_path, *rows, shape=ColumnRules(exclude=("*_url",)), page=1).types == {"id": "BIGINT"}


def test_excluding_every_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column is left"):
        stage(tmp_path, {"id": 1}, shape=ColumnRules(exclude=("*",)))
