"""Options of the connection specification: their names, secrets and defaults, and what conditions assume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from unify.importers.airbyte.jinja.values import Known, Ref, Value
from unify.importers.airbyte.manifest import Component
from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.common.names import describe, option_name, unique_name
from unify.importers.common.secrets import is_secret_name
from unify.importers.model import ImportedOption, Json

ConfigPath = tuple[str, ...]


class ConfigProperty(Struct, frozen=True):
    """A property of the connection specification. ``values`` are the allowed ones; ``kind`` its JSON type."""

    path: ConfigPath
    name: str
    description: str
    default: Json
    secret: bool
    required: bool
    kind: str
    values: tuple[Json, ...]
    constant: bool = False


class ConfigOptions:
    """The options of a manifest, made as texts refer to them."""

    def __init__(self, spec: Component, chosen: Mapping[str, str]) -> None:
        schema = members_of(spec.get("connection_specification"))
        found = list(_properties(schema, (), required=True))
        lasts = Counter(option_name(each.path[-1]) for each in _unique(found))
        self._properties: dict[ConfigPath, ConfigProperty] = {}
        for each in found:
            last = option_name(each.path[-1])
            name = last if lasts[last] == 1 else option_name("_".join(each.path))
            self._add(replace(each, name=name))
        self._chosen = chosen
        self._used: dict[str, ImportedOption] = {}
        self.assumed: dict[str, str] = {}

    def _add(self, found: ConfigProperty) -> None:
        """One property for each path: alternatives of the specification share those of the same path."""
        known = self._properties.get(found.path)
        if known is not None:
            values = tuple(dict.fromkeys((*known.values, *found.values)))
            found = replace(known, values=values, secret=known.secret or found.secret)
        self._properties[found.path] = found

    def name(self, path: ConfigPath, default: Json = None) -> str:
        """The option of a path; it is declared. ``default`` is what the text uses if there is no value."""
        found = self._properties.get(path) or self._unknown(path)
        value = found.default if found.default not in (None, "") else default
        is_set = found.name in self._chosen and not found.secret
        text = self._chosen[found.name] if is_set else _text(value)
        known = self._used.get(found.name)
        if known is None or (known.default is None and text is not None):
            secret = found.secret or is_secret_name(found.path[-1])
            self._used[found.name] = ImportedOption(
                found.name,
                found.description,
                None if secret else text,
                secret,
                required=found.required and (secret or text is None),
            )
        return found.name

    def require(self, path: ConfigPath) -> str | None:
        """The option of a path, which a connection has to set; None if it is a secret."""
        found = self._properties.get(path) or self._unknown(path)
        if found.secret or is_secret_name(path[-1]):
            return None
        self._properties[path] = replace(found, required=True)
        self._used.pop(found.name, None)
        return self.name(path)

    def _unknown(self, path: ConfigPath) -> ConfigProperty:
        """An option that the specification does not have."""
        last = option_name(path[-1] if path else "value")
        name = unique_name(last, [each.name for each in self._properties.values()])
        secret = is_secret_name(path[-1] if path else "")
        self._properties[path] = ConfigProperty(path, name, "", None, secret, False, "string", ())
        return self._properties[path]

    def decide(self, path: ConfigPath) -> Value:
        """The value of an option in a condition: what the user sets, else the default or the first allowed.

        A required text has some value, which is not known: the result is the Ref. An optional one is absent.
        """
        found = self._properties.get(path)
        if found is None:
            nested = any(each[: len(path)] == path for each in self._properties)
            return Ref("config", path) if nested and path else Known(None)
        if found.constant:
            return self._assume(found, found.values[0])
        if found.name in self._chosen and not found.secret:
            given = self._chosen[found.name]
            value = given.lower() == "true" if found.kind == "boolean" else given
            return Known(value) if found.values or found.kind == "boolean" else Ref("config", path)
        if found.values:
            default = found.default if found.default is not None else found.values[0]
            return self._assume(found, default)
        if found.kind == "boolean":
            return self._assume(found, bool(found.default))
        if found.required or found.default not in (None, "", [], {}):
            return Ref("config", path)
        return self._assume(found, None)

    def _assume(self, found: ConfigProperty, value: Json) -> Value:
        others = [str(each) for each in found.values if each != value]
        text = "absent" if value is None else f"{value!r}".lower() if isinstance(value, bool) else repr(value)
        self.assumed[found.name] = text + (f" (also {', '.join(others[:6])})" if others else "")
        return Known(value)

    def find(self, path: ConfigPath) -> ConfigProperty | None:
        return self._properties.get(path)

    def default_of(self, name: str) -> str | None:
        """The value that the user sets for an option, or its default."""
        found = next((each for each in self._properties.values() if each.name == name), None)
        return self._chosen.get(name) or (_text(found.default) if found is not None else None)

    def chosen_value(self, name: str) -> str | None:
        """The value that the user sets for an option."""
        return self._chosen.get(name)

    def used(self) -> tuple[ImportedOption, ...]:
        """The options that texts refer to, in the order of the specification."""
        order = [each.name for each in self._properties.values()]
        return tuple(sorted(self._used.values(), key=lambda each: order.index(each.name)))

    def assumable(self) -> Mapping[str, str]:
        """The options that can be chosen when the manifest is imported, with what is assumed."""
        return self.assumed

    def known_names(self) -> set[str]:
        return {each.name for each in self._properties.values()}


def _unique(found: list[ConfigProperty]) -> list[ConfigProperty]:
    return list({each.path: each for each in found}.values())


def _properties(schema: Component, path: ConfigPath, *, required: bool) -> Iterator[ConfigProperty]:
    """The leaves of a specification, with those of every alternative."""
    needed = {text_of(each) for each in items_of(schema.get("required"))}
    for name, value in members_of(schema.get("properties")).items():
        yield from _property(members_of(value), (*path, name), required=required and name in needed)
    for key in ("oneOf", "anyOf", "allOf"):
        for each in items_of(schema.get(key)):
            yield from _properties(members_of(each), path, required=False)


def _property(value: Component, path: ConfigPath, *, required: bool) -> Iterator[ConfigProperty]:
    if "properties" in value or "oneOf" in value or "anyOf" in value:
        yield from _properties(value, path, required=required)
        if "properties" in value or not _has_type(value):
            return
    values = tuple(items_of(value.get("enum")))
    constant = "const" in value
    if constant:
        values = (value["const"],)
    default = value.get("default")
    kind = value.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    yield ConfigProperty(
        path,
        "",
        describe(value.get("description") or value.get("title"), 160),
        default,
        value.get("airbyte_secret") is True,
        required,
        next((text_of(each) for each in kinds if each != "null"), "string"),
        tuple(each for each in values if isinstance(each, str | int | bool)),
        constant and len(values) == 1,
    )


def _has_type(value: Component) -> bool:
    return value.get("type") not in (None, "object")


def _text(value: Json) -> str | None:
    match value:
        case None | "" | dict() | list():
            return None
        case bool():
            return str(value).lower()
        case _:
            return str(value)
