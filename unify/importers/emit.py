"""Writes an API of the model as a spec: YAML in the style of the bundled specs.

Short values are written in one line, as ``{type: bearer, token: "{token}"}``; longer ones in several.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from unify.importers.model import AuthOffer, ImportedAPI, ImportedTable, ImportSource
from unify.text import excerpt

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
LINE_LENGTH = 110
_INDENT = "  "
_BLOCK_KEYS = ("options", "tables")  # always written in several lines
# Texts that need no quotes, within {…} and […] and elsewhere.
_PLAIN = re.compile(r"[A-Za-z_/$.(][A-Za-z0-9_/$.%()+*<>=~ -]*(?:[:'][A-Za-z0-9_/$.%()+*<>=~-]+)*")
_PLAIN_ALONE = re.compile(
    r"[A-Za-z_/$.(](?:[^\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff#:]|:(?! |$)|(?<! )#)*"
)
_DURATION = re.compile(r"[0-9]+(?: [a-z]+)+")
_YAML_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
_NO_BLOCK = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]| \n")


def emit_spec(api: ImportedAPI, auth: AuthOffer | None) -> str:
    """Return the text of the spec file, with ``auth`` as its authentication."""
    lines = ["# yaml-language-server: $schema=schema.json", *_source_lines(api.source)]
    for key, value in spec_document(api, auth).items():
        lines += _entry(key, value, 0)
    return "\n".join(lines) + "\n"


def spec_document(api: ImportedAPI, auth: AuthOffer | None) -> dict[str, Json]:
    """Return the spec as a JSON value, with its keys in the order of the file."""
    limits = {} if api.requests_per_second is None else {"requests_per_second": api.requests_per_second}
    document = {
        "name": api.name,
        "description": api.description,
        "documentation": api.documentation,
        "base_url": api.base_url,
        "options": {each.name: _without(each, "name") for each in api.options},
        "auth": dict(auth.settings) if auth is not None else {},
        "credentials_also_to": list(api.credential_origins),
        "headers": dict(api.headers),
        "paging": msgspec.to_builtins(api.paging),
        "limits": limits,
        "tables": [_table_document(table) for table in api.tables],
    }
    return {key: value for key, value in document.items() if value not in ("", {}, None, [])}


def _table_document(table: ImportedTable) -> dict[str, Json]:
    own = _without(table, "request", "parents", "line", "added")
    request = _without(table.request, "method", "path")
    line = {"request": f"{table.request.method} {table.request.path}"}
    document: dict[str, Json] = {"name": table.name}
    if "description" in own:
        document["description"] = own["description"]
    document |= line | request | own
    if table.columns:
        document["columns"] = {each.name: _column_document(_without(each, "name")) for each in table.columns}
    if table.filters:
        document["filters"] = {each.column: _without(each, "column") for each in table.filters}
    for key, values in (("key", table.key), ("exclude", table.exclude)):
        if len(values) == 1:
            document[key] = values[0]
    return document


def _without(value: msgspec.Struct, *keys: str) -> dict[str, Json]:
    document: dict[str, Json] = msgspec.to_builtins(value)
    return {key: item for key, item in document.items() if key not in keys}


def _column_document(column: dict[str, Json]) -> Json:
    """``columns: {NAME: TYPE}`` is the short form of a column with nothing but a type."""
    return column["type"] if set(column) == {"type"} else column


def _source_lines(source: ImportSource) -> Iterator[str]:
    """The comment that says where the spec comes from; the terms of a licence stay with it."""
    known = {"airbyte": "an Airbyte manifest"}
    own_name = source.name or known.get(source.format, source.format)
    name = " ".join(part for part in (own_name, source.version) if part)
    licence = f", {source.licence}" if source.licence else ""
    yield _comment(f"Converted from {name}{licence}")


def _comment(text: str) -> str:
    clean = " ".join(_ESCAPED.sub("", text).split())
    return "# " + excerpt("".join(char for char in clean if char.isprintable()), LINE_LENGTH - 2)


# -- YAML --------------------------------------------------------------------------------------------


def _entry(key: str, value: Json, depth: int) -> Iterator[str]:
    """The lines of ``key: value`` in a mapping at ``depth``."""
    start = f"{_INDENT * depth}{scalar(key)}:"
    if isinstance(value, str) and _is_block_text(value):
        yield f"{start} |-"
        yield from (f"{_INDENT * (depth + 1)}{line}".rstrip() for line in value.split("\n"))
        return
    in_one_line = f"{start} {scalar(value, alone=True) if isinstance(value, str) else flow(value)}"
    is_block = isinstance(value, Mapping | Sequence) and not isinstance(value, str) and value
    if not is_block or (len(in_one_line) <= LINE_LENGTH and (depth or key not in _BLOCK_KEYS)):
        yield in_one_line
        return
    yield start
    yield from _block(value, depth + 1)


def _block(value: Json, depth: int) -> Iterator[str]:
    """The lines of a mapping or list in several lines."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(key, item, depth)
        return
    for item in value:
        in_one_line = f"{_INDENT * depth}- {flow(item)}"
        is_table = isinstance(item, Mapping) and "request" in item
        if is_table or (len(in_one_line) > LINE_LENGTH and isinstance(item, Mapping | list | tuple) and item):
            lines = _block(item, depth + 1)
            yield f"{_INDENT * depth}- {next(lines).lstrip()}"
            yield from lines
        else:
            yield in_one_line


def _is_block_text(text: str) -> bool:
    """Whether a text of several lines keeps its form in a literal block."""
    return "\n" in text and not _NO_BLOCK.search(text) and text == text.strip() and bool(text)


def flow(value: Json) -> str:
    """A JSON value in one line, as YAML."""
    match value:
        case str():
            return scalar(value)
        case Mapping():
            members = (f"{scalar(str(key))}: {flow(item)}" for key, item in value.items())
            return "{" + ", ".join(members) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
        case _:
            return json.dumps(value)


def scalar(text: str, *, alone: bool = False) -> str:
    """A text as a YAML scalar: plain if it is a text in YAML 1.1 and 1.2 alike, else in double quotes.

    ``alone``  it is not within ``{…}`` or ``[…]``, where commas and brackets separate.
    """
    pattern = _PLAIN_ALONE if alone else _PLAIN
    is_plain = pattern.fullmatch(text) and text == text.strip() and text.lower() not in _YAML_WORDS
    if (is_plain and not re.fullmatch(r"\..*", text)) or _DURATION.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
