"""The structure of a table's rows: every place in them and the kinds of values seen there.

It is learned from whole rows and only grows. ``Selection`` keeps it from following what is not wanted.
"""

from __future__ import annotations

from collections.abc import Iterator

from unify.duckdb_types import quote_name
from unify.loading import kinds
from unify.loading.exactjson import Json
from unify.loading.selection import ROOT, Choice, Selection

MAX_DEPTH = 100  # levels of nesting that are followed; what is deeper is kept as JSON
MAX_LISTS = 8  # lists within lists; DuckDB's time to read them back from Parquet doubles with each


class Node:
    """One place in the rows. ``members`` of an object by key, ``item`` of a list.

    ``flat``    an object here becomes columns, one for each member.
    ``inside``  the place lies within a LIST or STRUCT, where texts are not looked at for dates.
    """

    __slots__ = ("choice", "depth", "flat", "inside", "item", "kinds", "lists", "members", "path")

    def __init__(
        self,
        path: tuple[str, ...] = (),
        choice: Choice = ROOT,
        *,
        depth: int = 0,
        lists: int = 0,
        flat: bool = False,
        inside: bool = True,
    ) -> None:
        self.path = path
        self.choice = choice
        self.depth = depth
        self.lists = lists
        self.flat = flat
        self.inside = inside
        self.kinds = 0
        self.members: dict[str, Node] = {}
        self.item: Node | None = None

    @property
    def mixed(self) -> bool:
        """Objects, lists and scalars, more than one of them: only JSON holds that."""
        found = self.kinds
        several = bool(found & kinds.OBJECT) + bool(found & kinds.LIST) + bool(found & kinds.SCALARS)
        return several > 1 or bool(found & kinds.DEEP)

    @property
    def flattened(self) -> bool:
        """It is an object, wherever it has a value, and its members are columns."""
        return self.flat and self.kinds == kinds.OBJECT

    @property
    def odd(self) -> bool:
        """Its members cannot be told apart, or not named, in a STRUCT."""
        names = self.members
        folded = {name.lower() for name in names}
        return len(folded) < len(names) or any(not name or "\0" in name for name in names)

    def duck_type(self) -> str:
        """The DuckDB type of this place as one column."""
        if self.mixed:
            return "JSON"
        if self.kinds & kinds.OBJECT:
            return self._struct()
        if self.kinds & kinds.LIST:
            return f"{self.item.duck_type() if self.item else 'VARCHAR'}[]"
        return kinds.scalar_type(self.kinds)

    def needs_digits(self) -> bool:
        """Numbers with a fraction become text here: they have to be read as they were written."""
        if self.mixed or (self.kinds & kinds.OBJECT and (self.odd or not self.members)):
            return False
        if self.kinds & kinds.OBJECT:
            return any(member.needs_digits() for member in self.members.values())
        if self.kinds & kinds.LIST:
            return self.item is not None and self.item.needs_digits()
        return bool(self.kinds & kinds.REAL) and kinds.scalar_type(self.kinds) == "VARCHAR"

    def fields(self) -> Iterator[tuple[str, Node]]:
        """The members of a STRUCT: those of an earlier load in their order, then by name."""
        known = [(key, node) for key, node in self.members.items() if node.choice.known]
        yield from known
        yield from sorted((key, node) for key, node in self.members.items() if not node.choice.known)

    def _struct(self) -> str:
        if not self.members or self.odd:
            return "JSON"
        fields = ", ".join(f"{quote_name(key)} {node.duck_type()}" for key, node in self.fields())
        return f"STRUCT({fields})"

    def __lt__(self, other: Node) -> bool:
        return self.path < other.path


class Structure:
    """What is known of a table's rows so far. ``version`` moves on whenever something new is learned.

    ``row``        the row as an object; ``value``, rows that are something else.
    ``variables``  what the page says of its rows.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.row = Node(flat=True, inside=False)
        self.value = Node(inside=False)
        self.variables = Node(inside=False, flat=True)
        self.version = 0

    def learn(self, node: Node, value: Json) -> None:
        """Add what ``value`` shows of ``node``. Null shows nothing but that the place exists."""
        if value is None or node.choice.skip:
            return
        if isinstance(value, dict):
            self._learn_object(node, value)
        elif isinstance(value, list):
            self._learn_list(node, value)
        elif node.inside and isinstance(value, str) and type(value) is str:
            self._add(node, kinds.TEXT)
        else:
            self._add(node, kinds.of_scalar(value))

    def misfit(self, node: Node) -> None:
        """A value does not fit the type an earlier load gave this place."""
        self._add(node, kinds.MISFIT)

    def _learn_object(self, node: Node, value: dict[str, Json]) -> None:
        self._add(node, kinds.OBJECT)
        if node.depth >= MAX_DEPTH:
            self._add(node, kinds.DEEP)
            return
        for key, member in value.items():
            child = node.members.get(key)
            if child is None:
                child = node.members[key] = self._member(node, key)
                self.version += 1
            self.learn(child, member)

    def _learn_list(self, node: Node, value: list[Json]) -> None:
        self._add(node, kinds.LIST)
        if node.depth >= MAX_DEPTH or node.lists >= MAX_LISTS:
            self._add(node, kinds.DEEP)
            return
        if node.item is None:
            node.item = Node(node.path, depth=node.depth + 1, lists=node.lists + 1)
        for item in value:
            self.learn(node.item, item)

    def _add(self, node: Node, found: int) -> None:
        if node.kinds | found != node.kinds:
            node.kinds |= found
            self.version += 1

    def _member(self, node: Node, key: str) -> Node:
        path = (*node.path, key)
        if not node.flat:
            return Node(path, depth=node.depth + 1, lists=node.lists)
        if node is self.variables:
            return Node(path, inside=False)
        choice = self.selection.choose(node.choice, path)
        flat = not choice.whole and self.selection.flattens(path)
        return Node(path, choice, depth=node.depth + 1, flat=flat, inside=False)
