"""The whole import of a manifest: streams to tables, parents first; one origin and one authentication."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from unify.errors import FileError
from unify.importers.airbyte.context import StreamContext
from unify.importers.airbyte.jinja.durations import parse_iso_duration
from unify.importers.airbyte.known import components_digest, replace_known
from unify.importers.airbyte.manifest import AirbyteManifest, Component, NotImportable, read_manifest
from unify.importers.airbyte.options import ConfigOptions
from unify.importers.airbyte.partitions import ParentTable
from unify.importers.airbyte.stream_builder import BuiltStream, build_stream, table_path
from unify.importers.common.documents import (
    SourceText,
    items_of,
    line_of,
    members_of,
    parse_document,
    read_source,
)
from unify.importers.common.names import describe, snake_case, to_name, unique_name
from unify.importers.model import (
    AuthOffer,
    ImportedAPI,
    ImportedColumn,
    ImportedTable,
    ImportNote,
    ImportSettings,
    ImportSource,
    Json,
    Leftover,
)

_PLAIN_AUTHS = ("api_key", "basic", "bearer")  # that a table can have for itself
_ELV2 = "Elastic License 2.0"


def import_airbyte(sources: Sequence[SourceText], settings: ImportSettings) -> ImportedAPI:
    """Read a manifest. A metadata.yaml beside it says its name, version and licence."""
    source = sources[0]
    digest = components_digest(source.folder)
    manifest = read_manifest(source, lambda value: replace_known(value, digest))
    if not manifest.streams and not manifest.dynamic:
        raise FileError(f"{source.path}: the manifest has no streams")
    importer = _Importer(manifest, settings)
    importer.read()
    about = _metadata(source)
    base_url = importer.choose_origin()
    auths = importer.choose_auth(base_url)
    origins = importer.other_origins(base_url)
    tables = importer.finished_tables(base_url)
    name = (
        settings.name
        or about.name.removeprefix("source-")
        or source.path.replace("\\", "/").split("/")[-2:][0]
    )
    return ImportedAPI(
        snake_case(re.sub(r"\.ya?ml$", "", name.removeprefix("source-")), "api"),
        base_url,
        about,
        description=describe(manifest.description),
        options=importer.options.used(),
        choices=tuple(importer.options.known_names()),
        auths=tuple(auths),
        credential_origins=origins,
        requests_per_second=_rate(manifest.budget),
        tables=tuple(tables),
        left=tuple(importer.left),
        notes=(*importer.option_notes(), *importer.notes),
    )


class _Importer:
    """Reads the streams of a manifest. Parents are read when a child asks for them."""

    def __init__(self, manifest: AirbyteManifest, settings: ImportSettings) -> None:
        self._manifest = manifest
        self.options = ConfigOptions(manifest.spec, settings.options)
        self.built: dict[str, BuiltStream] = {}
        self.left: list[Leftover] = []
        self.notes: list[ImportNote] = []
        self._failed: dict[str, NotImportable] = {}
        self._names: dict[str, str] = {}
        self._active: list[str] = []
        self._added: dict[str, Component] = {}
        self._streams = {str(each.get("name", "")): each for each in manifest.streams}

    def read(self) -> None:
        for each in self._manifest.streams:
            name = str(each.get("name") or "stream")
            try:
                self._build(name, each)
            except NotImportable as error:
                self.left.append(Leftover(name, error.reason, error.line or line_of(each)))
        for each in self._manifest.dynamic:
            name = str(each.get("name") or "dynamic streams")
            self.left.append(
                Leftover(name, "its tables are found when the source is connected", line_of(each))
            )

    def _build(self, name: str, stream: Component) -> BuiltStream:
        """The table of a stream, made once. Raises NotImportable, the same each time."""
        if name in self.built:
            return self.built[name]
        if name in self._failed:
            raise self._failed[name]
        if name in self._active:
            raise NotImportable("is a parent of itself", stream)
        self._names.setdefault(name, unique_name(to_name(name), self._names.values()))
        ctx = StreamContext(self._names[name], self.options, [])
        self._active.append(name)
        try:
            built = build_stream(stream, self._names[name], ctx, self._parent)
            table_path(built.address)
        except NotImportable as error:
            self._failed[name] = error
            raise
        finally:
            self._active.remove(name)
        self.built[name] = built
        self.notes += ctx.notes
        return built

    def _parent(self, stream: Component, config: Component) -> ParentTable:
        """The table of a parent stream: the stream of this name, or a table made for its children."""
        name = str(stream.get("name") or "")
        own = self._streams.get(name)
        if own is None:
            name = name or "parent"
            self._added.setdefault(name, stream)
            own = self._added[name]
        elif _retriever_of(own) != _retriever_of(stream):
            self.notes.append(
                ImportNote(self._names.get(name, name), "a child defines this parent in another way")
            )
        try:
            built = self._build(name, own)
        except NotImportable as error:
            raise NotImportable(f"its parent {name} is not imported: {error.reason}", config) from error
        return ParentTable(built.table.name, built.variables)

    # -- the whole API -----------------------------------------------------------------------------------

    def choose_origin(self) -> str:
        """The commonest origin. Streams of others are kept, unless an option sets their origin."""
        origins = Counter(table_path(each.address)[0] for each in self.built.values())
        if not origins:
            return "https://api.example"
        base = origins.most_common(1)[0][0]
        for name, each in list(self.built.items()):
            origin = table_path(each.address)[0]
            if origin != base and "{" in origin + base:
                self._leave(name, f"{origin} is another origin than {base}")
        return base

    def other_origins(self, base_url: str) -> tuple[str, ...]:
        """The origins of streams that are not at the commonest one."""
        origins = (table_path(each.address)[0] for each in self.built.values())
        others = tuple(dict.fromkeys(origin for origin in origins if origin != base_url))
        if others:
            self.notes.append(ImportNote("", f"credentials are also sent to {', '.join(others)}"))
        return others

    def choose_auth(self, base_url: str) -> list[AuthOffer]:
        """The commonest authentication; streams without one keep it, others have their own."""
        counts = Counter(each.auth_signature for each in self.built.values() if each.auths)
        if not counts:
            return []
        chosen = counts.most_common(1)[0][0]
        for name, each in list(self.built.items()):
            if not each.auths or each.auth_signature == chosen:
                continue
            if each.auths[0].settings["type"] in _PLAIN_AUTHS:
                each.table = replace(each.table, auth=each.auths[0].settings)
            else:
                self._leave(name, f"another authentication ({each.auths[0].name}) than most streams")
        offers = next(each.auths for each in self.built.values() if each.auth_signature == chosen)
        return [self._with_address(_on_base(each, base_url)) for each in offers]

    def _with_address(self, offer: AuthOffer) -> AuthOffer:
        """A log-in whose address is an option: a spec needs it as it is, so it is the default."""
        request = str(offer.settings.get("request", ""))
        found = re.fullmatch(r"(\w+) \{(\w+)\}(.*)", request)
        if found is None:
            return offer
        default = self.options.default_of(found[2])
        if not default:
            return offer
        self.notes.append(ImportNote("", f"the log-in is at {default}, the default of {found[2]}"))
        return AuthOffer(
            offer.name, {**offer.settings, "request": f"{found[1]} {default.rstrip('/')}{found[3]}"}
        )

    def _leave(self, name: str, reason: str) -> None:
        """Leave a stream, and those that have it as a parent."""
        built = self.built.pop(name, None)
        if built is None:
            return
        if name in self._streams:
            self.left.append(Leftover(name, reason, built.line))
        self.notes = [each for each in self.notes if each.subject != built.table.name]
        for other, each in list(self.built.items()):
            if built.table.name in each.table.parents:
                self._leave(other, f"its parent {name} is not imported: {reason}")

    def finished_tables(self, base_url: str) -> list[ImportedTable]:
        """The tables in the order of the manifest, parents before children, with columns for children."""
        stored: dict[str, dict[str, str]] = {}
        for each in self.built.values():
            for parent, columns in each.stored.items():
                stored.setdefault(parent, {}).update(columns)
        used = _with_parents(self.built, [name for name in self._streams if name in self.built])
        tables = []
        for name, each in self.built.items():
            if name in self._streams or each.table.name in used:
                tables.append(self._finished(name, each, stored.get(each.table.name, {}), base_url))
        return tables

    def _finished(
        self, name: str, built: BuiltStream, stored: Mapping[str, str], base_url: str
    ) -> ImportedTable:
        table = built.table
        origin, path = table_path(built.address)
        path = path if origin == base_url else f"{origin}{path}"
        known = {each.name.lower() for each in table.columns if each.source}
        added = [
            ImportedColumn(column, source=f"{{{variable}}}")
            for column, variable in stored.items()
            if column.lower() not in known
        ]
        kept = [each for each in table.columns if each.name not in stored or each.source]
        return replace(
            table,
            request=replace(table.request, path=path),
            columns=(*added, *kept),
            added=name not in self._streams,
        )

    def option_notes(self) -> list[ImportNote]:
        """What was assumed of options in conditions: the user can choose otherwise."""
        return [
            ImportNote("", f"{name} is taken as {text}; --option {name}=VALUE imports for another value")
            for name, text in sorted(self.options.assumable().items())
            if not self.options.chosen_value(name)
        ]


def _on_base(offer: AuthOffer, base_url: str) -> AuthOffer:
    """The log-in of a session as a path, if it is on the origin of the API."""
    request = offer.settings.get("request")
    if not isinstance(request, str):
        return offer
    method, _, address = request.partition(" ")
    path = address.removeprefix(base_url)
    return (
        AuthOffer(offer.name, {**offer.settings, "request": f"{method} {path}"}) if path != address else offer
    )


def _with_parents(built: Mapping[str, BuiltStream], names: Sequence[str]) -> set[str]:
    by_table = {each.table.name: each for each in built.values()}
    found: set[str] = set()
    waiting = [built[name].table.name for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += by_table[name].table.parents if name in by_table else ()
    return found


def _retriever_of(stream: Component) -> Json:
    """What tells two definitions of a stream apart: its requests and its rows."""
    retriever = members_of(stream.get("retriever"))
    requester = members_of(retriever.get("requester"))
    selector = members_of(members_of(retriever.get("record_selector")).get("extractor"))
    return [requester.get("path"), requester.get("url_base"), selector.get("field_path")]


def _rate(budget: Component) -> float | None:
    """The requests per second of the first limit."""
    for policy in map(members_of, items_of(budget.get("policies"))):
        for rate in map(members_of, items_of(policy.get("rates"))):
            seconds = parse_iso_duration(str(rate.get("interval", "")))
            limit = rate.get("limit")
            if seconds and isinstance(limit, int) and limit > 0:
                return round(max(limit / seconds, 0.001), 3)
    return None


def _metadata(source: SourceText) -> ImportSource:
    """Name, version and licence of metadata.yaml beside the manifest."""
    path = source.folder / "metadata.yaml" if source.folder is not None else Path("metadata.yaml")
    if source.folder is None or not path.is_file():
        return ImportSource("airbyte")
    try:
        data = members_of(members_of(parse_document(read_source(str(path)))).get("data"))
    except FileError:
        return ImportSource("airbyte")
    name = str(data.get("dockerRepository", "")).rpartition("/")[2]
    licence = str(data.get("license", ""))
    licence = _ELV2 if licence.lower() == "elv2" else licence
    return ImportSource(
        "airbyte", describe(name, 60), describe(str(data.get("dockerImageTag", "")), 30), licence
    )
