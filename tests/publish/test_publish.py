"""Publishing writes rows, cursor and ledger in one transaction, once."""

from __future__ import annotations

import pytest

from tests.support.database import open_cursor
from tests.support.publishing import KEYED, load, publish_load, refresh, stored_pulls
from tests.support.stores import NOON, PULLS, fetch_rows, make_job, stage_rows
from unify.errors import LoadFailed, StoreError
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.load import staging
from unify.load.staging import Manifest, StagingArea
from unify.model import Action, Column, TableName
from unify.publish.publish import publish


def test_a_published_load_is_a_table_with_its_cursor_in_the_ledger(lake: Lake) -> None:
    record = load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",), cursors={"": "2026-02-01"}, requests=3)

    assert stored_pulls(lake) == [(1, "one"), (2, "two")]
    assert (record.rows_inserted, record.rows_total, record.status) == (2, 2, "success")
    stored = catalog.stored_tables(lake)[PULLS]
    assert (stored.rows_total, stored.cursor, stored.loaded_at) == (2, {"": "2026-02-01"}, NOON)
    lake.create_system_view("loads")
    assert fetch_rows(lake, 'select connection, "table", requests, cursor from unify.loads') == [
        ("github", "pulls", 3, '{"":"2026-02-01"}')
    ]


@pytest.mark.parametrize("name", ["csv", "parquet", "json"])
def test_a_table_can_be_named_like_a_file_format(lake: Lake, name: str) -> None:
    table = TableName("github", name)
    for _ in range(2):
        job = make_job(table)
        publish_load(lake, job, stage_rows(lake.settings, job, KEYED, [(1, "one")], key=("id",)))
    assert fetch_rows(lake, f"select * from github.{name}") == [(1, "one")]
    assert [column.name for column in catalog.table_columns(lake, table)] == ["id", "title"]


def test_a_load_published_twice_has_one_effect(lake: Lake) -> None:
    job = make_job(action=Action.REFRESH)
    load(lake, KEYED, [(1, "one")])
    staged = stage_rows(lake.settings, job, KEYED, [(2, "two")], strategy="append")

    first = publish_load(lake, job, staged)
    again = publish_load(lake, job, staged)

    assert again == first
    assert stored_pulls(lake) == [(1, "one"), (2, "two")]


def test_an_outdated_attempt_writes_nothing(lake: Lake) -> None:
    job = make_job()
    staged = stage_rows(lake.settings, job, KEYED, [(1, "one")])

    assert publish(lake, job, staged, is_current_attempt=lambda: False) is None
    assert catalog.stored_tables(lake) == {}


def test_an_attempt_replaced_during_its_publication_is_rolled_back(lake: Lake) -> None:
    job = make_job()
    staged = stage_rows(lake.settings, job, KEYED, [(1, "one")])
    answers = iter([True, False])

    with pytest.raises(StoreError, match="taken over"):
        publish(lake, job, staged, is_current_attempt=lambda: next(answers))

    assert catalog.stored_tables(lake) == {}
    assert catalog.table_columns(lake, PULLS) == ()


def test_descriptions_become_comments(lake: Lake) -> None:
    described = (Column("id", "BIGINT", "who it is"), Column("title", "VARCHAR"))
    job = make_job()
    whole = Manifest(files=(), columns=described, rows=0, description="It's the pulls")
    publish_load(
        lake,
        job,
        staging.commit_staged_load(StagingArea(lake.settings.staging).create_attempt_folder(job), whole),
    )

    assert catalog.table_columns(lake, PULLS) == described
    assert fetch_rows(lake, "select comment from duckdb_tables() where table_name = 'pulls'") == [
        ("It's the pulls",)
    ]


def test_a_load_never_replaces_a_table_of_the_user(lake: Lake) -> None:
    lake.execute("create schema github")
    lake.execute("create table github.pulls as select 'mine' as a")
    with pytest.raises(StoreError, match="a table of this name exists that no load made"):
        load(lake, KEYED, [(1, "one")])
    assert stored_pulls(lake) == [("mine",)]


def test_a_refresh_of_a_table_cleared_during_the_load_fails(lake: Lake) -> None:
    first = load(lake, KEYED, [(1, "one")], key=("id",), cursors={"": "1"})
    catalog.clear_table(lake, PULLS, NOON)
    with pytest.raises(LoadFailed, match="cleared while"):
        refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge", based_on=first.uid)
    assert catalog.stored_tables(lake) == {}


def test_a_load_with_discarded_rows_is_partial(lake: Lake) -> None:
    record = load(lake, KEYED, [(1, "one")], discarded=2)
    assert record.status == "partial"
    assert "2 rows discarded, with values that do not fit" in record.reason


def test_discarded_rows_are_recorded_until_the_next_reload(lake: Lake) -> None:
    job = make_job()
    folder = StagingArea(lake.settings.staging).create_attempt_folder(job)
    with open_cursor() as connection:
        connection.execute(
            "COPY (SELECT '' AS scope, 'price' AS \"column\", 'dear' AS \"value\", 'no DECIMAL' AS reason, "
            f"'{{}}' AS \"row\") TO '{folder / 'discarded.parquet'}' (FORMAT parquet)"
        )
    columns = (Column("id", "BIGINT"),)
    manifest = Manifest(files=(), columns=columns, rows=0, discarded=1, discarded_file="discarded.parquet")
    publish_load(lake, job, staging.commit_staged_load(folder, manifest))
    lake.create_system_view("discarded")
    sql = 'select connection, "table", "column", "value", reason, "row" from unify.discarded'
    assert fetch_rows(lake, sql) == [("github", "pulls", "price", "dear", "no DECIMAL", "{}")]

    load(lake, KEYED, [(1, "one")])
    assert fetch_rows(lake, sql) == []


def test_names_that_need_quotes_can_be_published(lake: Lake) -> None:
    odd = TableName('my "odd" connection', "select")
    job = make_job(odd)
    publish_load(
        lake,
        job,
        stage_rows(lake.settings, job, {'a "b"': "BIGINT", "from": "VARCHAR"}, [(1, "x")], key=('a "b"',)),
    )
    assert fetch_rows(lake, 'select * from "my ""odd"" connection"."select"') == [(1, "x")]


def test_history_can_be_read_after_a_reload(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")])
    [(version,)] = fetch_rows(lake, "select max(snapshot_id) from lake.snapshots()")
    job = make_job(action=Action.RELOAD)
    publish_load(lake, job, stage_rows(lake.settings, job, KEYED, [(2, "two")]))
    assert fetch_rows(lake, f"select id from github.pulls at (version => {version})") == [(1,)]


# Processes that die


# Types
