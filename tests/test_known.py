"""What a load knows of the columns stored before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.stores import PULLS, fresh_home, job_for, stage
from unify.loading.known import known_columns
from unify.loading.publish import publish
from unify.settings import Settings
from unify.store import catalog, ledger
from unify.store.lake import Lake

COLUMNS = {
    "id": "BIGINT",
    "title": "VARCHAR",
    "closed_by": "VARCHAR",
    "labels": "VARCHAR[]",
    "teams": "VARCHAR[]",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return fresh_home(tmp_path)


@pytest.fixture
def lake(settings: Settings) -> Iterator[Lake]:
    with Lake(settings) as opened:
        yield opened


def load(settings: Settings, lake: Lake, *rows: Sequence[object]) -> None:
    job = job_for(PULLS)
    assert publish(lake, job, stage(settings, job, COLUMNS, rows), still_ours=lambda: True) is not None


def known(lake: Lake) -> dict[str, str]:
    return {column.name: column.type for column in known_columns(lake, PULLS, ledger.last(lake, PULLS))}


def test_a_column_without_any_value_has_no_type_yet(settings: Settings, lake: Lake) -> None:
    load(settings, lake, [1, "", None, None, ["ops"]], [2, None, None, None, None])

    assert known(lake) == {
        "id": "BIGINT",
        "title": "VARCHAR",
        "closed_by": "",
        "labels": "",
        "teams": "VARCHAR[]",
    }


def test_the_catalog_tells_of_values_only_where_there_are_some(settings: Settings, lake: Lake) -> None:
    load(settings, lake, [1, None, "mona", None, None])

    assert catalog.valued_columns(lake, PULLS) == {"id", "closed_by"}


def test_values_of_a_later_load_are_known_too(settings: Settings, lake: Lake) -> None:
    load(settings, lake, [1, None, None, None, None])
    load(settings, lake, [1, "lark", None, [], None])

    assert known(lake) == {
        "id": "BIGINT",
        "title": "VARCHAR",
        "closed_by": "",
        "labels": "VARCHAR[]",
        "teams": "",
    }
