"""Tables that do not pass the check are left, with their children; damaged documents are errors."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.importers.golden import golden_cases
from unify.errors import UnifyError
from unify.importers.common.documents import SourceText, parse_document
from unify.importers.convert import convert
from unify.importers.model import ImportSettings

JUNK: list[Any] = [
    None,
    [],
    {},
    -1,
    True,
    "",
    "{{",
    "{x}",
    "a b",
    [None],
    {"type": "X"},
    "../..",
    "\u2028",
    1.5,
]
FORMATS = ("airbyte", "openapi", "har", "postman")
OPENAPI = {
    "openapi": "3.0.0",
    "servers": [{"url": "https://api.example"}],
    "paths": {
        "/orders": {
            "get": {"responses": {"200": {"content": {"application/json": {"example": [{"id": 1}]}}}}}
        },
        "/people": {
            "get": {
                "parameters": [{"name": "", "in": "query", "required": True}],
                "responses": {"200": {"content": {"application/json": {"example": [{"id": 1}]}}}},
            }
        },
        "/people/{id}/pets": {
            "get": {"responses": {"200": {"content": {"application/json": {"example": [{"id": 1}]}}}}}
        },
    },
}


def test_a_table_that_does_not_pass_the_check_is_left_with_its_children() -> None:
    report = convert([SourceText("api.json", json.dumps(OPENAPI))], ImportSettings("shop")).report

    assert report.tables == ("orders",)
    assert [(each.name, each.reason) for each in report.left] == [
        ("people", "'' is not a name of a column or parameter"),
        ("people_pets", "its parent people is not imported"),
    ]


def _documents() -> Iterator[tuple[str, Any]]:
    """The documents of the golden cases."""
    for case in golden_cases():
        name = case.path.stem.replace("swagger2", "openapi").replace("3", "").split("_")[0]
        if name in FORMATS and "circular" not in case.path.stem:
            yield name, json.loads(json.dumps(parse_document(SourceText("case", case.document))))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each collection with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_document_is_an_error_of_ours_or_a_checked_spec(seed: int) -> None:
    choose = random.Random(seed)
    documents = list(_documents())
    read = 0
    for _ in range(15):
        name, document = copy.deepcopy(choose.choice(documents))
        for _ in range(2):
            collection, key = choose.choice(list(_places(document)))
            collection[key] = copy.deepcopy(choose.choice(JUNK))
        try:
            convert([SourceText("case.json", json.dumps(document))], ImportSettings(), format_name=name)
            read += 1
        except UnifyError:  # any other exception fails the test
            continue
    assert read > 5
