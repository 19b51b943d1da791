"""A load knows the columns that are stored."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.stores import PULLS, make_job, stage_rows
from unify.config.settings import Settings
from unify.engine.widening import UNTYPED
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.load.plan import read_stored_columns
from unify.publish.publish import publish

COLUMNS = {
    "id": "BIGINT",
    "title": "VARCHAR",
    "closed_by": "VARCHAR",
    "labels": "VARCHAR[]",
    "teams": "VARCHAR[]",
}


def load(settings: Settings, lake: Lake, *rows: Sequence[object]) -> None:
    job = make_job(PULLS)
    assert (
        publish(lake, job, stage_rows(settings, job, COLUMNS, rows), is_current_attempt=lambda: True)
        is not None
    )


def known(lake: Lake) -> dict[str, str]:
    return {
        column.name: column.type
        for column in read_stored_columns(lake, PULLS, ledger.latest_load(lake, PULLS))
    }


def test_a_column_without_values_has_no_type(settings: Settings, lake: Lake) -> None:
    load(settings, lake, [1, "", None, None, ["ops"]], [2, None, None, None, None])

    assert known(lake) == {
        "id": "BIGINT",
        "title": "VARCHAR",
        "closed_by": "",
        "labels": "",
        "teams": "VARCHAR[]",
    }


def test_the_catalog_knows_which_columns_have_values(settings: Settings, lake: Lake) -> None:
    load(settings, lake, [1, None, "mona", None, None])

    assert catalog.places_with_values(lake, PULLS) == {("id", ()), ("closed_by", ())}


def test_values_of_a_later_load_are_known(settings: Settings, lake: Lake) -> None:
    load(settings, lake, [1, None, None, None, None])
    load(settings, lake, [1, "lark", None, [], None])

    assert known(lake) == {
        "id": "BIGINT",
        "title": "VARCHAR",
        "closed_by": "",
        "labels": f"{UNTYPED}[]",  # an empty list
        "teams": "",
    }


def test_a_member_without_values_has_no_type(settings: Settings, lake: Lake) -> None:
    columns = {"id": "BIGINT", "runs": "STRUCT(ended VARCHAR, tags VARCHAR[], n BIGINT)[]"}
    job = make_job(PULLS)
    rows = [[1, [{"ended": None, "tags": [], "n": 1}]], [2, []]]

    publish(lake, job, stage_rows(settings, job, columns, rows), is_current_attempt=lambda: True)

    assert known(lake)["runs"] == f'STRUCT("ended" {UNTYPED}, "tags" {UNTYPED}[], "n" BIGINT)[]'
