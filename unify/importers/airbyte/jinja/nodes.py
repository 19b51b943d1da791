"""Parsed expressions and templates."""

from __future__ import annotations

from msgspec import Struct

from unify.importers.model import Json


class Node(Struct, frozen=True):
    """An expression, or a template of texts and expressions."""


class ConstNode(Node, frozen=True):
    value: Json


class NameNode(Node, frozen=True):
    name: str


class MemberNode(Node, frozen=True):
    """``target.name`` or ``target[key]``."""

    target: Node
    key: Node


class SliceNode(Node, frozen=True):
    target: Node
    start: Node | None = None
    stop: Node | None = None


class CallNode(Node, frozen=True):
    function: Node
    arguments: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...] = ()


class FilterNode(Node, frozen=True):
    target: Node
    name: str
    arguments: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...] = ()


class TestNode(Node, frozen=True):
    target: Node
    name: str


class OperationNode(Node, frozen=True):
    """``left operator right``: arithmetic, ``~``, comparisons, ``in``, ``and`` and ``or``."""

    operator: str
    left: Node
    right: Node


class NotNode(Node, frozen=True):
    operand: Node


class CondNode(Node, frozen=True):
    test: Node
    then: Node
    otherwise: Node


class ListNode(Node, frozen=True):
    items: tuple[Node, ...]


class DictNode(Node, frozen=True):
    items: tuple[tuple[Node, Node], ...]


class TemplateNode(Node, frozen=True):
    """Texts and expressions in order; one expression alone keeps its type."""

    parts: tuple[Node, ...]


class SetNode(Node, frozen=True):
    """``{% set name = value %}``: the name holds in the rest of the template."""

    name: str
    value: Node


class OpaqueNode(Node, frozen=True):
    """What the grammar does not know, with its text."""

    text: str
