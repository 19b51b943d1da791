"""Parses Jinja texts: the template by its marks, each expression with expression.lark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError

from unify.importers.airbyte.jinja.nodes import (
    CallNode,
    CondNode,
    ConstNode,
    DictNode,
    FilterNode,
    ListNode,
    MemberNode,
    NameNode,
    Node,
    NotNode,
    OpaqueNode,
    OperationNode,
    SetNode,
    SliceNode,
    TemplateNode,
    TestNode,
)

_MARK = re.compile(r"\{\{-?|\{%-?|\{#")
_MAX_CHARS = 20_000  # of a template
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_SET = re.compile(r"set\s+([A-Za-z_]\w*)\s*=\s*(.*)", re.DOTALL)


def has_jinja(text: str) -> bool:
    """Whether a text has an expression or statement."""
    return "{{" in text or "{%" in text


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Node:
    """Parse a text. What cannot be parsed is an OpaqueNode with its text; nothing is raised."""
    if len(text) > _MAX_CHARS:
        return OpaqueNode(f"{text[:60]}…")
    try:
        tokens = _tokenize(text)
        parts, rest = _parse_parts(tokens, 0, ())
    except ValueError:
        return OpaqueNode(text)
    return parts if rest == len(tokens) else OpaqueNode(text)


_TemplateToken = tuple[str, str]  # "text", "expression" or "statement", and its text


def _tokenize(text: str) -> list[_TemplateToken]:
    """Texts, expressions and statements. Raises ValueError for a mark without an end."""
    tokens: list[_TemplateToken] = []
    position = 0
    while mark := _MARK.search(text, position):
        if mark.start() > position:
            tokens.append(("text", text[position : mark.start()]))
        end_mark = {"{{": "}}", "{%": "%}", "{#": "#}"}[mark[0][:2]]
        end = _find_end(text, mark.end(), end_mark)
        kind = {"{{": "expression", "{%": "statement", "{#": "comment"}[mark[0][:2]]
        inner = text[mark.end() : end].strip()
        if kind != "comment":
            tokens.append((kind, inner.rstrip("-").strip() if inner.endswith("-") else inner))
        position = end + 2
        if text[end - 1] == "-" or kind == "statement":
            position = _skip_line_end(text, position, all_space=text[end - 1] == "-")
    if position < len(text):
        tokens.append(("text", text[position:]))
    return tokens


def _skip_line_end(text: str, position: int, *, all_space: bool) -> int:
    if all_space:
        while position < len(text) and text[position].isspace():
            position += 1
    return position


def _find_end(text: str, start: int, mark: str) -> int:
    """The position of the end mark outside quotes. Raises ValueError without one."""
    quote = ""
    position = start
    while position < len(text):
        char = text[position]
        if quote:
            if char == "\\":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "'\"" and mark != "#}":
            quote = char
        elif text.startswith(mark, position):
            return position
        position += 1
    raise ValueError("a mark without its end")


def _parse_parts(tokens: Sequence[_TemplateToken], at: int, ends: tuple[str, ...]) -> tuple[Node, int]:
    """Parts up to a statement of ``ends``, or to the end; return also the position of that statement."""
    parts: list[Node] = []
    while at < len(tokens):
        kind, text = tokens[at]
        word = text.split(maxsplit=1)[0] if kind == "statement" and text else ""
        if kind == "statement" and word in ends:
            break
        if kind == "text":
            parts.append(ConstNode(text))
        elif kind == "expression":
            parts.append(parse_expression(text))
        elif word == "if":
            condition, at = _parse_if(tokens, at)
            parts.append(condition)
            continue
        elif found := _SET.fullmatch(text):
            parts.append(SetNode(found[1], parse_expression(found[2])))
        else:
            raise ValueError(f"the statement {word} is not known")
        at += 1
    return TemplateNode(tuple(parts)), at


def _parse_if(tokens: Sequence[_TemplateToken], at: int) -> tuple[Node, int]:
    """``{% if %} … {% elif %} … {% else %} … {% endif %}``; return the position after it."""
    test = parse_expression(tokens[at][1].partition(" ")[2])
    then, at = _parse_parts(tokens, at + 1, ("elif", "else", "endif"))
    if at >= len(tokens):
        raise ValueError("if without endif")
    word = tokens[at][1].split(maxsplit=1)[0]
    if word == "elif":
        otherwise, at = _parse_if(tokens, at)
        return CondNode(test, then, otherwise), at
    otherwise = ConstNode("")
    if word == "else":
        otherwise, at = _parse_parts(tokens, at + 1, ("endif",))
        if at >= len(tokens):
            raise ValueError("else without endif")
    return CondNode(test, then, otherwise), at + 1


@lru_cache(maxsize=8192)
def parse_expression(text: str) -> Node:
    """Parse one expression; an OpaqueNode if the grammar does not know it."""
    try:
        tree = _expression_parser().parse(text)
        return _NodeBuilder().transform(tree)
    except (LarkError, RecursionError):
        return OpaqueNode(text)


@cache
def _expression_parser() -> Lark:
    grammar = Path(__file__).with_name("expression.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=True)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text[1:-1], flags=re.DOTALL)


def _operation(operator: str):  # type: ignore[no-untyped-def]  # a method of a Transformer
    def build(_self: object, children: list[Node]) -> Node:
        return OperationNode(operator, children[0], children[1])

    return build


class _Arguments(Node, frozen=True):
    positions: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...]


class _NodeBuilder(Transformer[Token, Node]):
    """Builds nodes of the rules of the grammar."""

    either = _operation("or")
    both = _operation("and")
    joined = _operation("~")
    plus = _operation("+")
    minus = _operation("-")
    times = _operation("*")
    divided = _operation("/")
    floor_divided = _operation("//")
    modulo = _operation("%")
    contained = _operation("in")

    def cond(self, children: list[Node | None]) -> Node:
        test, then, otherwise = children[1], children[0], children[2] or ConstNode("")
        assert test is not None
        assert then is not None
        return CondNode(test, then, otherwise)

    def negated(self, children: list[Node]) -> Node:
        return NotNode(children[0])

    def compare(self, children: list[Node | Token]) -> Node:
        left, operator, right = children
        assert isinstance(left, Node)
        assert isinstance(right, Node)
        return OperationNode(str(operator), left, right)

    def not_contained(self, children: list[Node]) -> Node:
        return NotNode(OperationNode("in", children[0], children[1]))

    def test(self, children: list[Token]) -> Node:
        return NameNode(str(children[0]).lower())

    def tested(self, children: list[Node]) -> Node:
        assert isinstance(children[1], NameNode)
        return TestNode(children[0], children[1].name)

    def not_tested(self, children: list[Node]) -> Node:
        return NotNode(self.tested(children))

    def minus_sign(self, children: list[Node]) -> Node:
        return OperationNode("-", ConstNode(0), children[0])

    def filter(self, children: list[Node | Token | None]) -> Node:
        target, name, arguments = children
        assert isinstance(target, Node)
        found = arguments if isinstance(arguments, _Arguments) else _Arguments((), ())
        return FilterNode(target, str(name), found.positions, found.named)

    def attribute(self, children: list[Node | Token]) -> Node:
        assert isinstance(children[0], Node)
        return MemberNode(children[0], ConstNode(str(children[1])))

    def item(self, children: list[Node]) -> Node:
        return MemberNode(children[0], children[1])

    def slice(self, children: list[Node | None]) -> Node:
        target, start, stop = children
        assert target is not None
        return SliceNode(target, start, stop)

    def call(self, children: list[Node]) -> Node:
        arguments = children[1]
        assert isinstance(arguments, _Arguments)
        return CallNode(children[0], arguments.positions, arguments.named)

    def arguments(self, children: list[Node | None]) -> Node:
        given = [each for each in children if each is not None]
        named = tuple((each.name, each.value) for each in given if isinstance(each, SetNode))
        return _Arguments(tuple(each for each in given if not isinstance(each, SetNode)), named)

    def named(self, children: list[Node | Token]) -> Node:
        assert isinstance(children[1], Node)
        return SetNode(str(children[0]), children[1])

    def name(self, children: list[Token]) -> Node:
        return NameNode(str(children[0]))

    def number(self, children: list[Token]) -> Node:
        text = str(children[0])
        return ConstNode(float(text) if "." in text else int(text))

    def string(self, children: list[Token]) -> Node:
        return ConstNode(_unquote(str(children[0])))

    def true(self, _children: list[Token]) -> Node:
        return ConstNode(True)

    def false(self, _children: list[Token]) -> Node:
        return ConstNode(False)

    def none(self, _children: list[Token]) -> Node:
        return ConstNode(None)

    def sequence(self, children: list[Node | None]) -> Node:
        return ListNode(tuple(each for each in children if each is not None))

    def pair(self, children: list[Node]) -> Node:
        return ListNode((children[0], children[1]))

    def dictionary(self, children: list[Node | None]) -> Node:
        pairs = [each for each in children if isinstance(each, ListNode)]
        return DictNode(tuple((each.items[0], each.items[1]) for each in pairs))
