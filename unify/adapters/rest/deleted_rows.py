"""The list of deleted rows of a table: its request, and the keys in its items."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from unify.adapters.base import Page
from unify.adapters.formats.locate import row_value
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.table_keys import DeletedRows
from unify.errors import BadResponse
from unify.text import excerpt

SCALAR_MEMBER = "value"  # of an item that is no object


def deleted_rows_table(table: TableSpec, deleted: DeletedRows) -> TableSpec:
    """The list as a table of its own, with the parents, cursors and paging of ``table``."""
    incremental = table.incremental
    return TableSpec(
        f"{table.name}.deleted",
        (deleted.request or "",),
        params=deleted.params,
        headers=table.headers,
        rows=deleted.rows,
        for_each=table.for_each,
        paging=table.paging,
        incremental=None
        if incremental is None
        else replace(incremental, param=None, window_s=None, order=None),
        errors=table.errors,
    )


def deletions_page(page: Page, key: tuple[str, ...], deleted: DeletedRows) -> Page:
    """The keys in a page of the list, as deletions.

    Raises:
        BadResponse: an item has no key.
    """
    return Page((), deletions=[_deleted_key(row, key, deleted) for row in page.rows])


def _deleted_key(row: bytes, key: tuple[str, ...], deleted: DeletedRows) -> Mapping[str, str]:
    paths = deleted.key or key
    found = {name: row_value(row, path) for name, path in zip(key, paths, strict=True)}
    if len(key) == 1 and not deleted.key and found[key[0]] is None:
        found[key[0]] = row_value(row, SCALAR_MEMBER)
    missing = [path for path, value in zip(paths, found.values(), strict=True) if value is None]
    if missing:
        quoted = excerpt(row.decode("utf-8", "replace"), 80)
        raise BadResponse(
            f"deleted: an item of the list has no {', '.join(missing)}: {quoted}; set deleted.key"
        )
    return {name: value for name, value in found.items() if value is not None}
