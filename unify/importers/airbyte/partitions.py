"""Partition routers as ``for_each``: one request for each row of parents, or of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product

from msgspec import Struct, field

from unify.importers.airbyte.context import StreamContext, shown
from unify.importers.airbyte.jinja.sql import ExpressionWriter
from unify.importers.airbyte.jinja.values import Known, Ref, Value
from unify.importers.airbyte.manifest import Component, NotImportable, type_of
from unify.importers.airbyte.requests import RequestDraft
from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.common.names import RESERVED, option_name, sql_name, unique_name
from unify.importers.model import Json

_MAX_ROWS = 1_000  # of a product of lists


class ParentTable(Struct, frozen=True):
    """A table that is a parent: its name, and the variables of its own parents by partition name."""

    name: str
    variables: Mapping[str, str]


ParentFinder = Callable[[Component, Component], ParentTable]


class _Select(Struct):
    """A SELECT of a parent: columns with the variables they set.

    ``stored``    variables of the parent.
    ``computed``  expressions by variable.
    """

    parent: ParentTable
    columns: dict[str, str]
    stored: dict[str, str] = field(default_factory=dict)
    computed: dict[str, str] = field(default_factory=dict)


class _Source(Struct):
    """Rows of one router: SELECTs that set the same variables, or a list of rows."""

    selects: list[_Select] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)


class ForEachPlan(Struct, frozen=True):
    """``for_each`` of a stream; ``stored`` are columns that parents need, with their variables."""

    for_each: str | tuple[Mapping[str, str], ...] | Mapping[str, Json] | None = None
    parents: tuple[str, ...] = ()
    stored: Mapping[str, Mapping[str, str]] = {}


class PartitionReader:
    """Reads the partition routers of one stream.

    ``find_parent``  the table of a parent stream; raises NotImportable if it is not imported.
    """

    def __init__(self, ctx: StreamContext, find_parent: ParentFinder, taken: set[str]) -> None:
        self._ctx = ctx
        self._find_parent = find_parent
        self._taken = taken | RESERVED
        self._sources: list[_Source] = []
        self._injections: list[tuple[Component, str]] = []
        self._batch: int | None = None
        self._option_lists: dict[str, str] = {}  # options by variable

    def read(self, router: Json) -> None:
        """Read routers, and set the variables of the context. Raises NotImportable."""
        for each in router if isinstance(router, list) else [router]:
            if each:
                self._read_router(members_of(each))

    def inject(self, draft: RequestDraft) -> None:
        """Put the values where the options of the routers say."""
        for option, text in self._injections:
            draft.inject(option, text, self._ctx)

    def _read_router(self, router: Component) -> None:
        match type_of(router):
            case "SubstreamPartitionRouter":
                if note := text_of(router.get("note")):
                    self._ctx.note(note)
                configs = [members_of(each) for each in items_of(router.get("parent_stream_configs"))]
                self._sources.append(self._substream(configs))
            case "ListPartitionRouter":
                self._read_list(router)
            case "GroupingPartitionRouter":
                size = router.get("group_size")
                self._batch = size if isinstance(size, int) else None
                self._read_router(members_of(router.get("underlying_partition_router")))
            case "CartesianProductStreamSlicer":
                self.read(router.get("stream_slicers"))
            case other:
                text = f"{other} (Python)" if other.startswith("Custom ") else f"partitions by {other}"
                raise NotImportable(text, router)

    # -- parents -----------------------------------------------------------------------------------------

    def _substream(self, configs: list[Component]) -> _Source:
        source = _Source()
        for config in configs:
            parent = self._find_parent(members_of(config.get("stream")), config)
            name = self._ctx.text(config.get("partition_field"), config)
            variable = self._ctx.partition.get(name) or self._variable(name)
            self._ctx.partition[name] = variable
            key = self._ctx.text(config.get("parent_key"), config)
            if "*" in key:
                raise NotImportable(f"the parent key {key}", config)
            columns = {variable: _column(key.split("/"))}
            select = _Select(parent, columns)
            self._add_extra_fields(config, select)
            self._add_stored(parent, select)
            source.selects.append(select)
            if option := members_of(config.get("request_option")):
                self._injections.append((option, f"{{{variable}}}"))
        return source

    def _variable(self, name: str) -> str:
        variable = option_name(name)
        if variable in self._taken:
            variable = unique_name(f"parent_{variable}", self._taken)
        self._taken.add(variable)
        return variable

    def _add_extra_fields(self, config: Component, select: _Select) -> None:
        for each in items_of(config.get("extra_fields")):
            steps = [self._ctx.text(step, config) for step in items_of(each)]
            variable = self._variable("_".join(steps))
            self._ctx.partition[".".join(("extra_fields", *steps))] = variable
            select.columns[variable] = _column(steps)

    def _add_stored(self, parent: ParentTable, select: _Select) -> None:
        """``parent_slice``: variables of the parent, as far as the request uses them."""
        for name, variable in parent.variables.items():
            own = self._variable(name)
            self._ctx.partition[f"parent_slice.{name}"] = own
            select.stored[own] = variable

    # -- lists -------------------------------------------------------------------------------------------

    def _read_list(self, router: Component) -> None:
        """A list: of the manifest, or of an option that a connection sets."""
        option = self._list_option(router)
        if option is None:
            self._sources.append(self._list(router))
            return
        name = self._ctx.text(router.get("cursor_field"), router)
        variable = self._variable(name)
        self._ctx.partition[name] = variable
        self._option_lists[variable] = option
        if injected := members_of(router.get("request_option")):
            self._injections.append((injected, f"{{{variable}}}"))

    def _list_option(self, router: Component) -> str | None:
        """The option that has the values, if neither the user nor the manifest sets them."""
        given = router.get("values")
        value = self._ctx.fold(given, router) if isinstance(given, str) else None
        if not isinstance(value, Ref) or value.root != "config" or self._option_values(value):
            return None
        return self._ctx.options.require(tuple(map(str, value.steps)))

    def _list(self, router: Component) -> _Source:
        name = self._ctx.text(router.get("cursor_field"), router)
        variable = self._variable(name)
        self._ctx.partition[name] = variable
        values = self._values(router.get("values"), router)
        if option := members_of(router.get("request_option")):
            self._injections.append((option, f"{{{variable}}}"))
        return _Source(rows=[{variable: each} for each in values])

    def _values(self, given: Json, router: Component) -> list[str]:
        if isinstance(given, list):
            return [self._ctx.text(each, router) for each in given]
        value = self._ctx.fold(given, router)
        if isinstance(value, Known) and isinstance(value.value, list) and value.value:
            return [str(each) for each in value.value]
        found = self._option_values(value)
        if not found:
            name = self._ctx.option(value) if isinstance(value, Ref) and value.root == "config" else ""
            hint = f" (--option {name}=A,B takes them)" if name else ""
            raise NotImportable(f"reads a list of an option: {shown(given)}{hint}", router)
        return found

    def _option_values(self, value: Value) -> list[str]:
        """The values of an option that is a list: those that the user sets, or the default."""
        if not isinstance(value, Ref) or value.root != "config":
            return []
        found = self._ctx.options.find(tuple(map(str, value.steps)))
        chosen = self._ctx.options.chosen_value(found.name) if found is not None else None
        if chosen:
            return [each.strip() for each in chosen.split(",") if each.strip()]
        default = found.default if found is not None else None
        values = default if isinstance(default, list) and default else value.default
        if isinstance(values, list) and values:
            texts = [str(each) for each in values]
            name = found.name if found is not None else ""
            self._ctx.note(f"reads {', '.join(texts[:5])}, the default of {name} (--option {name}=A,B)")
            return texts
        return []

    # -- for_each ----------------------------------------------------------------------------------------

    def plan(self, used: set[str]) -> ForEachPlan:
        """``for_each`` with the variables that the request uses. Raises NotImportable."""
        for source in self._sources:
            for select in source.selects:
                self._add_members(select)
        self._check_made(used)
        sources = [each for each in self._sources if self._is_used(each, used)]
        if len(sources) < len(self._sources):
            self._ctx.note("a parent whose values the request does not use is left out")
        if not sources:
            return ForEachPlan(self._with_option({}) or None)
        if all(not each.selects for each in sources):
            rows = [dict(_merged(each)) for each in product(*(source.rows for source in sources))]
            if len(rows) > _MAX_ROWS:
                raise NotImportable(f"{len(rows)} requests of a list")
            return ForEachPlan(self._with_option({"rows": rows}) if self._option_lists else tuple(rows))
        return self._query_plan(sources, used)

    def _check_made(self, used: set[str]) -> None:
        """Every variable that is made of another one comes from a parent. Raises NotImportable."""
        selects = [select for source in self._sources for select in source.selects]
        found = {name for each in selects for name in (*each.columns, *each.computed)}
        for name in (*self._ctx.members, *self._ctx.computed):
            if name in used and name not in found:
                raise NotImportable(f"makes {name} of a value that is no column of a parent")

    def _with_option(self, for_each: Mapping[str, Json]) -> Mapping[str, Json]:
        """``for_each`` with the list of an option."""
        if not self._option_lists:
            return for_each
        variables, options = list(self._option_lists), list(self._option_lists.values())
        if len(options) == 1:
            return {**for_each, "option": options[0], "as": variables[0]}
        return {**for_each, "option": options, "as": variables}

    def _add_members(self, select: _Select) -> None:
        """Columns for members of objects, and for expressions over the columns of the parent."""
        for variable, (base, steps) in self._ctx.members.items():
            if base in select.columns:
                select.columns[variable] = _column([select.columns[base], *steps])

        def column_of(ref: Ref) -> str:
            variable = self._ctx.partition.get(".".join(map(str, ref.steps)), "")
            if variable not in select.columns:
                raise ValueError("another parent")
            return sql_name(select.columns[variable])

        for variable, value in self._ctx.computed.items():
            try:
                select.computed[variable] = ExpressionWriter(column_of).value(value)
            except ValueError:
                continue  # of another parent; a variable of none is reported by the check of the spec

    def _is_used(self, source: _Source, used: set[str]) -> bool:
        names = {name for each in source.selects for name in (*each.columns, *each.stored, *each.computed)}
        return bool(names & used) or any(set(row) & used for row in source.rows)

    def _query_plan(self, sources: list[_Source], used: set[str]) -> ForEachPlan:
        stored: dict[str, dict[str, str]] = {}
        parents: dict[str, None] = {}
        parts = []
        for index, source in enumerate(sources):
            parts.append(_source_sql(source, used, f"t{index + 1}", alone=len(sources) == 1))
            for select in source.selects:
                parents[select.parent.name] = None
                for own, variable in select.stored.items():
                    if own in used:
                        stored.setdefault(select.parent.name, {})[variable] = variable
        query = parts[0] if len(parts) == 1 else f"select * from {' cross join '.join(parts)}"
        if len(parts) > 1:
            names = ", ".join(sql_name(name) for source in sources for name in _names(source, used))
            query = f"select {names} from {' cross join '.join(parts)}"
        for_each: str | Mapping[str, Json] = query
        if self._batch is not None and self._batch > 1:
            for_each = {"query": query, "batch": min(self._batch, 10_000)}
        if self._option_lists:
            for_each = self._with_option({"query": query})
        return ForEachPlan(for_each, tuple(parents), stored)


def _merged(rows: tuple[dict[str, str], ...]) -> Iterator[tuple[str, str]]:
    for row in rows:
        yield from row.items()


def _names(source: _Source, used: set[str]) -> list[str]:
    if source.rows:
        return [name for name in source.rows[0] if name in used]
    first = source.selects[0]
    return [name for name in (*first.columns, *first.stored, *first.computed) if name in used]


def _source_sql(source: _Source, used: set[str], alias: str, *, alone: bool) -> str:
    """The SELECT of one router; one of several is a subquery."""
    if source.rows:
        name = _names(source, used)[0]
        values = ", ".join(f"({_quoted(row[name])})" for row in source.rows)
        return f"(values {values}) as {alias}({sql_name(name)})"
    selects = [_select_sql(each, used) for each in source.selects]
    query = " union all ".join(dict.fromkeys(selects))
    return query if alone else f"({query}) as {alias}"


def _select_sql(select: _Select, used: set[str]) -> str:
    columns = {**select.columns, **select.stored}
    chosen = [_aliased(column, name) for name, column in columns.items() if name in used]
    chosen += [f"{sql} as {sql_name(name)}" for name, sql in select.computed.items() if name in used]
    tests = [f"{sql_name(column)} is not null" for name, column in select.columns.items() if name in used]
    tests += [f"{sql} is not null" for name, sql in select.computed.items() if name in used]
    where = f" where {tests[0]}" if tests else ""
    return f"select distinct {', '.join(chosen)} from {sql_name(select.parent.name)}{where}"


def _aliased(column: str, name: str) -> str:
    return sql_name(column) if column == name else f"{sql_name(column)} as {sql_name(name)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column(steps: list[str]) -> str:
    return "_".join(each.replace(".", "_") for each in steps)
