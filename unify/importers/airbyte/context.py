"""Folds the texts of a stream to templates of the spec language."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field

from unify.importers.airbyte.jinja.fold import Folder
from unify.importers.airbyte.jinja.parser import has_jinja
from unify.importers.airbyte.jinja.values import (
    Applied,
    Choice,
    Items,
    Joined,
    Known,
    Moment,
    Operation,
    Ref,
    Value,
    roots_of,
)
from unify.importers.airbyte.manifest import NotImportable, parameters_of
from unify.importers.airbyte.options import ConfigOptions
from unify.importers.common.names import RESERVED, describe, literal, option_name, unique_name
from unify.importers.model import ImportNote, Json

# Functions that only clean what a user may write: the option is used as it is, and the report says so.
_CLEANING = frozenset(["strip", "rstrip", "lstrip", "trim", "lower", "sanitize_url", "urlencode"])
_PLAIN_FUNCTIONS = _CLEANING | {"join"}  # a batch of parents is joined by commas
_SCHEMES = re.compile(r"https?:?/*|www\.|/+")


class StreamContext(Struct):
    """What the texts of one stream can refer to.

    ``partition``   variables of the row of the parent, by the name that the manifest uses.
    ``members``     variables for members of an object that is the value of another variable.
    ``computed``    variables that are computed from others.
    ``moments``     the formats in which the edges of the time window are used.
    ``uses_until``  whether the end of the window is used.
    """

    name: str
    options: ConfigOptions
    notes: list[ImportNote]
    partition: dict[str, str] = field(default_factory=dict)
    moments: set[str | None] = field(default_factory=set)
    members: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    computed: dict[str, Value] = field(default_factory=dict)
    has_window: bool = False
    uses_cursor: bool = False
    uses_until: bool = False

    def note(self, text: str) -> None:
        self.notes.append(ImportNote(self.name, text))

    def folder(self, component: Json) -> Folder:
        return Folder(
            parameters_of(component),
            self.options.decide,
            has_window=self.has_window,
            partition=frozenset(self.partition),
        )

    def fold(self, text: Json, component: Json) -> Value:
        """The value of a text of a component."""
        return self.folder(component).text(text)

    def template(self, text: Json, component: Json, *, interval: bool = True) -> Json:
        """The template of a text, or None if it has no value. Raises NotImportable."""
        return self.render(self.fold(text, component), component, text, interval=interval)

    def text(self, text: Json, component: Json) -> str:
        """The same as a text; no value is an empty one."""
        found = self.template(text, component)
        return "" if found is None else _plain_text(found)

    def render(self, value: Value, component: Json, text: Json = "", *, interval: bool = True) -> Json:
        """A folded value as a template. Raises NotImportable with the text if it needs more."""
        match value:
            case Known():
                return _literal(value.value)
            case Ref(root="config"):
                return f"{{{self.option(value)}}}"
            case Ref(root="partition"):
                return f"{{{self._partition_variable(value, component, text)}}}"
            case Ref(root="interval") if interval:
                return self._edge(value, None)
            case Applied(function=function) if (
                roots_of(value) == {"partition"} and function not in _PLAIN_FUNCTIONS
            ):
                return f"{{{self._computed_variable(value, component, text)}}}"
            case Moment() if roots_of(value) == {"partition"}:
                return f"{{{self._computed_variable(value, component, text)}}}"
            case Moment():
                return self._moment(value, component, text, interval=interval)
            case Operation(operator="*", left=Moment(format="%s") as moment, right=Known(value=1000)):
                return self._moment(Moment(moment.base, moment.offset_s, "%ms"), component, text)
            case _:
                return self._compound(value, component, text, interval=interval)

    def _compound(self, value: Value, component: Json, text: Json, *, interval: bool) -> Json:
        """A value that is made of others. Raises NotImportable."""
        match value:
            case Items(items=items):
                return [self.render(each, component, text, interval=interval) for each in items]
            case Joined():
                return self._joined(value, component, text, interval=interval)
            case Applied():
                return self._applied(value, component, text)
            case Choice():
                raise NotImportable(f"depends on a condition: {_shown(text)}", component)
            case _:
                raise NotImportable(f"is an expression: {_shown(text)}", component)

    def _moment(self, moment: Moment, component: Json, text: Json, *, interval: bool = True) -> str | None:
        """A time as a variable in its format. Raises NotImportable for any other time."""
        match moment.base:
            case Ref(root="interval") as edge if interval and not moment.offset_s:
                return self._edge(edge, moment.format)
            case Ref(root="config") as option if not moment.offset_s:
                return f"{{{self.option(option)}:{_time_format(moment)}}}"
            case "now" | "today" if not moment.offset_s:
                return f"{{now:{_time_format(moment)}}}"
            case _:
                raise NotImportable(f"is an expression: {_shown(text)}", component)

    def option(self, value: Ref) -> str:
        """The name of an option; a default of the text becomes that of the option."""
        return self.options.name(tuple(map(str, value.steps)), value.default)

    def _joined(self, value: Joined, component: Json, text: Json, *, interval: bool) -> str:
        parts = [self.render(each, component, text, interval=interval) for each in value.parts]
        return "".join("" if part is None else _plain_text(part) for part in parts)

    def _partition_variable(self, value: Ref, component: Json, text: Json) -> str:
        name = ".".join(map(str, value.steps))
        base = self.partition.get(str(value.steps[0])) if value.steps else None
        if name not in self.partition and base is not None and not base.startswith("{"):
            self.partition[name] = self._new_variable(value)
            self.members[self.partition[name]] = (base, tuple(map(str, value.steps[1:])))
        if name not in self.partition:
            raise NotImportable(
                f"uses {name or 'the partition'}, which no parent sets: {_shown(text)}", component
            )
        return self.partition[name]

    def _computed_variable(self, value: Value, component: Json, text: Json) -> str:
        """A variable that the SELECT of the parents computes from their columns."""
        found = next((name for name, known in self.computed.items() if known == value), None)
        ref = _first_ref(value)
        if found is None and ref is not None:
            self._partition_variable(ref, component, text)  # it has to be one of the parents
            found = self._new_variable(ref)
            self.computed[found] = value
        if found is None:
            raise NotImportable(f"is an expression: {_shown(text)}", component)
        return found

    def _new_variable(self, ref: Ref) -> str:
        taken = {*self.partition.values(), *self.computed, *self.options.known_names(), *RESERVED}
        return unique_name(option_name("_".join(map(str, ref.steps))), taken)

    def _edge(self, value: Ref, format_: str | None) -> str | None:
        """``{cursor}`` or ``{until}``; the formats of all edges must be the same. None without a window."""
        if not self.has_window:
            self.note("a time window that the stream does not have is not sent")
            return None
        self.moments.add(format_)
        if value.steps[:1] == ("end_time",):
            self.uses_until = True
            return "{until}"
        self.uses_cursor = True
        return "{cursor}"

    def _applied(self, value: Applied, component: Json, text: Json) -> Json:
        """A function of an option that only cleans it."""
        is_scheme = value.function == "replace" and all(
            not isinstance(each, str) or not each or _SCHEMES.fullmatch(each) for each in value.arguments
        )
        inner = value.target
        if value.function == "join" and value.arguments in ((",",), ()) and isinstance(inner, Ref):
            if inner.root == "config":
                self.note(f"{self.option(inner)} is a list: write its values with commas between them")
            return self.render(inner, component, text)
        if (value.function in _CLEANING or is_scheme) and isinstance(inner, Ref | Applied):
            found = self.render(inner, component, text)
            if value.function != "urlencode":
                self.note(f"{found} is used as it is written; the source applies {value.function} to it")
            return found
        if value.function == "length":
            raise NotImportable(f"is an expression: {_shown(text)}", component)
        raise NotImportable(f"needs {value.function} of a value: {_shown(text)}", component)

    # -- mappings ----------------------------------------------------------------------------------------

    def fields(self, value: Json, component: Json) -> dict[str, Json]:
        """Parameters or headers: names with templates; those without a value are left out."""
        if isinstance(value, str):
            return self._fields_of_text(value, component)
        found: dict[str, Json] = {}
        for name, text in value.items() if isinstance(value, Mapping) else ():
            rendered = self.json(text, component)
            if rendered not in (None, ""):
                found[self.text(name, component) if has_jinja(name) else name.strip()] = rendered
        return found

    def _fields_of_text(self, text: str, component: Json) -> dict[str, Json]:
        """Parameters as one text: ``a=1&b={{ … }}``."""
        rendered = self.text(text, component)
        pairs = [each.partition("=") for each in rendered.lstrip("?&").split("&") if each]
        return {name: value for name, _, value in pairs if value}

    def json(self, value: Json, component: Json) -> Json:
        """A JSON value with templates in place of its texts."""
        match value:
            case str():
                return self.template(value, component)
            case list():
                return [self.json(item, component) for item in value]
            case Mapping():
                found = {key: self.json(item, component) for key, item in value.items()}
                return {key: item for key, item in found.items() if item is not None}
            case _:
                return value


_TIME_FORMATS = {"%s": "unix", "%ms": "unix_ms", "%Y-%m-%d": "date"}


def _time_format(moment: Moment) -> str:
    """The format of a time in a text."""
    if moment.format is None:
        return "date" if moment.base == "today" else "%Y-%m-%d %H:%M:%S+00:00"
    return _TIME_FORMATS.get(moment.format, moment.format)


def _first_ref(value: Value) -> Ref | None:
    match value:
        case Ref():
            return value
        case Applied(target=inner):
            return _first_ref(inner)
        case Moment(base=inner) if not isinstance(inner, str):
            return _first_ref(inner)
        case _:
            return None


def _literal(value: Json) -> Json:
    match value:
        case str():
            return literal(value)
        case list():
            return [_literal(item) for item in value]
        case Mapping():
            return {str(key): _literal(item) for key, item in value.items()}
        case _:
            return value


def _plain_text(value: Json) -> str:
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else str(value)


def _shown(text: Json) -> str:
    return describe(text if isinstance(text, str) else str(text), 100)


def shown(text: Json) -> str:
    """A text of the manifest in a message."""
    return _shown(text)
