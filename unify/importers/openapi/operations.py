"""Tables from the operations of OpenAPI documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from unify.importers.common.documents import SourceText, members_of, text_of
from unify.importers.common.names import describe, literal_value, option_name, snake_case, unique_name
from unify.importers.common.path_parents import (
    LinkedTable,
    PathTable,
    link_parents,
    path_parameters,
    variable_name,
)
from unify.importers.common.secrets import is_secret_name
from unify.importers.common.shapes import FoundRows, Shape, find_key, find_rows, shape_of_example
from unify.importers.model import (
    ImportedAPI,
    ImportedColumn,
    ImportedFilter,
    ImportedOption,
    ImportedPaging,
    ImportedRequest,
    ImportedTable,
    ImportNote,
    ImportSettings,
    ImportSource,
    Leftover,
)
from unify.importers.openapi.document import GetOperation, OpenAPIDocument, base_url_of
from unify.importers.openapi.paging import find_paging
from unify.importers.openapi.schemas import descriptions_of, shape_of_schema
from unify.importers.openapi.security import find_auths

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
_MAX_DESCRIBED = 40  # columns of a table with descriptions


class _FoundTable(Struct, frozen=True):
    """An operation that lists rows, or of one object (``rows`` None)."""

    name: str
    operation: GetOperation
    schema: Json
    shape: Shape
    rows: FoundRows | None
    key: str | None


def import_openapi(sources: Sequence[SourceText], settings: ImportSettings) -> ImportedAPI:
    """Read an OpenAPI document; the other files are those it refers to. Raises FileError."""
    document = OpenAPIDocument(sources[0])
    base_url, base_options = base_url_of(document)
    auths, auth_options = find_auths(document, base_url)
    found, left = _find_tables(document, live=settings.live)
    options = {each.name: each for each in (*base_options, *auth_options)}
    paths = [
        PathTable(each.name, each.operation.path, each.rows.row, each.key) for each in found if each.rows
    ]
    linked = link_parents(paths, _reserved(found, options))
    builder = _TableBuilder(document, linked, options)
    tables = [builder.build(each) for each in found]
    info = members_of(document.root.get("info"))
    title = text_of(info.get("title"))
    name = re.sub(r"\b(the|rest|api|v[0-9.]+|public|openapi|specification|service)\b", " ", title.lower())
    return ImportedAPI(
        snake_case(name.strip() or title, "api"),
        base_url,
        ImportSource(
            "openapi", describe(title, 80), describe(str(info.get("version", "")), 30), _licence(info)
        ),
        description=describe(title or info.get("description")),
        documentation=_documentation(document),
        options=tuple(options.values()),
        auths=tuple(auths),
        tables=tuple(_in_order(tables)),
        left=tuple(left),
        notes=tuple(builder.notes),
    )


def _find_tables(document: OpenAPIDocument, *, live: bool) -> tuple[list[_FoundTable], list[Leftover]]:
    found: list[_FoundTable] = []
    left = []
    for operation in document.operations():
        table = _read_operation(document, operation, [each.name for each in found], live=live)
        if isinstance(table, str):
            left.append(Leftover(f"GET {operation.path}", table, operation.line))
        else:
            found.append(table)
    return found, left


def _read_operation(
    document: OpenAPIDocument, operation: GetOperation, names: Sequence[str], *, live: bool
) -> _FoundTable | str:
    """The table of an operation, or why there is none."""
    response = document.response(operation)
    problem = response if isinstance(response, str) else _unusable(operation)
    if isinstance(response, str) or problem is not None:
        return problem or ""
    schema = response.schema
    shape, words = shape_of_schema(document, schema), _path_words(operation.path)
    rows = find_rows(shape, words)
    if isinstance(rows, str) and response.example is not None:
        example = shape_of_example(response.example)
        if isinstance(by_example := find_rows(example, words), FoundRows):
            shape, rows = example, by_example
    if schema is None and isinstance(rows, str):
        return "the response has no schema"
    base_name = _table_name(operation.path)
    name = unique_name(base_name, names)
    if isinstance(rows, FoundRows):
        return _FoundTable(name, operation, schema, shape, rows, find_key(rows.row, name))
    is_object = shape.kind == "object" and path_parameters(operation.path)
    if live and is_object and operation.path.endswith("}"):
        return _FoundTable(unique_name(f"{base_name}_by_id", names), operation, schema, shape, None, None)
    hint = " (--live makes it a live table)" if is_object and operation.path.endswith("}") else ""
    return f"{rows}{hint}"


def _unusable(operation: GetOperation) -> str | None:
    if operation.value.get("deprecated") is True:
        return "it is deprecated"
    if re.search(r"[\s\\#]|/\.\.?(/|$)|\{[^}]*\{", operation.path):
        return "the path contains characters that a spec does not allow"
    if any(each.place in ("body", "formData") and each.required for each in operation.parameters):
        return "a GET request with a body"
    return None


def _path_words(path: str) -> list[str]:
    """The last words of a path, as names of members: ``/user-lists`` is user_lists and userLists."""
    last = [each for each in path.split("/") if each and not each.startswith("{")][-1:]
    word = snake_case(last[0]) if last else ""
    head, *rest = word.split("_") if word else [""]
    return [word, head + "".join(each.title() for each in rest), *last]


def _table_name(path: str) -> str:
    """The words of a path without versions and parents that a parameter follows."""
    segments = [each for each in path.strip("/").split("/") if each]
    segments = [re.sub(r"\.(json|xml)$", "", each) for each in segments]
    words = [
        each for each in segments if not each.startswith("{") and not re.fullmatch(r"v[0-9.]+|api|rest", each)
    ]
    if len(words) > 1 and len(segments) > 2:
        return snake_case("_".join(words[-2:]))
    return snake_case("_".join(words[-2:])) if words else "rows"


class _TableBuilder:
    """Builds tables; collects options and notes."""

    def __init__(
        self, document: OpenAPIDocument, linked: Mapping[str, LinkedTable], options: dict[str, ImportedOption]
    ) -> None:
        self._document = document
        self._linked = linked
        self._options = options
        self.notes: list[ImportNote] = []

    def build(self, found: _FoundTable) -> ImportedTable:
        operation = found.operation
        if found.rows is None:
            return self._live_table(found)
        link = self._linked[found.name]
        self._add_path_options(link, operation)
        paging, sent = find_paging(self._document, operation, found.shape)
        headers = self._headers(found)
        request = ImportedRequest(
            path=_safe_path(link.path), params=self._params(found, sent), headers=headers
        )
        columns = [ImportedColumn(name, source=f"{{{variable}}}") for name, variable in link.columns.items()]
        return ImportedTable(
            found.name,
            request,
            description=_summary(operation),
            for_each=link.query,
            rows=found.rows.path or None,
            key=(found.key,) if found.key is not None else (),
            columns=(*columns, *self._described(found, link)),
            paging=paging,
            parents=link.parents,
            line=operation.line,
        )

    def _live_table(self, found: _FoundTable) -> ImportedTable:
        """``GET /x/{id}``: a query says which object."""
        operation = found.operation
        filters, path = [], operation.path
        for parameter in path_parameters(operation.path):
            name = variable_name(operation.path, parameter)
            name = f"requested_{name}" if name in self._options else name
            path = path.replace(f"{{{parameter}}}", f"{{{name}}}")
            filters.append(ImportedFilter(name, required=True))
        request = ImportedRequest(path=_safe_path(path), params=self._params(found, frozenset()))
        return ImportedTable(
            found.name,
            request,
            description=_summary(operation),
            rows="$",
            paging=ImportedPaging("none"),
            live={"cache": "60 seconds"},
            filters=tuple(filters),
            line=operation.line,
        )

    def _add_path_options(self, link: LinkedTable, operation: GetOperation) -> None:
        parameters = operation.in_place("path")
        for name, parameter in link.options.items():
            if name not in self._options:
                known = parameters.get(parameter)
                text = describe(known.description) if known is not None else ""
                self._options[name] = ImportedOption(name, text, required=True)

    def _params(self, found: _FoundTable, sent: frozenset[str]) -> dict[str, Json]:
        """The required parameters: their default, the first allowed value, or an option."""
        params: dict[str, Json] = {}
        for name, parameter in found.operation.in_place("query").items():
            if not parameter.required or name in sent or self._is_auth(name):
                continue
            default = parameter.default
            if isinstance(default, str | int | float | bool) and not is_secret_name(name):
                params[name] = literal_value(default)
                text = f"{name} is required; {default} is sent"
                self.notes.append(ImportNote(found.name, text))
            else:
                params[name] = self._option(name, parameter.description)
        return params

    def _headers(self, found: _FoundTable) -> dict[str, str]:
        headers = {}
        for name, parameter in found.operation.in_place("header").items():
            if parameter.required and name.lower() not in ("authorization", "accept", "content-type"):
                default = parameter.default
                is_known = isinstance(default, str | int) and not is_secret_name(name)
                headers[name] = str(literal_value(str(default))) if is_known else self._option(name, "")
        return {name: value for name, value in headers.items() if not self._is_auth(name)}

    def _option(self, name: str, description: str) -> str:
        option = option_name(name)
        if option not in self._options:
            text = describe(description)
            self._options[option] = ImportedOption(option, text, secret=is_secret_name(name), required=True)
        return f"{{{option}}}"

    def _is_auth(self, name: str) -> bool:
        option = self._options.get(option_name(name))
        return option is not None and option.secret

    def _described(self, found: _FoundTable, link: LinkedTable) -> list[ImportedColumn]:
        """The descriptions of the columns, as far as the document has some."""
        assert found.rows is not None
        texts = descriptions_of(self._document, found.schema, found.rows.path)
        names = [
            name for name, each in found.rows.row.members.items() if each.kind == "scalar" and name in texts
        ]
        columns = [ImportedColumn(name, description=describe(texts[name])) for name in names[:_MAX_DESCRIBED]]
        unique = {each.name.lower(): each for each in reversed(columns) if each.name not in link.columns}
        return [each for each in unique.values() if each.description][::-1]


def _safe_path(path: str) -> str:
    return path.replace(" ", "%20")


def _reserved(found: Sequence[_FoundTable], options: Mapping[str, ImportedOption]) -> set[str]:
    """Names of options that the parameters of tables may need."""
    names = [name for each in found for name in each.operation.in_place("query")]
    return {*options, *map(option_name, names)}


def _summary(operation: GetOperation) -> str:
    value = operation.value
    return describe(value.get("summary")) or describe(value.get("description"))


def _in_order(tables: Sequence[ImportedTable]) -> list[ImportedTable]:
    """Parents before their children."""
    by_name = {table.name: table for table in tables}
    ordered: dict[str, ImportedTable] = {}

    def add(table: ImportedTable) -> None:
        for parent in table.parents:
            if parent not in ordered:
                add(by_name[parent])
        ordered.setdefault(table.name, table)

    for table in tables:
        add(table)
    return list(ordered.values())


def _licence(info: Mapping[str, Json]) -> str:
    licence = members_of(info.get("license"))
    return describe(licence.get("identifier") or licence.get("name"), 60)


def _documentation(document: OpenAPIDocument) -> str:
    url = text_of(members_of(document.root.get("externalDocs")).get("url"))
    return url if re.fullmatch(r"https?://[^\s{}\\#@]+", url) else ""
