"""Records: where they are in a response, which are kept, and what is added to or removed from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from unify.importers.airbyte.context import StreamContext, shown
from unify.importers.airbyte.jinja.sql import ExpressionWriter, sql_of
from unify.importers.airbyte.jinja.values import Joined, Known, Moment, Operation, Ref, Value, roots_of
from unify.importers.airbyte.manifest import Component, NotImportable, type_of
from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.common.names import describe, sql_name
from unify.importers.model import ImportedColumn, Json

_PATH_STEP = re.compile(r"[^\s{}\[\]](?:[^\t\r\n{}\[\]]*[^\s{}\[\]])?")
MAX_DESCRIBED = 30  # columns of a table with descriptions


class RecordPlan(Struct):
    """What of the rows the spec says."""

    rows: str | None = None
    rows_name: str | None = None
    format: str | None = None
    csv: dict[str, Json] = field(default_factory=dict)
    where: dict[str, Json] | str = field(default_factory=dict)
    columns: dict[str, ImportedColumn] = field(default_factory=dict)
    exclude: list[str] = field(default_factory=list)

    def add(self, column: ImportedColumn) -> None:
        """Add a column, also one that is removed before."""
        self.columns[column.name] = column
        self.exclude = [each for each in self.exclude if each not in (column.name, f"{column.name}_*")]


def read_records(stream: Component, retriever: Component, ctx: StreamContext) -> RecordPlan:
    """The rows of a stream. Raises NotImportable."""
    plan = RecordPlan()
    selector = members_of(retriever.get("record_selector"))
    _read_decoder(members_of(retriever.get("decoder")), plan, ctx)
    plan.rows = _read_extractor(members_of(selector.get("extractor")), plan, ctx)
    _read_filter(members_of(selector.get("record_filter")), stream, plan, ctx)
    for each in map(members_of, items_of(stream.get("transformations"))):
        _read_transformation(each, stream, plan, ctx)
    return plan


def _read_decoder(decoder: Component, plan: RecordPlan, ctx: StreamContext) -> None:
    match type_of(decoder):
        case "" | "JsonDecoder":
            return
        case "JsonlDecoder" | "JsonLineParser":
            plan.format = "jsonl"
        case "XmlDecoder":
            plan.format = "xml"
        case "CsvDecoder" | "CsvParser":
            plan.format = "csv"
            delimiter = text_of(decoder.get("delimiter"))
            plan.csv = {"delimiter": delimiter} if delimiter else {}
            encoding = text_of(decoder.get("encoding"))
            if encoding and encoding.lower() not in ("utf-8", "utf8"):
                plan.csv["encoding"] = encoding
        case "GzipDecoder" | "CompositeRawDecoder" | "GzipParser":
            inner = members_of(decoder.get("decoder") or decoder.get("parser") or decoder.get("inner_parser"))
            _read_decoder(inner, plan, ctx)
        case other:
            text = f"{other} (Python)" if other.startswith("Custom ") else f"responses of {other}"
            raise NotImportable(text, decoder)


def _read_extractor(extractor: Component, plan: RecordPlan, ctx: StreamContext) -> str | None:
    if type_of(extractor) != "DpathExtractor":
        kind = type_of(extractor)
        raise NotImportable(
            f"{kind} (Python)" if kind.startswith("Custom ") else f"extractor {kind}", extractor
        )
    _read_known_extractor(extractor, plan, ctx)
    path = extractor.get("field_path")
    given = path if isinstance(path, list) else [path] if isinstance(path, str) and path else []
    steps = [ctx.text(each, extractor) for each in given]
    steps = [each for each in steps if each != ""]
    if plan.format in ("csv", "jsonl"):
        return None
    if plan.format == "xml":
        return _xml_rows(steps, extractor)
    if any(not _PATH_STEP.fullmatch(each) for each in steps):
        raise NotImportable(f"rows at {steps}", extractor)
    if "*" in steps[:-1]:
        ctx.note("* in the path of its rows is read as a list, not as an object")
    return rows_path(steps, extractor)


def _read_known_extractor(extractor: Component, plan: RecordPlan, ctx: StreamContext) -> None:
    """What a known extractor in Python does besides; see ``known``."""
    if note := text_of(extractor.get("note")):
        ctx.note(note)
    if name := extractor.get("rows_name"):
        plan.rows_name = ctx.text(name, extractor) or None
    for name, path in members_of(extractor.get("outer_columns")).items():
        plan.add(ImportedColumn(name, source=f"$.{path}"))
    for name, path in members_of(extractor.get("renamed_columns")).items():
        plan.add(ImportedColumn(name, source=str(path)))


def rows_path(steps: Sequence[str], component: Component) -> str:
    """The dotted path of rows; ``*`` at the end stands for every member, in lists for every item."""
    if not steps:
        return "$"
    if "*" in steps[:-1] and steps != ["*"]:
        inner = [each for index, each in enumerate(steps) if each != "*" or index == len(steps) - 1]
        if steps[0] == "*" and len(steps) == 1:
            raise NotImportable("rows at *", component)
        return ".".join(inner)
    return ".".join(steps) if steps != ["*"] else "$.*"


def _xml_rows(steps: Sequence[str], extractor: Component) -> str:
    """The root element is a step of theirs, not of ours."""
    if len(steps) < 2:
        raise NotImportable("rows of XML at the root", extractor)
    return ".".join(each for each in steps[1:] if each != "*")


# -- filters -----------------------------------------------------------------------------------------


def _read_filter(record_filter: Component, stream: Component, plan: RecordPlan, ctx: StreamContext) -> None:
    if not record_filter:
        return
    if type_of(record_filter) != "RecordFilter":
        raise NotImportable(f"{type_of(record_filter)} (Python)", record_filter)
    condition = record_filter.get("condition")
    if not condition:
        return
    value = ctx.fold(condition, record_filter)
    folder = ctx.folder(record_filter)
    known = folder.truth(value)
    if known is True or value == Known(""):
        return
    parts = []
    for part in _conjuncts(value):
        if part == Ref("record"):
            continue  # every row is one
        if roots_of(part) & {"interval", "state"} or _is_client_start(part):
            ctx.note("rows older than the start are kept; the source filters them itself")
        else:
            parts.append(part)
    plan.where = _where(parts, record_filter, shown(condition), stream, ctx)


def _where(
    parts: Sequence[Value], component: Component, text: str, stream: Component, ctx: StreamContext
) -> dict[str, Json] | str:
    """The conditions as paths and texts, else as one SQL expression. Raises NotImportable."""
    found: dict[str, Json] = {}
    try:
        for part in parts:
            path, texts = _equality(part, component, text, _flags(stream))
            found[path] = texts[0] if len(texts) == 1 else texts
    except NotImportable:
        try:
            return sql_of(_writer(component, ctx), parts)
        except ValueError:
            raise NotImportable(f"keeps rows by a condition: {text}", component) from None
    return found


def _writer(component: Component, ctx: StreamContext) -> ExpressionWriter:
    """Writes SQL with the variables of the stream."""

    def variable(ref: Ref) -> str:
        if ref.root == "interval" and not ctx.has_window:
            raise ValueError("no time window")
        try:
            return str(ctx.render(ref, component))
        except NotImportable as error:
            raise ValueError(error.reason) from error

    return ExpressionWriter(variable)


def _conjuncts(value: Value) -> Iterator[Value]:
    if isinstance(value, Operation) and value.operator == "and":
        yield from _conjuncts(value.left)
        yield from _conjuncts(value.right)
    else:
        yield value


def _is_client_start(value: Value) -> bool:
    """Whether a condition compares a column with an option of the start."""
    if not isinstance(value, Operation) or value.operator not in (">", ">=", "<", "<="):
        return False
    sides = {root for side in (value.left, value.right) for root in roots_of(side)}
    return sides == {"record", "config"}


def _flags(stream: Component) -> frozenset[str]:
    """The columns that the schema declares as true or false."""
    found = set()
    for name, value in schema_properties(stream).items():
        kind = members_of(value).get("type")
        if "boolean" in (kind if isinstance(kind, list) else [kind]):
            found.add(name)
    return frozenset(found)


def _equality(value: Value, component: Component, text: str, flags: frozenset[str]) -> tuple[str, list[str]]:
    """A path and the texts that are kept. Raises NotImportable for other conditions."""
    match value:
        case Operation(operator="==", left=Ref(root="record") as ref, right=Known(value=known)):
            return _dotted(ref, component), _comparable([known], component, text)
        case Operation(operator="==", left=Known(value=known), right=Ref(root="record") as ref):
            return _dotted(ref, component), _comparable([known], component, text)
        case Operation(operator="in", left=Ref(root="record") as ref, right=Known(value=list() as items)):
            return _dotted(ref, component), _comparable(items, component, text)
        case Operation(operator="or"):
            left, right = (_equality(each, component, text, flags) for each in (value.left, value.right))
            if left[0] == right[0]:
                return left[0], [*left[1], *right[1]]
        case Ref(root="record") as ref if len(ref.steps) == 1 and ref.steps[0] in flags and not ref.default:
            return _dotted(ref, component), ["true"]
    raise NotImportable(f"keeps rows by a condition: {text}", component)


def _comparable(values: Sequence[Json], component: Component, text: str) -> list[str]:
    """Values that ``where`` can compare. Raises NotImportable for a missing one or an empty text."""
    if not all(isinstance(each, str | int | float) and each != "" for each in values):
        raise NotImportable(f"keeps rows by a condition: {text}", component)
    return [_as_text(each) for each in values]


def _as_text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _dotted(ref: Ref, component: Component) -> str:
    steps = [str(each) for each in ref.steps]
    if not steps or any(not _PATH_STEP.fullmatch(each) for each in steps):
        raise NotImportable(f"reads the record at {steps}", component)
    return ".".join(steps)


# -- transformations ---------------------------------------------------------------------------------


def _read_transformation(each: Component, stream: Component, plan: RecordPlan, ctx: StreamContext) -> None:
    condition = ctx.fold(each.get("condition"), each) if each.get("condition") else None
    if condition is not None and (holds := ctx.folder(each).truth(condition)) is not None:
        if not holds:
            return
        condition = None
    if condition is not None and type_of(each) == "RemoveFields":
        return
    if condition is not None and type_of(each) != "AddFields":
        raise NotImportable(f"changes rows by a condition: {shown(each.get('condition'))}", each)
    match type_of(each):
        case "AddFields":
            for definition in map(members_of, items_of(each.get("fields"))):
                _add_field(definition, condition, plan, ctx)
        case "RemoveFields":
            for pointer in items_of(each.get("field_pointers")):
                _remove_field(items_of(pointer), stream, plan, ctx)
        case "KeysToLower" | "FlattenFields":
            if note := text_of(each.get("note")):
                ctx.note(note)
        case "KeysToSnakeCase" | "KeysReplace" | "DpathFlattenFields" as kind:
            raise NotImportable(f"renames its columns ({kind})", each)
        case other:
            raise NotImportable(
                f"{other} (Python)" if other.startswith("Custom ") else f"transforms: {other}", each
            )


def _add_field(definition: Component, condition: Value | None, plan: RecordPlan, ctx: StreamContext) -> None:
    path = [ctx.text(each, definition) for each in items_of(definition.get("path"))]
    name = "_".join(path)
    text = definition.get("value")
    value = _unquoted(ctx.fold(text, definition))
    if value == Known(None) or _is_now(value):
        if _is_now(value):
            ctx.note(f"{name} is left out: the time of the load")
        return
    match value:
        case Ref(root="record"):
            source = _dotted(value, definition)
            if value.default not in (None, "", False):
                plan.add(_computed(name, value, condition, definition, ctx))
                return
            if source == ".".join(path):
                return
        case Known(value=str() | int() | float() as constant) if condition is None:
            plan.add(ImportedColumn(name, value=constant))
            return
        case Ref(root="interval") | Moment(base=Ref(root="interval")) if ctx.has_window:
            source = str(ctx.render(value, definition, text))
        case Ref(root="config" | "partition"):
            source = str(ctx.render(value, definition, text))
        case _:
            plan.add(_computed(name, value, condition, definition, ctx))
            return
    if condition is not None:
        plan.add(_computed(name, value, condition, definition, ctx))
        return
    plan.add(ImportedColumn(name, source=source))


def _computed(
    name: str, value: Value, condition: Value | None, definition: Component, ctx: StreamContext
) -> ImportedColumn:
    """A column that SQL computes; where a condition does not hold, it keeps its value."""
    writer = _writer(definition, ctx)
    try:
        sql = writer.value(value)
        if condition is not None:
            sql = f"case when {writer.condition(condition)} then {sql} else {sql_name(name)} end"
    except ValueError:
        raise NotImportable(
            f"column {name} is an expression: {shown(definition.get('value'))}", definition
        ) from None
    return ImportedColumn(name, sql=sql)


def _unquoted(value: Value) -> Value:
    """A text that is one value in quotes: the quotes only make it a text."""
    match value:
        case Joined(parts=(Known(value='"' | "'"), inner, Known(value='"' | "'"))):
            return inner
        case _:
            return value


def _is_now(value: Value) -> bool:
    return isinstance(value, Moment) and value.base in ("now", "today")


def _remove_field(pointer: Sequence[Json], stream: Component, plan: RecordPlan, ctx: StreamContext) -> None:
    steps = [ctx.text(each, stream) for each in pointer]
    name = "_".join(steps)
    if not steps or "*" in steps[:1]:
        ctx.note(f"columns {'.'.join(steps)} are kept; the source removes them")
        return
    plan.columns.pop(name, None)
    plan.exclude.append(name)
    if _is_object(stream, steps) and f"{name}_*" not in plan.exclude:
        plan.exclude.append(f"{name}_*")


def schema_properties(stream: Component) -> Mapping[str, Json]:
    """The columns of an inline schema."""
    loader = stream.get("schema_loader")
    loaders = loader if isinstance(loader, list) else [loader]
    for each in map(members_of, loaders):
        properties = members_of(members_of(each.get("schema")).get("properties"))
        if properties:
            return properties
    return {}


def _is_object(stream: Component, steps: Sequence[str]) -> bool:
    """Whether the schema says that a removed member is an object; then its members are columns."""
    properties: Mapping[str, Json] = schema_properties(stream)
    value: Mapping[str, Json] = {}
    for step in steps:
        value = members_of(properties.get(step))
        properties = members_of(value.get("properties"))
    kind = value.get("type")
    return "object" in (kind if isinstance(kind, list) else [kind])


def described_columns(stream: Component, plan: RecordPlan) -> list[ImportedColumn]:
    """The descriptions of the columns that the schema has."""
    found: dict[str, ImportedColumn] = {}
    for name, value in schema_properties(stream).items():
        text = describe(members_of(value).get("description"), 90)
        kind = members_of(value).get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        is_plain = not {"object", "array"} & set(filter(None, map(text_of, kinds)))
        is_kept = name not in plan.columns and name not in plan.exclude and name.lower() not in found
        if text and is_plain and is_kept and name.strip():
            found[name.lower()] = ImportedColumn(name, description=text)
    return list(found.values())[:MAX_DESCRIBED]
