"""Messages of DuckDB as they are shown."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from unify.engine import duckdb
from unify.engine.errors import catalog_damage, clean_message, translate_lake_error, translate_statement_error
from unify.errors import NoSuchVersion


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Binder Error: no such column", "no such column"),
        (
            "Invalid Input Error: Attempting to execute an unsuccessful or closed pending query result\n"
            "Error: Conversion Error: Could not convert 'q'\n\nLINE 1: select 'q'\n               ^",
            "Could not convert 'q'\n\nLINE 1: select 'q'\n               ^",
        ),
        ('Catalog Error: Candidate bindings: : "a"', 'Candidate bindings: "a"'),
    ],
)
def test_a_message_has_no_class_names(text: str, shown: str) -> None:
    assert clean_message(RuntimeError(text)) == shown


@pytest.mark.parametrize(
    "part", ["a", "\n", '"', " ", '\nDid you mean "', "A a a ", "\nLINE 1: at", 'schema "a" does not exist']
)
def test_a_long_message_is_translated_in_linear_time(part: str) -> None:
    """A message quotes values, which come from anywhere."""
    error = duckdb.Error(f"Conversion Error: extension {part * (200_000 // len(part))}")
    started = time.process_time()
    translate_statement_error(error, Path("/lake"))
    translate_lake_error(error, Path("/lake"))
    catalog_damage(error)
    assert time.process_time() - started < 10  # 0.2 s; a quadratic pattern takes minutes


@pytest.mark.parametrize("moment", ["1990-01-01", "1990-01-01 00:00:00", "1990-01-01 00:00:00.5+00"])
def test_a_time_before_the_history_is_no_such_version(moment: str) -> None:
    error = RuntimeError(f"Invalid Input Error: No snapshot found at timestamp {moment}")
    translated = translate_statement_error(error, Path("lake"))
    assert isinstance(translated, NoSuchVersion)
    assert translated.message.startswith("there is no version of 1990-01-01")


def test_a_number_without_a_version_is_no_such_version() -> None:
    error = RuntimeError("Invalid Input Error: No snapshot found at version 99999")
    translated = translate_statement_error(error, Path("lake"))
    assert isinstance(translated, NoSuchVersion)
    assert translated.message.startswith("there is no version 99999")


@pytest.mark.parametrize(
    "text",
    [
        "see: No snapshot found at version 3",
        "No snapshot found at version 3, said the user",
        "No snapshot found at timestamp 2024-01-01, said the user",
        "the order does not exist at version 2",
    ],
)
def test_a_text_of_the_user_is_not_taken_for_a_message_of_ducklake(text: str) -> None:
    translated = translate_statement_error(RuntimeError(f"Invalid Input Error: {text}"), Path("lake"))
    assert not isinstance(translated, NoSuchVersion)
    assert translated.message == text
