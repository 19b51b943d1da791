"""Messages of DuckDB as they are shown."""

from __future__ import annotations

import pytest

from unify.engine.errors import clean_message


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
