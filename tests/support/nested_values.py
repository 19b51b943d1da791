"""Random nested types of DuckDB, and SQL expressions of random values of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier

Values = Callable[[], str]  # returns the SQL of a random value of one type

LEAVES: Mapping[str, Sequence[str]] = {
    "INTEGER": ["0", "-7"],
    "VARCHAR": [quote_literal(t) for t in ("a,b", "", "null", "it's", " x", "[y]", 'a"b', "<b>&|*_", "\nz")],
    "DOUBLE": ["1.5", "'nan'", "'-inf'", "-0.0::double"],
    "FLOAT": ["0.1", "'inf'"],
    "DATE": ["'2024-01-01'", "'infinity'", "'0044-03-15 (BC)'", "'12000-01-01'"],
    "TIMESTAMP": ["'2024-01-01 01:02:03.5'", "'-infinity'"],
    "TIMESTAMPTZ": ["'2024-01-01 01:02:03+00'"],
    "TIME": ["'01:02:03'"],
    "INTERVAL": ["'14 months 3 days'", "'-1 second'"],
    "BLOB": ["'\\xAA,\"'", "''"],
    "UUID": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "BOOLEAN": ["true"],
    "DECIMAL(4,2)": ["1.50", "-0.05"],
    "DECIMAL(2,2)": ["0.50"],
    "HUGEINT": ["9223372036854775808"],
    "JSON": ["'{\"a\": [1,2]}'", "'\"x\"'", "'null'"],
    "BIT": ["'0101'"],
    "ENUM('a', 'b c')": ["'b c'"],
}
FIELDS = ("a", "b c", 'q"x', "Ü", "x:y", "select", "a'b")
KEYS = ("1", "'a,b'", "date '2024-01-01'", "['k,']", "row('x,')", "1.5::float", "['z,']::varchar[1]")
MAX_DEPTH = 4


class NestedValues:
    """Random types: lists, arrays, structs, rows, maps and unions of each other, with NULL at every level."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def query(self, rows: int = 3) -> str:
        """Return a SELECT of one column ``x`` of a random type."""
        values = self._values(0)
        return " UNION ALL ".join(f"SELECT {values()} AS x" for _ in range(rows))

    def _values(self, depth: int) -> Values:
        choose = self.random.choice
        kinds = [self._lists, self._arrays, self._structs, self._rows, self._maps, self._unions]
        if depth == MAX_DEPTH or choose(range(len(kinds) + depth + 1)) <= depth:
            return self._leaves()
        make = choose(kinds)(depth + 1)
        return lambda: f"CASE WHEN {choose(['true', 'true', 'true', 'false'])} THEN {make()} END"

    def _leaves(self) -> Values:
        type, texts = self.random.choice(list(LEAVES.items()))
        return lambda: f"CAST({self.random.choice([*texts, 'NULL'])} AS {type})"

    def _lists(self, depth: int) -> Values:
        item = self._values(depth)
        return lambda: f"list_value({', '.join(item() for _ in range(self.random.randint(1, 3)))})"

    def _arrays(self, depth: int) -> Values:
        item, length = self._values(depth), self.random.randint(1, 3)
        return lambda: f"array_value({', '.join(item() for _ in range(length))})"

    def _structs(self, depth: int) -> Values:
        names = self.random.sample(FIELDS, self.random.randint(1, 3))
        fields = [(quote_identifier(name), self._values(depth)) for name in names]
        return lambda: f"struct_pack({', '.join(f'{name} := {part()}' for name, part in fields)})"

    def _rows(self, depth: int) -> Values:
        parts = [self._values(depth) for _ in range(self.random.randint(1, 3))]
        return lambda: f"row({', '.join(part() for part in parts)})"

    def _maps(self, depth: int) -> Values:
        key, item = self.random.choice(KEYS), self._values(depth)
        return lambda: f"map([{key}], [{item()}])"

    def _unions(self, depth: int) -> Values:
        member = self._values(depth)
        return lambda: f"union_value(u := {member()})"
