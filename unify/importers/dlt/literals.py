"""Reads values of a Python file with ``ast``. Nothing is run: a value that needs code is ``PythonCode``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from unify.errors import FileError
from unify.importers.common.documents import PositionedMapping, SourceText
from unify.importers.common.names import describe, literal, option_name
from unify.importers.common.secrets import is_secret_name
from unify.importers.model import ImportedOption

Value = Any  # a JSON value, TemplateText or PythonCode
_MAX_DEPTH = 60
_MAX_FILE = 2_000_000  # characters


class PythonCode(Struct, frozen=True):
    """A value that only running the file would show."""

    text: str
    line: int


class TemplateText(str):
    """A text that is a template of the spec language already: the value of a secret or an argument."""


class PythonLiterals:
    """The dictionaries of a Python file, and the options that stand for its secrets and arguments."""

    def __init__(self, source: SourceText) -> None:
        if len(source.text) > _MAX_FILE:
            raise FileError(f"{source.path}: has more than {_MAX_FILE:,} characters")
        try:
            self._tree = ast.parse(source.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            raise FileError(f"{source.path}{line}: invalid Python: {error}") from error
        self.options: dict[str, ImportedOption] = {}
        self._scopes: list[dict[str, ast.expr | None]] = []

    def configurations(self) -> Iterator[PositionedMapping]:
        """The dictionaries with ``client`` and ``resources``, wherever they are in the file."""
        yield from self._find(self._tree, [self._assignments(self._tree)])

    def _find(self, node: ast.AST, scopes: list[dict[str, ast.expr | None]]) -> Iterator[PositionedMapping]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments: dict[str, ast.expr | None] = {each.arg: None for each in _all_arguments(node.args)}
            scopes = [*scopes, arguments | self._assignments(node)]
        if isinstance(node, ast.Dict) and {"client", "resources"} <= _keys_of(node):
            self._scopes = scopes
            value = self._value(node, 0)
            if isinstance(value, PositionedMapping):
                yield value
            return
        for child in ast.iter_child_nodes(node):
            yield from self._find(child, scopes)

    def _assignments(self, node: ast.AST) -> dict[str, ast.expr | None]:
        """The names that are assigned once in a body, without those of functions in it."""
        found: dict[str, ast.expr | None] = {}
        for each in getattr(node, "body", ()):
            target: ast.expr | None = None
            if isinstance(each, ast.Assign) and len(each.targets) == 1:
                target = each.targets[0]
            elif isinstance(each, ast.AnnAssign):
                target = each.target
            if isinstance(target, ast.Name) and isinstance(each, ast.Assign | ast.AnnAssign):
                found[target.id] = each.value
        return found

    # -- values ------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr, depth: int) -> Value:
        if depth > _MAX_DEPTH:
            return _code(node)
        match node:
            case ast.Constant(value=str() | int() | float() | bool() | None):
                return node.value
            case ast.Dict():
                return self._dict(node, depth)
            case ast.List() | ast.Tuple():
                return [self._value(item, depth + 1) for item in node.elts]
            case ast.JoinedStr():
                return self._f_string(node, depth)
            case ast.Name():
                return self._name(node, depth)
            case ast.Subscript() | ast.Attribute():
                return self._secret(node)
            case ast.Call():
                return self._call(node, depth)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case _:
                return _code(node)

    def _dict(self, node: ast.Dict, depth: int) -> PositionedMapping | PythonCode:
        found = PositionedMapping()
        found.line = node.lineno
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:  # **other
                other = self._value(item, depth + 1)
                if not isinstance(other, Mapping):
                    return _code(node)
                found.update(other)
                continue
            name = self._value(key, depth + 1)
            if not isinstance(name, str):
                return _code(node)
            found[name] = self._value(item, depth + 1)
        return found

    def _f_string(self, node: ast.JoinedStr, depth: int) -> Value:
        parts = []
        for each in node.values:
            value = self._value(each.value if isinstance(each, ast.FormattedValue) else each, depth + 1)
            if not isinstance(value, str | int):
                return _code(node)
            parts.append(value if isinstance(value, TemplateText) else literal(str(value)))
        return TemplateText("".join(parts))

    def _name(self, node: ast.Name, depth: int) -> Value:
        """A name: the literal that it was assigned, or an argument of the function, which is an option."""
        for scope in reversed(self._scopes):
            if node.id not in scope:
                continue
            assigned = scope[node.id]
            return self._option(node.id) if assigned is None else self._value(assigned, depth + 1)
        return _code(node)

    def _secret(self, node: ast.Subscript | ast.Attribute) -> Value:
        """``dlt.secrets["a.b"]``, ``dlt.secrets.value``, ``dlt.config[…]`` and ``os.environ[…]``."""
        text = ast.unparse(node)
        if not text.startswith(("dlt.secrets", "dlt.config", "os.environ", "secrets[", "config[")):
            return _code(node)
        name = "token"
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            name = str(node.slice.value).rpartition(".")[2]
        return self._option(name, secret="secrets" in text or None)

    def _call(self, node: ast.Call, depth: int) -> Value:
        """Known classes of dlt as the dictionaries that mean the same; ``dlt.secrets.get("x")``."""
        name = ast.unparse(node.func)
        if name.startswith(("dlt.secrets", "dlt.config", "os.environ", "os.getenv")) and node.args:
            first = node.args[0]
            known = isinstance(first, ast.Constant) and isinstance(first.value, str)
            text = str(first.value).rpartition(".")[2] if known and isinstance(first, ast.Constant) else ""
            return self._option(text, secret="secrets" in name or None) if text else _code(node)
        last = name.rpartition(".")[2]
        if last not in CLASSES:
            return _code(node)
        kind, positions = CLASSES[last]
        found = PositionedMapping({"type": kind})
        found.line = node.lineno
        for position, argument in zip(positions, node.args, strict=False):
            found[position] = self._value(argument, depth + 1)
        for keyword in node.keywords:
            if keyword.arg is None:
                return _code(node)
            found[keyword.arg] = self._value(keyword.value, depth + 1)
        return found

    def _option(self, name: str, *, secret: bool | None = None) -> TemplateText:
        option = option_name(name)
        if option not in self.options:
            is_secret = is_secret_name(name) if secret is None else secret
            text = f"{describe(name, 60)} of the configuration"
            self.options[option] = ImportedOption(option, text, secret=is_secret, required=True)
        return TemplateText(f"{{{option}}}")


# Classes of dlt, with the type of the dictionary that means the same and the names of positional arguments.
CLASSES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "BearerTokenAuth": ("bearer", ("token",)),
    "APIKeyAuth": ("api_key", ("name", "api_key", "location")),
    "HttpBasicAuth": ("http_basic", ("username", "password")),
    "OAuth2ClientCredentials": (
        "oauth2_client_credentials",
        ("access_token_url", "client_id", "client_secret"),
    ),
    "PageNumberPaginator": ("page_number", ("base_page", "page", "page_param", "total_path", "maximum_page")),
    "OffsetPaginator": ("offset", ("limit", "offset", "offset_param", "limit_param", "total_path")),
    "JSONLinkPaginator": ("json_link", ("next_url_path",)),
    "JSONResponsePaginator": ("json_link", ("next_url_path",)),
    "JSONResponseCursorPaginator": ("cursor", ("cursor_path", "cursor_param")),
    "HeaderLinkPaginator": ("header_link", ("links_next_key",)),
    "HeaderCursorPaginator": ("header_cursor", ("cursor_key", "cursor_param")),
    "SinglePagePaginator": ("single_page", ()),
    "incremental": ("incremental", ("cursor_path", "initial_value")),
}


def _keys_of(node: ast.Dict) -> set[object]:
    return {each.value for each in node.keys if isinstance(each, ast.Constant)}


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _code(node: ast.expr) -> PythonCode:
    return PythonCode(describe(ast.unparse(node), 60), node.lineno)


def find_code(value: Value) -> PythonCode | None:
    """The first value below ``value`` that needs code."""
    match value:
        case PythonCode():
            return value
        case Mapping():
            return next((found for item in value.values() if (found := find_code(item))), None)
        case list():
            return next((found for item in value if (found := find_code(item))), None)
        case _:
            return None
