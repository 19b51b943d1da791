"""The contract of relational adapters: names of tables; the registry."""

from __future__ import annotations

import pytest

from unify.adapters.built_in import built_in_names, find_built_in, find_sender
from unify.adapters.relation import RelationalAdapter, join_table_name, split_table_name


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("", "orders"), "orders"),
        (("sales", "orders"), "sales.orders"),
        (("my.schema", "orders"), '"my.schema".orders'),
        (("", "a.b"), '"a.b"'),
        (("", 'say "x"'), '"say ""x"""'),
        (("Sales Team", "Größe"), "Sales Team.Größe"),
    ],
)
def test_a_name_is_joined_and_split(parts: tuple[str, str], name: str) -> None:
    assert join_table_name(*parts) == name
    assert split_table_name(name) == parts


@pytest.mark.parametrize("name", ["", "a.b.c", 'a."b', "a.", ".a", 'a"b'])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not TABLE"):
        split_table_name(name)


@pytest.mark.parametrize("name", [name for name in built_in_names() if find_sender(name) is None])
def test_a_built_in_adapter_has_a_class_with_a_label(name: str) -> None:
    definition = find_built_in(name)
    assert definition is not None
    found = definition.adapter_class()
    assert issubclass(found, RelationalAdapter)
    assert found.label
