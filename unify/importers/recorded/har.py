"""Imports HAR recordings of browsers: requests with JSON responses that list rows become tables.

Requests to the same path are one table; two that differ in one parameter show how pages are requested.
No value of a response is written, and no secret of a request: they become options.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from unify.errors import FileError
from unify.importers.common.documents import SourceText, items_of, members_of, parse_document, text_of
from unify.importers.common.names import snake_case, unique_name
from unify.importers.common.path_parents import LinkedTable, PathTable, link_parents
from unify.importers.common.shapes import FoundRows, find_key, find_rows, is_unique, shape_of_example
from unify.importers.model import (
    AuthOffer,
    ImportedAPI,
    ImportedColumn,
    ImportedOption,
    ImportedRequest,
    ImportedTable,
    ImportNote,
    ImportSettings,
    ImportSource,
    Json,
    Leftover,
)
from unify.importers.recorded.recorded_paging import RecordedPage, find_recorded_paging
from unify.importers.recorded.requests import (
    RecordedRequest,
    SecretOptions,
    api_name,
    auth_of_request,
    build_request,
    table_name,
    unusable_reason,
)
from unify.text import format_count

_ID_SEGMENT = re.compile(
    r"[0-9]+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-fA-F]{16,}|(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_-]{12,}"
)
_STATIC = re.compile(r"\.(js|css|png|jpe?g|gif|svg|ico|woff2?|ttf|map|html?|webp|mp4|wasm)$", re.IGNORECASE)


class _Entry(Struct, frozen=True):
    """A request of the recording and the JSON value of its response."""

    request: RecordedRequest
    response: Json


class _Group(Struct, frozen=True):
    """The entries of one table; ``path`` has ``{id}`` parameters."""

    name: str
    path: str
    entries: tuple[_Entry, ...]
    rows: FoundRows
    key: str | None


def import_har(sources: Sequence[SourceText], settings: ImportSettings) -> ImportedAPI:
    """Read HAR recordings. Raises FileError if there is no response with JSON in them."""
    entries, skipped = _read_entries(sources)
    usable = [each for each in entries if unusable_reason(each.request) is None]
    origins = Counter(each.request.origin for each in usable if isinstance(_rows_of([each]), FoundRows))
    if not origins:
        raise FileError(
            f"{sources[0].path}: no request of the recording has a JSON response with a list of rows"
        )
    base = origins.most_common(1)[0][0]
    groups, left = _group(entries, base)
    options = _HARValues([each.response for each in entries])
    auth = next(
        (found for each in _entries_of(groups) if (found := auth_of_request(each.request, options))), None
    )
    tables, notes = _build_tables(groups, auth, options)
    if skipped:
        notes.append(ImportNote("", f"ignored: {format_count(skipped, 'request')} without a JSON response"))
    if auth is not None and str(auth.settings.get("name", "")) == "Cookie":
        notes.append(
            ImportNote("", "signs in with cookies of the browser, which expire; an API token lasts longer")
        )
    return ImportedAPI(
        settings.name or api_name(base),
        base,
        ImportSource("har", "a recording of a browser"),
        options=tuple(options.options.values()),
        auths=(auth,) if auth is not None else (),
        tables=tuple(tables),
        left=tuple(left),
        notes=tuple(notes),
    )


def _entries_of(groups: Sequence[_Group]) -> Iterator[_Entry]:
    for group in groups:
        yield from group.entries


# -- the recording -----------------------------------------------------------------------------------


def _read_entries(sources: Sequence[SourceText]) -> tuple[list[_Entry], int]:
    """The entries with JSON responses, and the number of the others that are no files of a page."""
    entries, skipped = [], 0
    for source in sources:
        document = members_of(parse_document(source))
        for each in items_of(members_of(document.get("log")).get("entries")):
            entry = _read_entry(members_of(each), source)
            if entry is not None:
                entries.append(entry)
            elif not _STATIC.search(
                urlsplit(text_of(members_of(members_of(each).get("request")).get("url"))).path
            ):
                skipped += 1
    return entries, skipped


def _read_entry(entry: Mapping[str, Json], source: SourceText) -> _Entry | None:
    request, response = members_of(entry.get("request")), members_of(entry.get("response"))
    content = members_of(response.get("content"))
    value = _json_of(content)
    status = response.get("status")
    if value is None or not isinstance(status, int) or not 200 <= status < 300:
        return None
    url = text_of(request.get("url"))
    headers = [
        (text_of(each.get("name")), text_of(each.get("value")))
        for each in map(members_of, items_of(request.get("headers")))
    ]
    cookies = "; ".join(
        f"{text_of(each.get('name'))}={text_of(each.get('value'))}"
        for each in map(members_of, items_of(request.get("cookies")))
    )
    if cookies and not any(name.lower() == "cookie" for name, _ in headers):
        headers.append(("Cookie", cookies))
    line = source.line_of(json.dumps(url))
    body = _body_of(members_of(request.get("postData")))
    return _Entry(RecordedRequest(text_of(request.get("method")), url, headers, (), body, line=line), value)


def _json_of(content: Mapping[str, Json]) -> Json:
    text = text_of(content.get("text"))
    if content.get("encoding") == "base64":
        try:
            text = base64.b64decode(text).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    if "json" not in text_of(content.get("mimeType")) and text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _body_of(data: Mapping[str, Json]) -> str | None:
    params = [members_of(each) for each in items_of(data.get("params"))]
    if params and not text_of(data.get("text")):
        return urlencode([(text_of(each.get("name")), text_of(each.get("value"))) for each in params])
    return text_of(data.get("text")) or None


# -- groups ------------------------------------------------------------------------------------------


def _group(entries: Sequence[_Entry], base: str) -> tuple[list[_Group], list[Leftover]]:
    """The entries of each table of the API, and the requests that are none."""
    by_path: dict[tuple[str, str, str], list[_Entry]] = {}
    for each in entries:
        request = each.request
        by_path.setdefault((request.method, request.origin, _template(request)), []).append(each)
    groups: list[_Group] = []
    left = []
    for (method, origin, template), same in by_path.items():
        request = same[0].request
        path = template.partition(" ")[0]
        rows = _rows_of(same)
        problem = unusable_reason(request) or (rows if isinstance(rows, str) else None)
        if problem is None and origin != base:
            problem = f"{origin} is another origin than {base}"
        if problem is not None or isinstance(rows, str):
            left.append(Leftover(f"{method} {path}", problem or "", request.line))
            continue
        name = unique_name(_group_name(path, request), [each.name for each in groups])
        key = find_key(rows.row, name)
        if key is not None and not all(is_unique(_list_at(each.response, rows.path), key) for each in same):
            key = None
        groups.append(_Group(name, path, tuple(same), rows, key))
    return groups, left


def _template(request: RecordedRequest) -> str:
    """The path with parameters in place of ids; with the operation of a GraphQL request."""
    number = 0
    segments = []
    for segment in request.path.split("/"):
        if _ID_SEGMENT.fullmatch(segment):
            number += 1
            segments.append("{id}" if number == 1 else f"{{id{number}}}")
        else:
            segments.append(segment)
    operation = _graphql_operation(request)
    return "/".join(segments) + (f" {operation}" if operation else "")


def _graphql_operation(request: RecordedRequest) -> str:
    try:
        body = json.loads(request.body or "")
    except ValueError:
        return ""
    query = members_of(body).get("query")
    if not isinstance(query, str):
        return ""
    named = re.search(r"\b(?:query|mutation)\s+([A-Za-z_][A-Za-z0-9_]*)", query)
    return text_of(members_of(body).get("operationName")) or (named[1] if named else "graphql")


def _group_name(path: str, request: RecordedRequest) -> str:
    operation = _graphql_operation(request)
    return snake_case(operation) if operation else table_name(path)


def _rows_of(entries: Sequence[_Entry]) -> FoundRows | str:
    """The rows of the first response that has some; else why there are none."""
    reason = "the response has no rows"
    for each in entries:
        words = [word for word in each.request.path.split("/") if word][-1:]
        found = find_rows(shape_of_example(each.response), words)
        if isinstance(found, FoundRows):
            return found
        reason = found
    return reason


def _list_at(value: Json, path: str) -> list[Json]:
    for step in path.split(".") if path else ():
        value = members_of(value).get(step)
    return items_of(value)


# -- tables ------------------------------------------------------------------------------------------


class _HARValues(SecretOptions):
    """The options of a recording: also the values that responses contain, unless they are plain words."""

    def __init__(self, responses: Sequence[Json]) -> None:
        super().__init__()
        self._answered: set[str] = set()
        for each in responses:
            self._collect(each)

    def _collect(self, value: Json) -> None:
        match value:
            case Mapping():
                for item in value.values():
                    self._collect(item)
            case list():
                for item in value:
                    self._collect(item)
            case str() | int() | float() if len(str(value)) >= 4:
                self._answered.add(str(value))

    def hide(self, name: str, value: str) -> str:
        if value in self._answered and not re.fullmatch(r"[a-z_-]{1,20}", value):
            return self.variable(name, value, secret=False)
        return super().hide(name, value)


def _build_tables(
    groups: Sequence[_Group], auth: AuthOffer | None, options: SecretOptions
) -> tuple[list[ImportedTable], list[ImportNote]]:
    paths = [PathTable(each.name, each.path, each.rows.row, each.key) for each in groups]
    linked = link_parents(paths, options.options)
    tables: list[ImportedTable] = []
    notes: list[ImportNote] = []
    for group in sorted(groups, key=lambda each: each.path.count("/")):
        table, own = _build_table(group, linked[group.name], auth, options)
        tables.append(table)
        notes += own
    return tables, notes


def _build_table(
    group: _Group, link: LinkedTable, auth: AuthOffer | None, options: SecretOptions
) -> tuple[ImportedTable, list[ImportNote]]:
    request = group.entries[0].request
    built, params = build_request(request, auth, options)
    pages = [
        RecordedPage(
            dict(each.request.all_params()), each.response, each.request.url, _row_count(each, group)
        )
        for each in group.entries
    ]
    paging, remaining, varying = find_recorded_paging(pages, params)
    notes = []
    for name in varying:
        remaining[name] = options.variable(name, f"varying {group.name} {name}", secret=False)
        notes.append(ImportNote(group.name, f"{name} differs between its requests: it is an option"))
    for name in link.options:
        if name not in options.options:
            options.options[name] = ImportedOption(name, "Part of the path", required=True)
    columns = tuple(ImportedColumn(name, source=f"{{{each}}}") for name, each in link.columns.items())
    table = ImportedTable(
        group.name,
        ImportedRequest(built.method, link.path, remaining, built.headers, built.body, built.form),
        for_each=link.query,
        rows=group.rows.path or None,
        key=(group.key,) if group.key is not None else (),
        columns=columns,
        paging=paging,
        parents=link.parents,
        line=request.line,
    )
    return table, notes


def _row_count(entry: _Entry, group: _Group) -> int:
    return len(_list_at(entry.response, group.rows.path))
