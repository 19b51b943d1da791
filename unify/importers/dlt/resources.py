"""Tables from the resources of dlt configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from unify.errors import FileError
from unify.importers.common.documents import (
    SourceText,
    items_of,
    line_of,
    members_of,
    parse_document,
    text_of,
)
from unify.importers.common.names import join_path, option_name, snake_case, sql_name, unique_name
from unify.importers.dlt.client import (
    ClientReader,
    hide_secrets,
    paging_of,
    path_of_selector,
    read_configurations,
    template,
)
from unify.importers.dlt.literals import PythonLiterals, TemplateText, Value, find_code
from unify.importers.model import (
    ImportedAPI,
    ImportedColumn,
    ImportedErrorRule,
    ImportedIncremental,
    ImportedOption,
    ImportedRequest,
    ImportedTable,
    ImportNote,
    ImportSettings,
    ImportSource,
    Json,
    Leftover,
)
from unify.importers.recorded.requests import api_name

_RESOURCE = re.compile(r"\{resources\.([A-Za-z_]\w*)\.([A-Za-z_][\w.]*)\}")
_CURSOR = re.compile(r"\{incremental\.(start_value|last_value|end_value|initial_value)\}")


def import_dlt(sources: Sequence[SourceText], settings: ImportSettings) -> ImportedAPI:
    """Read a dlt configuration. Raises FileError if a file has none."""
    source = sources[0]
    options: dict[str, ImportedOption] = {}
    if source.text.lstrip()[:1] == "{" or source.path.endswith((".json", ".yaml", ".yml")):
        configurations: list[Mapping[str, Value]] = [members_of(parse_document(source))]
    else:
        literals = PythonLiterals(source)
        configurations = read_configurations(literals, source.path)
        options = literals.options
    configuration = configurations[0]
    client = members_of(configuration.get("client"))
    base_url = template(client.get("base_url"))
    if not isinstance(base_url, str) or not base_url:
        raise FileError(
            f"{source.path}: client.base_url is no text: {find_code(client.get('base_url')) or 'missing'}"
        )
    auth = ClientReader(options).auth(client.get("auth"))
    reader = _ResourceReader(configuration, options)
    reader.read()
    notes = reader.notes
    if isinstance(auth, str):
        notes.append(ImportNote("", f"{auth}: add auth to the spec"))
    if len(configurations) > 1:
        notes.append(ImportNote("", f"{len(configurations)} configurations in the file; the first is read"))
    headers = {
        name: str(value) for name, value in hide_secrets(members_of(client.get("headers")), options).items()
    }
    return ImportedAPI(
        settings.name or api_name(base_url),
        base_url.rstrip("/"),
        ImportSource("dlt", "a dlt rest_api configuration"),
        options=tuple(options.values()),
        auths=(auth,) if auth is not None and not isinstance(auth, str) else (),
        headers=headers,
        paging=reader.default_paging,
        tables=tuple(reader.tables.values()),
        left=tuple(reader.left),
        notes=tuple(notes),
    )


class _ResourceReader:
    """Reads the resources of a configuration in their order."""

    def __init__(self, configuration: Mapping[str, Value], options: dict[str, ImportedOption]) -> None:
        self._configuration = configuration
        self._defaults = members_of(configuration.get("resource_defaults"))
        self._options = options
        self.tables: dict[str, ImportedTable] = {}
        self.left: list[Leftover] = []
        self.notes: list[ImportNote] = []
        self.default_paging = None
        try:
            self.default_paging = paging_of(members_of(configuration.get("client")).get("paginator"))
        except ValueError as error:
            self.notes.append(ImportNote("", f"{error}; pagination is found out instead"))

    def read(self) -> None:
        waiting = []
        for each in items_of(self._configuration.get("resources")):
            resource = {"name": each} if isinstance(each, str) else each
            name = text_of(members_of(resource).get("name"))
            if not isinstance(resource, Mapping) or not name:
                code = find_code(resource)
                text = code.text if code is not None else "a resource without name"
                self.left.append(
                    Leftover(name or "resource", f"it is Python: {text}", code.line if code else 0)
                )
            else:
                waiting.append(resource)
        while waiting:  # parents before their children, as far as they are there
            ready = [each for each in waiting if self._parents_of(each) <= set(self.tables)] or waiting
            for resource in ready:
                self._read(resource)
            waiting = [each for each in waiting if each not in ready]

    def _parents_of(self, resource: Mapping[str, Value]) -> set[str]:
        endpoint = self._endpoint(resource)
        texts = str(endpoint)
        found = set(re.findall(r"\{resources\.([A-Za-z_]\w*)\.", texts))
        params = members_of(endpoint.get("params")).values()
        return found | {text_of(members_of(each).get("resource")) for each in params if _is_resolve(each)}

    def _endpoint(self, resource: Mapping[str, Value]) -> dict[str, Value]:
        default = members_of(self._defaults.get("endpoint"))
        own = resource.get("endpoint", resource.get("name"))
        endpoint: Mapping[str, Value] = {"path": own} if isinstance(own, str) else members_of(own)
        params = {**members_of(default.get("params")), **members_of(endpoint.get("params"))}
        return {**default, **endpoint, **({"params": params} if params else {})}

    def _read(self, resource: Mapping[str, Value]) -> None:
        name = text_of(resource.get("name"))
        line = line_of(resource)
        try:
            self.tables[name] = self._table(resource, name, line)
        except ValueError as error:
            self.left.append(Leftover(name, str(error), line))

    def _table(self, resource: Mapping[str, Value], name: str, line: int) -> ImportedTable:
        """The table of a resource. Raises ValueError with the reason if it needs code or is not known."""
        endpoint = self._endpoint(resource)
        if "processing_steps" in resource:
            raise ValueError("processing_steps are Python")
        if code := find_code({**resource, "endpoint": endpoint}):
            raise ValueError(f"it needs Python: {code.text}")
        if text_of(endpoint.get("method")).upper() not in ("", "GET", "POST"):
            raise ValueError(f"{endpoint['method']} does not read")
        parents = _Parents(self._options, self.tables)
        params, incremental = self._params(endpoint, parents, name)
        incremental = self._incremental(members_of(endpoint.get("incremental")), incremental)
        path = parents.replace(_text(endpoint.get("path", name)))
        is_post = text_of(endpoint.get("method")).upper() == "POST"
        headers = members_of(endpoint.get("headers"))
        request = ImportedRequest(
            "POST" if is_post else "GET",
            path if path.startswith(("http://", "https://")) else join_path(path),
            params,
            {key: str(value) for key, value in hide_secrets(headers, self._options).items()},
            parents.replace_json(template(endpoint.get("json"))) if is_post else None,
        )
        selector = endpoint.get("data_selector")
        rows = path_of_selector(selector) if isinstance(selector, str) else None
        key = resource.get("primary_key", self._defaults.get("primary_key"))
        keys = [key] if isinstance(key, str) else [str(each) for each in items_of(key)]
        return ImportedTable(
            snake_case(name) if not re.fullmatch(r"[A-Za-z_]\w{0,62}", name) else name,
            request,
            for_each=parents.query(),
            rows=("$" if rows == "" else rows),
            key=tuple(each.replace(".", "_") for each in keys),
            columns=parents.columns(resource),
            paging=paging_of(endpoint["paginator"]) if "paginator" in endpoint else None,
            incremental=incremental,
            errors=_error_rules(items_of(endpoint.get("response_actions"))),
            parents=parents.tables(),
            line=line,
        )

    def _params(
        self, endpoint: Mapping[str, Value], parents: _Parents, table: str
    ) -> tuple[dict[str, Json], ImportedIncremental | None]:
        params: dict[str, Json] = {}
        incremental = None
        for name, value in members_of(endpoint.get("params")).items():
            settings = members_of(value)
            if _is_resolve(value):
                parents.resolve(name, text_of(settings.get("resource")), text_of(settings.get("field")))
            elif settings.get("type") == "incremental":
                incremental = self._incremental({**settings, "start_param": name}, None)
            else:
                params |= hide_secrets({name: value}, self._options)
        path = _text(endpoint.get("path", table))
        bound = {name: value for name, value in params.items() if f"{{{name}}}" in path}
        return {
            name: parents.replace_json(value) for name, value in params.items() if name not in bound
        }, incremental

    def _incremental(
        self, settings: Mapping[str, Value], default: ImportedIncremental | None
    ) -> ImportedIncremental | None:
        cursor = text_of(settings.get("cursor_path"))
        if not cursor:
            return default
        if "convert" in settings:
            raise ValueError("incremental.convert is Python")
        initial = settings.get("initial_value")
        start = str(template(initial)) if initial is not None else None
        param = settings.get("start_param")
        return ImportedIncremental(
            path_of_selector(cursor).replace(".", "_"), str(param) if param else None, start
        )


class _Parents:
    """The parents of one resource: values of its path and parameters that come from rows of another one."""

    def __init__(self, options: Mapping[str, ImportedOption], tables: Mapping[str, ImportedTable]) -> None:
        self._options = options
        self._tables = tables
        self._variables: dict[tuple[str, str], str] = {}
        self._bound: dict[str, str] = {}

    def resolve(self, name: str, resource: str, field: str) -> None:
        """A parameter ``{type: resolve}``: ``{name}`` in the path is a field of the resource's rows."""
        self._bound[name] = self._variable(resource, field)

    def replace(self, text: str) -> str:
        """A path or text with our variables in place of ``{resources.x.y}`` and of resolved parameters."""
        text = _RESOURCE.sub(lambda found: f"{{{self._variable(found[1], found[2])}}}", text)
        text = _CURSOR.sub(lambda found: "{until}" if found[1] == "end_value" else "{cursor}", text)
        for name, variable in self._bound.items():
            text = text.replace(f"{{{name}}}", f"{{{variable}}}")
        return text

    def replace_json(self, value: Json) -> Json:
        match value:
            case str():
                return self.replace(value)
            case list():
                return [self.replace_json(item) for item in value]
            case Mapping():
                return {key: self.replace_json(item) for key, item in value.items()}
            case _:
                return value

    def _variable(self, resource: str, field: str) -> str:
        if resource not in self._tables:
            raise ValueError(f"its parent {resource} is not imported")
        key = (resource, field)
        if key not in self._variables:
            name = option_name(f"{resource}_{field.replace('.', '_')}")
            self._variables[key] = unique_name(name, [*self._options, *self._variables.values()])
        return self._variables[key]

    def tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._tables[resource].name for resource, _ in self._variables))

    def query(self) -> str | None:
        if not self._variables:
            return None
        if len(self.tables()) > 1:
            raise ValueError("it has several parents")
        columns = [
            f"{sql_name(field.replace('.', '_'))} as {name}" for (_, field), name in self._variables.items()
        ]
        return f"select {', '.join(columns)} from {sql_name(self.tables()[0])}"

    def columns(self, resource: Mapping[str, Value]) -> tuple[ImportedColumn, ...]:
        """``include_from_parent``: as far as the fields are variables."""
        found = []
        for field in items_of(resource.get("include_from_parent")):
            for (parent, name), variable in self._variables.items():
                if name == field:
                    found.append(ImportedColumn(f"_{parent}_{name}", source=f"{{{variable}}}"))
        if len(found) < len(items_of(resource.get("include_from_parent"))):
            raise ValueError("include_from_parent has a field that the request does not use")
        return tuple(found)


def _is_resolve(value: Value) -> bool:
    return members_of(value).get("type") == "resolve"


def _text(value: Value) -> str:
    """A path; texts of the configuration keep their ``{parameters}``."""
    if not isinstance(value, str):
        raise ValueError("the path is no text")
    return str(value) if isinstance(value, TemplateText) else value


def _error_rules(actions: Sequence[Value]) -> tuple[ImportedErrorRule, ...]:
    rules = []
    for each in map(members_of, actions):
        if each.get("action") != "ignore":
            raise ValueError(f"the response action {each.get('action')!r} is not known")
        status, content = each.get("status_code"), each.get("content")
        is_status = isinstance(status, int)
        rules.append(
            ImportedErrorRule(
                status if is_status and isinstance(status, int) else None,
                content if isinstance(content, str) else None,
                action="skip",
            )
        )
    return tuple(rules)
