"""Reads a foreign document: text, JSON or YAML with line numbers. Nothing in a document is run.

YAML is read as its usual reader does (YAML 1.1 scalars), except that dates stay texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from unify.errors import FileError
from unify.fs.durable import open_regular_file

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
MAX_JSON_BYTES = 200_000_000  # a recording of a browser
MAX_YAML_BYTES = 16_000_000  # the largest known manifest has 1.3 MB, the largest OpenAPI document 12 MB
MAX_DEPTH = 100
MAX_VALUES = 3_000_000  # aliases count at each use
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CURL = re.compile(r"^\s*(?:[$>%#]\s+)?curl(?:\.exe)?\s", re.MULTILINE)


class PositionedMapping(dict[str, Any]):
    """A mapping of a YAML document; ``line`` counts from 1."""

    line: int = 0


class SourceText(Struct, frozen=True):
    """The text of a file. ``path`` is as the user wrote it; ``folder`` is where relative references start."""

    path: str
    text: str
    folder: Path | None = None

    def line_of(self, fragment: str) -> int:
        """The first line that contains ``fragment``; 0 if none does."""
        position = self.text.find(fragment)
        return 0 if position < 0 else self.text.count("\n", 0, position) + 1


def read_source(path: str, stdin: bytes | None = None) -> SourceText:
    """Read a file, or ``-``: standard input. Raises FileError."""
    if path == "-":
        return SourceText("standard input", _decode(stdin or b"", "standard input"))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise FileError(f"{path}: addresses are not fetched; download the document and name the file")
    try:
        with open_regular_file(Path(path)) as file:
            raw = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_JSON_BYTES:
        raise FileError(f"{path}: is larger than {MAX_JSON_BYTES:,} bytes")
    return SourceText(path, _decode(raw, path), Path(path).resolve().parent)


def _decode(raw: bytes, path: str) -> str:
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: is not UTF-8 text (byte {error.start + 1})") from error


def is_curl_text(text: str) -> bool:
    """Whether a text has a curl command at the start of a line."""
    return _CURL.search(text) is not None


def parse_document(source: SourceText) -> Json:
    """Parse JSON or YAML. Raises FileError that names the position."""
    if source.text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(source.text)
        except (json.JSONDecodeError, RecursionError) as error:
            if not _may_be_yaml(error):
                raise FileError(_json_problem(source, error)) from error
    return _parse_yaml(source)


def _may_be_yaml(error: Exception) -> bool:
    """A YAML flow mapping starts like JSON: its names have no quotes."""
    return isinstance(error, json.JSONDecodeError) and error.pos <= 2


def _json_problem(source: SourceText, error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{source.path}:{error.lineno}:{error.colno}: invalid JSON: {error.msg}"
    return f"{source.path}: nested too deeply"


def _parse_yaml(source: SourceText) -> Json:
    if len(source.text) > MAX_YAML_BYTES:
        raise FileError(f"{source.path}: YAML of more than {MAX_YAML_BYTES:,} bytes; convert it to JSON")
    try:
        root = yaml.compose(source.text, Loader=_LOADER)
        return None if root is None else _YamlReader(source.path).value(root, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise FileError(f"{source.path}{place}: invalid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise FileError(f"{source.path}: invalid YAML: {type(error).__name__}") from error


class _YamlReader:
    """Makes JSON values of YAML nodes. Tags other than those of JSON are texts."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0

    def value(self, node: yaml.Node, depth: int) -> Json:
        self._count += 1
        if depth > MAX_DEPTH or self._count > MAX_VALUES:
            line = node.start_mark.line + 1
            limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_VALUES:,} values"
            raise FileError(f"{self._path}:{line}: more than {limit}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        return _scalar_value(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> PositionedMapping:
        mapping = PositionedMapping()
        mapping.line = node.start_mark.line + 1
        for key, item in node.value:
            value = self.value(item, depth + 1)
            if key.tag == "tag:yaml.org,2002:merge":
                for each in value if isinstance(value, list) else [value]:
                    mapping.update({name: mapping.get(name, v) for name, v in _members(each)})
            else:
                name = self.value(key, depth + 1)
                mapping[name if isinstance(name, str) else str(key.value)] = value
        return mapping


def _members(value: Json) -> list[tuple[str, Json]]:
    return list(value.items()) if isinstance(value, Mapping) else []


_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


def _scalar_value(node: yaml.Node) -> Json:
    kind, text = node.tag.rpartition(":")[2], str(node.value)
    match kind:
        case "null":
            return None
        case "bool":
            return _BOOLEANS[text.lower()]
        case "int" if re.fullmatch(r"[-+]?(?:0|[1-9][0-9]{0,30})", text):
            return int(text)
        case "float" if re.fullmatch(r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]{1,3})?", text):
            return float(text)
        case _:
            return text


def line_of(value: object) -> int:
    """The line of a mapping of a YAML document; 0 for other values."""
    return value.line if isinstance(value, PositionedMapping) else 0


def members_of(value: Json) -> Mapping[str, Json]:
    """A mapping, or an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def items_of(value: Json) -> list[Json]:
    """A list, or an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def text_of(value: Json) -> str:
    """A text, or ``""`` in place of anything else."""
    return value if isinstance(value, str) else ""
