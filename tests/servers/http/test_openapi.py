"""The OpenAPI document: every route is in it, and every reference resolves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from unify.servers.http import openapi
from unify.servers.http.app import AppServices, _routes
from unify.servers.statements.formats import ResultFormat

METHODS = ("get", "post", "delete")


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_route_and_method_is_described() -> None:
    services = AppServices(*cast("Any", [None] * 6))
    served = {
        (route.path, method.lower())
        for route, _ in _routes(services)
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {
        (path, method)
        for path, operations in cast("dict[str, Any]", openapi.DOCUMENT["paths"]).items()
        for method in operations
    }
    assert described == served


def test_every_reference_resolves_and_every_operation_has_responses() -> None:
    for reference in references(openapi.DOCUMENT):
        node: Any = openapi.DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node["type"] == "object", reference
    for path, operations in cast("dict[str, Any]", openapi.DOCUMENT["paths"]).items():
        for method, operation in operations.items():
            assert method in METHODS
            assert operation["summary"], path
            assert "200" in operation["responses"] or "204" in operation["responses"], path


def test_every_format_of_results_is_described() -> None:
    query = cast("dict[str, Any]", openapi.DOCUMENT["paths"])["/query"]["post"]
    assert set(query["responses"]["200"]["content"]) == {one.value for one in ResultFormat}
