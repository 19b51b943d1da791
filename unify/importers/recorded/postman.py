"""Imports Postman collections: requests that read become tables; rows and keys come from example responses.

Scripts of a collection are never run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from unify.errors import FileError
from unify.importers.common.documents import (
    SourceText,
    items_of,
    line_of,
    members_of,
    parse_document,
    text_of,
)
from unify.importers.common.names import describe, snake_case, unique_name
from unify.importers.common.path_parents import (
    LinkedTable,
    PathTable,
    link_parents,
    path_parameters,
    variable_name,
)
from unify.importers.common.query_paging import split_paging
from unify.importers.common.shapes import FoundRows, Shape, find_key, find_rows, shape_of_example
from unify.importers.model import (
    AuthOffer,
    ImportedAPI,
    ImportedColumn,
    ImportedFilter,
    ImportedPaging,
    ImportedRequest,
    ImportedTable,
    ImportNote,
    ImportSettings,
    ImportSource,
    Json,
    Leftover,
)
from unify.importers.recorded.postman_values import PostmanValues, auth_of, template_name
from unify.importers.recorded.requests import CLIENT_HEADERS, api_name, as_number

_READING_POST = re.compile(r"search|query|list|find|filter|graphql|lookup|report", re.IGNORECASE)


class _Request(Struct, frozen=True):
    """A request of a collection. ``base`` is what stands before ``path``; ``auth`` is that of its folders."""

    name: str
    folder: str
    method: str
    base: str
    path: str
    params: tuple[tuple[str, str], ...]
    value: Mapping[str, Json]
    auth: Json
    examples: tuple[Json, ...]
    has_script: bool
    line: int


class _Found(Struct, frozen=True):
    """A request that becomes a table; ``rows`` None: found when it is read, or one object."""

    name: str
    request: _Request
    rows: FoundRows | None
    key: str | None
    single: bool = False


def import_postman(sources: Sequence[SourceText], settings: ImportSettings) -> ImportedAPI:
    """Read a Postman collection (2.0 or 2.1). Raises FileError if it has no request."""
    root = members_of(parse_document(sources[0]))
    collection = members_of(root.get("collection", root))
    requests = list(_requests(items_of(collection.get("item")), "", collection.get("auth"), sources[0]))
    if not requests:
        raise FileError(f"{sources[0].path}: the collection has no requests")
    values = PostmanValues(items_of(collection.get("variable")))
    base = Counter(each.base for each in requests).most_common(1)[0][0]
    found, left = _find_tables(requests, base, live=settings.live)
    auths = _find_auths([each.request for each in found], values)
    builder = _Builder(found, auths, values)
    tables = [builder.build(each) for each in found]
    info = members_of(collection.get("info"))
    if any(each.has_script for each in requests):
        builder.notes.append(
            ImportNote("", "scripts of the collection are not run: what they set is an option")
        )
    base_url = values.text(base) if base else "{base_url}"
    if not re.match(r"https?://|\{", base_url):
        base_url = f"https://{base_url}"
    values.require(base_url)
    title = text_of(info.get("name"))
    return ImportedAPI(
        snake_case(
            re.sub(r"\b(the|rest|api|v[0-9.]+|collection)\b", " ", title.lower()).strip() or api_name(base)
        ),
        base_url,
        ImportSource("postman", describe(title, 80), _version(info)),
        description=describe(title),
        options=tuple(values.options.values()),
        auths=tuple(auths),
        tables=tuple(tables),
        left=tuple(left),
        notes=tuple(builder.notes),
    )


def _version(info: Mapping[str, Json]) -> str:
    version = info.get("version")
    return describe(version, 30) if isinstance(version, str) else ""


# -- requests of the collection ----------------------------------------------------------------------


def _requests(items: Sequence[Json], folder: str, auth: Json, source: SourceText) -> Iterator[_Request]:
    for each in items:
        item = members_of(each)
        own_auth = item.get("auth") or auth
        if "item" in item:
            yield from _requests(items_of(item["item"]), text_of(item.get("name")), own_auth, source)
            continue
        value = item.get("request")
        if isinstance(value, str):
            value = {"method": "GET", "url": value}
        if isinstance(value, Mapping):
            yield _read_request(item, value, folder, own_auth, source)


def _read_request(
    item: Mapping[str, Json], value: Mapping[str, Json], folder: str, auth: Json, source: SourceText
) -> _Request:
    name = text_of(item.get("name"))
    url = value.get("url")
    raw = url if isinstance(url, str) else text_of(members_of(url).get("raw"))
    base, path, query = _split_url(raw)
    params = [tuple(each.partition("=")[::2]) for each in query.split("&") if each]
    disabled = {
        text_of(each.get("key"))
        for each in map(members_of, items_of(members_of(url).get("query")))
        if each.get("disabled") is True
    }
    scripts = [members_of(each).get("listen") for each in items_of(item.get("event"))]
    line = line_of(item) or source.line_of(f'"name": {json.dumps(name)}') or source.line_of(json.dumps(name))
    return _Request(
        name,
        folder,
        text_of(value.get("method")).upper() or "GET",
        base,
        path,
        tuple((key, text) for key, text in params if key not in disabled),
        value,
        value.get("auth") or auth,
        tuple(_examples(item)),
        "prerequest" in scripts,
        line,
    )


def _split_url(raw: str) -> tuple[str, str, str]:
    """The base, the path with ``{parameters}`` and the query of an address with ``{{variables}}``."""
    address, _, query = raw.partition("?")
    found = re.match(r"((?:https?://)?(?:\{\{[^{}]+\}\}|[^/{}])+)(/.*)?$", address)
    base, path = (found[1], found[2] or "/") if found else ("", address)
    path = re.sub(r"/:([A-Za-z_][\w-]*)", r"/{\1}", path)
    path = re.sub(r"\{\{\s*([^{}]+?)\s*\}\}", lambda match: f"{{{template_name(match[1])}}}", path)
    return base, path.partition("#")[0], query.partition("#")[0]


def _examples(item: Mapping[str, Json]) -> Iterator[Json]:
    """The JSON bodies of the example responses with a status of success."""
    for each in map(members_of, items_of(item.get("response"))):
        code = each.get("code", 200)
        if isinstance(code, int) and not 200 <= code < 300:
            continue
        try:
            yield json.loads(text_of(each.get("body")))
        except (ValueError, RecursionError):
            continue


# -- tables ------------------------------------------------------------------------------------------


def _find_tables(
    requests: Sequence[_Request], base: str, *, live: bool
) -> tuple[list[_Found], list[Leftover]]:
    found: list[_Found] = []
    left = []
    for request in requests:
        table = _find_table(request, base, found, live=live)
        if isinstance(table, str):
            name = request.name or f"{request.method} {request.path}"
            left.append(Leftover(describe(name, 80), table, request.line))
        else:
            found.append(table)
    return found, left


def _find_table(request: _Request, base: str, others: Sequence[_Found], *, live: bool) -> _Found | str:
    """The table of a request, or why there is none."""
    if request.base != base:
        return f"{describe(request.base, 60)} is another address than {describe(base, 60)}"
    if request.method not in ("GET", "POST"):
        return f"{request.method} does not read"
    if re.search(r"[\s\\]|//|/\.\.?(/|$)|\{[^}]*\{", request.path):
        return "the path contains characters that a spec does not allow"
    if any(each.request.path == request.path and each.request.method == request.method for each in others):
        return "a table reads this path already"
    words = [each for each in request.path.split("/") if each and "{" not in each][-1:]
    shapes = [find_rows(shape_of_example(each), words) for each in request.examples]
    rows = next((each for each in shapes if isinstance(each, FoundRows)), None)
    if request.method == "POST" and not _READING_POST.search(request.path):
        return "POST writes, by its address"
    is_single = request.path.rstrip("/").endswith("}")
    if rows is None and (is_single or (shapes and not live)):
        reason = next((each for each in shapes if isinstance(each, str)), "it reads one object")
        if not live or not is_single:
            return f"{reason} (--live makes it a live table)" if is_single else reason
    single = rows is None and is_single
    base_name = f"{_name_of(request)}_by_id" if single else _name_of(request)
    name = unique_name(base_name, [each.name for each in others])
    return _Found(name, request, rows, find_key(rows.row, name) if rows is not None else None, single)


def _name_of(request: _Request) -> str:
    words = [each for each in request.path.split("/") if each and "{" not in each]
    words = [each for each in words if not re.fullmatch(r"v[0-9.]+|api|rest", each)]
    return snake_case("_".join(words[-2:])) if words else snake_case(request.name, "rows")


def _find_auths(requests: Sequence[_Request], values: PostmanValues) -> list[AuthOffer]:
    """The ways to authenticate, those of most requests first."""
    counts: Counter[str] = Counter()
    offers: dict[str, AuthOffer] = {}
    for request in requests:
        offer = auth_of(request.auth, request.value, values)
        if offer is not None:
            counts[offer.name] += 1
            offers.setdefault(offer.name, offer)
    return [offers[name] for name, _ in counts.most_common()]


class _Builder:
    """Builds tables; collects notes."""

    def __init__(self, found: Sequence[_Found], auths: Sequence[AuthOffer], values: PostmanValues) -> None:
        paths = [
            PathTable(each.name, each.request.path, each.rows.row if each.rows else Shape("object"), each.key)
            for each in found
            if not each.single
        ]
        self._values = values
        self._linked = link_parents(paths, values.options)
        self._sent = {str(each.settings.get("name", "")).lower() for each in auths}
        self.notes: list[ImportNote] = []

    def build(self, found: _Found) -> ImportedTable:
        request = found.request
        if found.single:
            return self._live_table(found)
        link = self._linked[found.name]
        for name in link.options:
            self._values.require(f"{{{name}}}")
        texts = {name: self._values.value(name, text) for name, text in request.params if name}
        params: dict[str, Json] = {
            name: as_number(text) for name, text in texts.items() if name.lower() not in self._sent
        }
        paging, remaining = split_paging(params)
        body, form = self._values.body(members_of(request.value.get("body")))
        if found.rows is None:
            self.notes.append(
                ImportNote(found.name, "no example response: its rows are found when it is read")
            )
        return ImportedTable(
            found.name,
            ImportedRequest(
                "POST" if request.method == "POST" else "GET",
                link.path,
                remaining,
                self._headers(request),
                body if request.method == "POST" else None,
                form if request.method == "POST" else None,
            ),
            description=describe(request.name),
            for_each=link.query,
            rows=found.rows.path or None if found.rows else None,
            key=(found.key,) if found.key is not None else (),
            columns=_columns(link),
            paging=paging,
            parents=link.parents,
            line=request.line,
        )

    def _live_table(self, found: _Found) -> ImportedTable:
        """A request by id: a query says which object."""
        path, filters = found.request.path, []
        for parameter in path_parameters(path):
            name = variable_name(path, parameter)
            name = f"requested_{name}" if name in self._values.options else name
            path = path.replace(f"{{{parameter}}}", f"{{{name}}}")
            filters.append(ImportedFilter(name, required=True))
        return ImportedTable(
            found.name,
            ImportedRequest(path=path, headers=self._headers(found.request)),
            description=describe(found.request.name),
            rows="$",
            paging=ImportedPaging("none"),
            live={"cache": "60 seconds"},
            filters=tuple(filters),
            line=found.request.line,
        )

    def _headers(self, request: _Request) -> dict[str, str]:
        headers = {}
        for each in map(members_of, items_of(request.value.get("header"))):
            name, text = text_of(each.get("key")), text_of(each.get("value"))
            lower = name.lower()
            is_sent = lower in CLIENT_HEADERS or lower in ("authorization", "cookie", *self._sent)
            if name and text and not is_sent and each.get("disabled") is not True and text != "*/*":
                headers[name] = self._values.value(name, text)
        return headers


def _columns(link: LinkedTable) -> tuple[ImportedColumn, ...]:
    return tuple(ImportedColumn(name, source=f"{{{each}}}") for name, each in link.columns.items())
