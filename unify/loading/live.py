"""Rows of a live table, typed as a load types them; published nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unify.adapters.base import Page
from unify.adapters.handling import Handling
from unify.loading.convert import RowStage, Sealed
from unify.loading.preview import shape_of


def stage(folder: Path, table: Handling, pages: Iterable[Page]) -> Sealed:
    """Every row of ``pages`` as Parquet files in ``folder``. Raises what reading and converting raise."""
    with RowStage(folder, shape_of(table), threads=1) as rows:
        for page in pages:
            rows.write(page.rows, page.variables, page.scope)
        return rows.seal()
