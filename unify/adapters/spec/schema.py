"""The schema of the Structs in ``model``: what the parser, the JSON Schema and the reference walk.

The type of a field is the schema of its key. ``doc`` adds what a type cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

T = TypeVar("T")


class Container(Enum):
    """The forms of a tuple in YAML other than a list."""

    ONE_OR_MORE = "one item may stand without a list"
    NAMED = "a mapping; its keys are the first field of the items"


OneOrMore = Annotated[tuple[T, ...], Container.ONE_OR_MORE]
Named = Annotated[tuple[T, ...], Container.NAMED]


class TextFormat(NamedTuple):
    """The format of a text. ``check`` returns the value or raises ValueError.

    ``label`` names the format in the reference, ``expected`` in messages; ``pattern`` is for JSON Schema.
    """

    label: str
    check: Callable[[str], object]
    pattern: str | None = None
    expected: str = "a string"


class TextSchema(Struct, frozen=True):
    """A scalar, as written; ``choices`` are all the values allowed."""

    format: TextFormat | None = None
    choices: tuple[str, ...] = ()


class NumberSchema(Struct, frozen=True):
    minimum: float
    maximum: float
    is_integer: bool


class BooleanSchema(Struct, frozen=True):
    """true or false"""


class AnySchema(Struct, frozen=True):
    """Any JSON value; its texts may contain variables."""


class ListSchema(Struct, frozen=True):
    """A list with at least one item."""

    items: Schema
    one_or_more: bool = False


class MapSchema(Struct, frozen=True):
    """A mapping with free keys. Items that are ``named`` become a tuple of Structs."""

    keys: TextSchema
    values: Schema
    named: bool = False


class UnionSchema(Struct, frozen=True):
    """One of several schemas, distinguished by the kind of the node: scalar, list or mapping."""

    alternatives: tuple[Schema, ...]


class ObjectSchema(Struct, frozen=True):
    """A mapping with known keys: those of a Struct."""

    struct: type[Struct]

    @property
    def keys(self) -> tuple[Key, ...]:
        return keys_of(self.struct)

    @property
    def shorthands(self) -> tuple[Key, ...]:
        """The keys whose value may stand for the whole mapping."""
        return tuple(key for key in self.keys if key.is_shorthand)


Schema = (
    TextSchema
    | NumberSchema
    | BooleanSchema
    | AnySchema
    | ListSchema
    | MapSchema
    | UnionSchema
    | ObjectSchema
)


class Key(Struct, frozen=True):
    """A key of a mapping. ``types`` are the values of the key ``type`` that have it; empty: all of them.

    ``unless``  another key, with which this one is not required.
    """

    name: str
    field: str
    schema: Schema
    description: str
    example: str
    default: str
    required: bool
    types: tuple[str, ...] = ()
    is_shorthand: bool = False
    unless: str = ""


def doc(
    description: str,
    example: str = "",
    *,
    default: str = "",
    required: bool = False,
    types: tuple[str, ...] = (),
    shorthand: bool = False,
    written_as: Any = None,
    unless: str = "",
) -> Meta:
    """Declare that a field of a Struct is a key of the language.

    ``default``     the default in words, where the default of the field does not show it.
    ``required``    required although the field has a default.
    ``types``       the values of the key ``type`` that have this key; empty: all of them.
    ``unless``      another key, with which this one is not required.
    ``shorthand``   the value may stand for the whole mapping.
    ``written_as``  the type in YAML, where it differs from the type of the field.
    """
    extra = {
        "default": default,
        "required": required,
        "types": types,
        "shorthand": shorthand,
        "written_as": written_as,
        "unless": unless,
    }
    return Meta(description=description, examples=[example], extra=extra)


@cache
def keys_of(struct: type[Struct]) -> tuple[Key, ...]:
    """The keys of a Struct and of its ``VARIANTS``: Structs tagged with the ``type`` that they belong to."""
    keys = [_key_of(field, ()) for field in fields(struct)]
    for variant in getattr(struct, "VARIANTS", ()):
        keys += [_key_of(field, (str(variant.__struct_config__.tag),)) for field in fields(variant)]
    return tuple(each for each in keys if each is not None)


def _key_of(field: FieldInfo, types: tuple[str, ...]) -> Key | None:
    """The key of a field; None for a field that is not part of the language."""
    metadata = getattr(field.type, "__metadata__", ())
    meta = next((each for each in metadata if isinstance(each, Meta) and each.description), None)
    if meta is None:
        return None
    extra = meta.extra or {}
    return Key(
        field.encode_name,
        field.name,
        schema_of(extra["written_as"] or field.type),
        meta.description or "",
        str((meta.examples or [""])[0]),
        extra["default"] or _default_text(field.default),
        required=field.required or extra["required"],
        types=types or extra["types"],
        is_shorthand=extra["shorthand"],
        unless=extra["unless"],
    )


def _default_text(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return str(default) if isinstance(default, str | int | float) else ""


def schema_of(annotation: Any) -> Schema:
    """The schema of a type."""
    metadata: list[Any] = []
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
    for each in metadata:
        if isinstance(each, TextFormat):
            return TextSchema(each)
        if isinstance(each, Meta) and each.ge is not None and each.le is not None:
            return NumberSchema(each.ge, each.le, is_integer=annotation is int)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        alternatives = tuple(schema_of(each) for each in arguments if each is not NoneType)
        return alternatives[0] if len(alternatives) == 1 else UnionSchema(alternatives)
    if origin is Literal:
        return TextSchema(choices=arguments)
    if origin is tuple and Container.NAMED in metadata:
        name = fields(arguments[0])[0]
        return MapSchema(_text_schema(name.type), ObjectSchema(arguments[0]), named=True)
    if origin is tuple:
        return ListSchema(schema_of(arguments[0]), one_or_more=Container.ONE_OR_MORE in metadata)
    if origin is Mapping:
        return MapSchema(_text_schema(arguments[0]), schema_of(arguments[1]))
    if annotation is bool:
        return BooleanSchema()
    if annotation is str:
        return TextSchema()
    return AnySchema() if annotation is Any else ObjectSchema(annotation)


def _text_schema(annotation: Any) -> TextSchema:
    schema = schema_of(annotation)
    assert isinstance(schema, TextSchema)
    return schema
