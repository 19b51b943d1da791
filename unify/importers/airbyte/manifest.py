"""Reads a manifest: references and parameters are resolved, so that every component stands by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from unify.errors import FileError
from unify.importers.common.documents import (
    PositionedMapping,
    SourceText,
    items_of,
    line_of,
    members_of,
    parse_document,
    text_of,
)
from unify.importers.model import Json

Component = Mapping[str, Json]
_MAX_DEPTH = 80
_MAX_MAPPINGS = 2_000_000
# The type of a component without ``type``, by the field that holds it.
_DEFAULT_TYPES = {
    "retriever": "SimpleRetriever",
    "requester": "HttpRequester",
    "record_selector": "RecordSelector",
    "extractor": "DpathExtractor",
    "record_filter": "RecordFilter",
    "paginator": "DefaultPaginator",
    "pagination_strategy": "CursorPagination",
    "page_size_option": "RequestOption",
    "start_time_option": "RequestOption",
    "end_time_option": "RequestOption",
    "request_option": "RequestOption",
    "error_handler": "DefaultErrorHandler",
    "partition_router": "SubstreamPartitionRouter",
    "parent_stream_configs": "ParentStreamConfig",
    "stream": "DeclarativeStream",
    "streams": "DeclarativeStream",
    "incremental_sync": "DatetimeBasedCursor",
    "start_datetime": "MinMaxDatetime",
    "end_datetime": "MinMaxDatetime",
    "schema_loader": "InlineSchemaLoader",
    "response_filters": "HttpResponseFilter",
    "login_requester": "HttpRequester",
    "fields": "AddedFieldDefinition",
}


class NotImportable(Exception):
    """A component that the spec language cannot express; ``line`` is that of the component."""

    def __init__(self, reason: str, component: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line_of(component)


class AirbyteManifest(Struct, frozen=True):
    """A manifest. ``spec`` is the specification of its connection; ``budget`` the rate limits."""

    version: str
    description: str
    streams: tuple[Component, ...]
    dynamic: tuple[Component, ...]
    spec: Component
    budget: Component


def read_manifest(source: SourceText, rewrite: Callable[[Json], Json]) -> AirbyteManifest:
    """Read a manifest; ``rewrite`` replaces known components in Python.

    Raises FileError if it is none, or if a reference leads nowhere or in a circle.
    """
    root = parse_document(source)
    if not isinstance(root, Mapping):
        raise FileError(f"{source.path}: is no manifest")
    resolver = _ReferenceResolver(root, source.path)
    streams = [
        _with_parameters(rewrite(resolver.resolve(each)), "streams", {}, 0)
        for each in items_of(root.get("streams"))
    ]
    dynamic = [resolver.resolve(each) for each in items_of(root.get("dynamic_streams"))]
    return AirbyteManifest(
        version=str(root.get("version", "")),
        description=text_of(root.get("description")),
        streams=tuple(_flat_streams(streams)),
        dynamic=tuple(members_of(each) for each in dynamic),
        spec=members_of(resolver.resolve(root.get("spec"))),
        budget=members_of(resolver.resolve(root.get("api_budget"))),
    )


def _flat_streams(streams: list[Json]) -> Iterator[Component]:
    """The streams, those of conditions too, and of a pair of streams the one that reads everything."""
    for each in map(members_of, streams):
        match each.get("type"):
            case "ConditionalStreams":
                yield from _flat_streams(items_of(each.get("streams")))
            case "StateDelegatingStream":
                inner = dict(members_of(each.get("full_refresh_stream")))
                found = PositionedMapping({**inner, "name": each.get("name", inner.get("name"))})
                found.line = line_of(each)
                yield found
            case _:
                yield each


class _ReferenceResolver:
    """Replaces ``{$ref: "#/definitions/x"}`` by what it refers to; its other keys come on top."""

    def __init__(self, root: Component, path: str) -> None:
        self._root = root
        self._path = path
        self._count = 0

    def resolve(self, value: Json, active: tuple[str, ...] = (), depth: int = 0) -> Json:
        if depth > _MAX_DEPTH:
            raise FileError(f"{self._path}:{line_of(value)}: nested more than {_MAX_DEPTH} levels deep")
        if isinstance(value, list):
            return [self.resolve(item, active, depth + 1) for item in value]
        if isinstance(value, str) and value.startswith("#/"):
            return self._follow(value, active, depth, value)
        if not isinstance(value, Mapping):
            return value
        self._count += 1
        if self._count > _MAX_MAPPINGS:
            raise FileError(f"{self._path}: references make more than {_MAX_MAPPINGS:,} mappings")
        return self._mapping(value, active, depth)

    def _mapping(self, value: Component, active: tuple[str, ...], depth: int) -> PositionedMapping:
        found = PositionedMapping()
        found.line = line_of(value)
        reference = value.get("$ref")
        if isinstance(reference, str):
            base = self._follow(reference, active, depth, value)
            if isinstance(base, Mapping):
                found.update(base)
                found.line = found.line or line_of(base)
        for key, item in value.items():
            if key != "$ref":
                found[key] = self.resolve(item, active, depth + 1)
        return found

    def _follow(self, reference: str, active: tuple[str, ...], depth: int, place: Json) -> Json:
        if reference in active:
            raise FileError(f"{self._path}:{line_of(place)}: {reference} refers to itself")
        found = self._find(reference, place)
        return self.resolve(found, (*active, reference), depth + 1)

    def _find(self, reference: str, place: Json) -> Json:
        """The node of a reference. A name with slashes in it may take several steps."""
        node: Json = self._root
        steps = reference.removeprefix("#").strip("/").split("/")
        hops = 0
        while steps:
            taken = next((n for n in range(1, len(steps) + 1) if "/".join(steps[:n]) in members_of(node)), 0)
            inner = members_of(node).get("$ref")
            if isinstance(node, list) and steps[0].isdecimal() and int(steps[0]) < len(node):
                node, steps = node[int(steps[0])], steps[1:]
            elif taken:
                node, steps = members_of(node)["/".join(steps[:taken])], steps[taken:]
            elif isinstance(inner, str) and hops < _MAX_DEPTH:
                node, hops = self._find(inner, place), hops + 1
            else:
                raise FileError(f"{self._path}:{line_of(place)}: the reference {reference} leads nowhere")
        return node


def _with_parameters(value: Json, field: str, parameters: Component, depth: int) -> Json:
    """Hand ``$parameters`` down: they become fields that a component does not have, and ``parameters``."""
    if isinstance(value, list):
        return [_with_parameters(item, field, parameters, depth + 1) for item in value]
    if not isinstance(value, Mapping):
        return value
    type_ = value.get("type")
    is_custom = "class_name" in value
    if not isinstance(type_, str) and not is_custom:
        type_ = _DEFAULT_TYPES.get(field)
    if type_ is None or not (is_custom or str(type_)[:1].isupper()):
        return value  # a mapping of parameters or a schema, no component
    own = {**parameters, **members_of(value.get("$parameters"))}
    found = PositionedMapping({key: item for key, item in value.items() if key != "$parameters"})
    found.line = line_of(value)
    found["type"] = type_
    for key, item in own.items():
        if not found.get(key):
            found[key] = item
    for key, item in list(found.items()):
        if key in own and item == own[key]:
            continue
        if isinstance(item, Mapping | list):
            inherited = {name: each for name, each in own.items() if name != key}
            found[key] = _with_parameters(item, key, inherited, depth + 1)
    if own:
        found["$parameters"] = own
    return found


def parameters_of(component: Json) -> Component:
    """The ``$parameters`` that hold in a component."""
    return members_of(members_of(component).get("$parameters"))


def type_of(component: Json) -> str:
    """The type of a component; of a custom one ``Custom`` and its class."""
    members = members_of(component)
    if "class_name" in members:
        return f"Custom {text_of(members.get('class_name')).rpartition('.')[2]}"
    return text_of(members.get("type"))
