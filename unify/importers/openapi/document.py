"""An OpenAPI document: references, servers and operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from unify.errors import FileError
from unify.importers.common.documents import (
    SourceText,
    items_of,
    line_of,
    members_of,
    parse_document,
    read_source,
    text_of,
)
from unify.importers.common.names import option_name
from unify.importers.model import ImportedOption

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
_MAX_REFERENCES = 30  # references that lead to references


class Parameter(Struct, frozen=True):
    """A parameter of an operation. ``place`` is path, query, header, cookie, body or formData."""

    name: str
    place: str
    required: bool = False
    schema: Mapping[str, Json] = {}
    description: str = ""

    @property
    def default(self) -> Json:
        """The default, the constant or the first of the enumerated values; None: none."""
        if "default" in self.schema:
            return self.schema["default"]
        if "const" in self.schema:
            return self.schema["const"]
        return next(iter(items_of(self.schema.get("enum"))), None)


class ResponseModel(Struct, frozen=True):
    """A JSON response: its schema and an example of it, as far as the document has them."""

    schema: Json
    example: Json


class GetOperation(Struct, frozen=True):
    """A GET of a path, with the parameters of path and operation."""

    path: str
    value: Mapping[str, Json]
    parameters: tuple[Parameter, ...]
    line: int

    def in_place(self, place: str) -> dict[str, Parameter]:
        return {each.name: each for each in self.parameters if each.place == place}


class OpenAPIDocument:
    """A parsed document. References to other files are read from its folder."""

    def __init__(self, source: SourceText) -> None:
        root = parse_document(source)
        if not isinstance(root, Mapping) or not isinstance(root.get("paths"), Mapping):
            raise FileError(f"{source.path}: no paths: it is no OpenAPI document")
        self.source = source
        self.root: Mapping[str, Json] = root
        self.is_swagger = "swagger" in root
        self._files: dict[Path, Json] = {}

    def resolve(self, value: Json) -> Mapping[str, Json]:
        """The mapping that ``value`` is or refers to; empty if a reference leads nowhere."""
        for _ in range(_MAX_REFERENCES):
            mapping = members_of(value)
            reference = mapping.get("$ref")
            if not isinstance(reference, str):
                return mapping
            value = self._find(reference)
        return {}

    def _find(self, reference: str) -> Json:
        file, _, pointer = reference.partition("#")
        node = self._other_file(file) if file else self.root
        for step in pointer.strip("/").split("/") if pointer.strip("/") else ():
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list):
                node = node[int(name)] if name.isdecimal() and int(name) < len(node) else None
            else:
                node = members_of(node).get(name)
        return node

    def _other_file(self, name: str) -> Json:
        """A document beside this one; files outside its folder are not read."""
        folder = self.source.folder
        if folder is None or "://" in name:
            return None
        path = (folder / name).resolve()
        if not path.is_relative_to(folder) or path.suffix not in (".yaml", ".yml", ".json"):
            return None
        if path not in self._files:
            self._files[path] = parse_document(read_source(str(path))) if path.is_file() else None
        return self._files[path]

    def operations(self) -> Iterator[GetOperation]:
        """The GET operations, in the order of the document."""
        for path, item in members_of(self.root.get("paths")).items():
            resolved = self.resolve(item)
            value = resolved.get("get")
            if isinstance(value, Mapping) and path.startswith("/"):
                own = [*items_of(resolved.get("parameters")), *items_of(value.get("parameters"))]
                parameters = {(each.name, each.place): each for each in map(self._parameter, own)}
                line = line_of(value) or self.source.line_of(f'"{path}"')
                yield GetOperation(path, value, tuple(parameters.values()), line)

    def _parameter(self, value: Json) -> Parameter:
        found = self.resolve(value)
        schema = self.resolve(found.get("schema")) if "schema" in found else found
        name, place = text_of(found.get("name")), text_of(found.get("in"))
        description = text_of(found.get("description"))
        return Parameter(name, place, found.get("required") is True, schema, description)

    def response(self, operation: GetOperation) -> ResponseModel | str:
        """The JSON response of an operation; or a text that says why there is none."""
        responses = members_of(operation.value.get("responses"))
        status = next((each for each in ("200", "201", "2XX", "2xx", "default") if each in responses), None)
        if status is None:
            return "no response with status 200 is described"
        response = self.resolve(responses[status])
        if self.is_swagger:
            example = next(iter(members_of(response.get("examples")).values()), None)
            return ResponseModel(response.get("schema"), example)
        content = members_of(response.get("content"))
        for media_type, each in content.items():
            if "json" in media_type or media_type == "*/*":
                media = self.resolve(each)
                named = next(iter(members_of(media.get("examples")).values()), None)
                example = media.get("example", self.resolve(named).get("value"))
                return ResponseModel(media.get("schema"), example)
        return f"the response is {next(iter(content))}, not JSON" if content else "the response has no schema"


def base_url_of(document: OpenAPIDocument) -> tuple[str, list[ImportedOption]]:
    """The address of the API, and the options in it."""
    if document.is_swagger:
        return _swagger_url(document.root)
    server = members_of(next(iter(items_of(document.root.get("servers"))), None))
    url = text_of(server.get("url"))
    options = []
    for name, value in members_of(server.get("variables")).items():
        variable = members_of(value)
        url = url.replace(f"{{{name}}}", f"{{{option_name(name)}}}")
        default = str(variable["default"]) if variable.get("default") not in (None, "") else None
        description = text_of(variable.get("description"))
        options.append(ImportedOption(option_name(name), description, default, required=default is None))
    if urlsplit(url).scheme not in ("http", "https"):
        return _without_host(url, options)
    return url.rstrip("/"), options


def _swagger_url(root: Mapping[str, Json]) -> tuple[str, list[ImportedOption]]:
    host, base = text_of(root.get("host")), text_of(root.get("basePath")).rstrip("/")
    schemes = items_of(root.get("schemes")) or ["https"]
    if not host:
        return _without_host(base, [])
    return f"{'https' if 'https' in schemes else schemes[0]}://{host}{base}", []


def _without_host(url: str, options: list[ImportedOption]) -> tuple[str, list[ImportedOption]]:
    """An address without scheme or host: the connection supplies it."""
    if url.startswith("//"):
        return f"https:{url}".rstrip("/"), options
    text = f"Address of the API, such as https://HOST{url}" if url.startswith("/") else "Address of the API"
    return "{base_url}", [*options, ImportedOption("base_url", text, required=True)]
