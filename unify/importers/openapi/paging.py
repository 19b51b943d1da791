"""Pagination from the parameters of an operation and the members of its response. No cursor is guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unify.importers.common.documents import members_of
from unify.importers.common.query_paging import (
    DEFAULT_SIZE,
    MAX_SIZE,
    PagingParams,
    find_paging_params,
    paging_of_params,
    with_size,
)
from unify.importers.common.shapes import Shape
from unify.importers.model import ImportedPaging
from unify.importers.openapi.document import GetOperation, OpenAPIDocument, Parameter

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
_NEXT_URLS = frozenset(
    [
        "next",
        "next_url",
        "nextlink",
        "next_link",
        "next_page_url",
        "next_page_uri",
        "nexturl",
        "@odata.nextlink",
    ]
)
_NEXT_CURSORS = frozenset(
    [
        *("next_cursor", "nextcursor", "next_page_token", "nextpagetoken", "next_token", "nexttoken"),
        *("end_cursor", "endcursor", "cursor", "next_page_cursor", "continuation_token", "starting_after"),
        *("next", "after", "next_marker", "offset"),
    ]
)
_AROUND = frozenset(
    [
        *(
            "paging",
            "pagination",
            "meta",
            "links",
            "_links",
            "cursors",
            "response_metadata",
            "page_info",
            "next",
        ),
        *("pageinfo", "metadata", "cursor", "pages", "page", "@odata"),
    ]
)


def find_paging(
    document: OpenAPIDocument, operation: GetOperation, shape: Shape
) -> tuple[ImportedPaging | None, frozenset[str]]:
    """The paging of an operation, and the parameters that it sends. None: found out when it is read."""
    query = operation.in_place("query")
    found = find_paging_params(query)
    size = _size_of(query.get(found.size or ""))
    if _has_link_header(document, operation):
        return with_size(ImportedPaging("link_header"), found.size, size), found.names
    cursor = _cursor_paging(found, size, shape)
    if cursor is not None:
        return cursor, found.names
    first = query[found.page].schema if found.page in query else {}
    number = first.get("default", first.get("minimum"))
    return paging_of_params(found, size, number if isinstance(number, int) else None), found.names


def _cursor_paging(found: PagingParams, size: int | None, shape: Shape) -> ImportedPaging | None:
    """A cursor or an address in the body, where its name says what it is."""
    scalars = dict(_scalars(shape))
    for path in scalars:
        name = path.rpartition(".")[2].lower()
        if found.cursor is not None and name in _NEXT_CURSORS and _is_about_next(path, found.cursor):
            paging = ImportedPaging("cursor", cursor_param=found.cursor, cursor_path=path)
            return with_size(paging, found.size, size)
    if found.page or found.offset or found.cursor:
        return None
    for path in scalars:
        last = path.rpartition(".")[2].lower()
        is_address = last in _NEXT_URLS or (last in ("href", "url") and ".next." in f".{path.lower()}")
        if is_address and " " not in path:
            return with_size(ImportedPaging("next_url", path=path), found.size, size)
    return None


def _is_about_next(path: str, param: str) -> bool:
    """Whether a member is the next cursor: its name says so, or is that of the parameter."""
    name = path.rpartition(".")[2].lower()
    return "next" in path.lower() or "end" in name or name == param.lower()


def _scalars(shape: Shape, path: str = "", depth: int = 0) -> Iterator[tuple[str, Shape]]:
    """The scalar members beside the rows, and in objects about paging."""
    for name, member in shape.members.items():
        inner = f"{path}.{name}" if path else name
        if any(char in name for char in " {}"):
            continue
        if member.kind == "scalar":
            yield inner, member
        elif member.kind == "object" and depth < 3 and name.lower() in _AROUND:
            yield from _scalars(member, inner, depth + 1)


def _size_of(parameter: Parameter | None) -> int | None:
    """The largest page that the document allows, up to 1,000; else the default, else 100."""
    if parameter is None:
        return None
    limit, default = parameter.schema.get("maximum"), parameter.schema.get("default")
    if isinstance(limit, int | float) and limit >= 1:
        return min(int(limit), MAX_SIZE)
    return int(default) if isinstance(default, int) and default >= 1 else DEFAULT_SIZE


def _has_link_header(document: OpenAPIDocument, operation: GetOperation) -> bool:
    responses = members_of(operation.value.get("responses"))
    response = document.resolve(responses.get("200", responses.get("default")))
    headers: Mapping[str, Json] = members_of(response.get("headers"))
    return any(name.lower() == "link" for name in headers)
