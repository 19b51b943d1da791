"""AT in lakes made by earlier versions, whose first load it did not find."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from unify.config.settings import Settings
from unify.errors import NoSuchVersion
from unify.lake import discards, ledger, table_layouts, type_changes
from unify.lake.attachment import attach, new_lake
from unify.lake.attachment.attach import OLDEST_READABLE_VERSION, ready_marker
from unify.lake.lake import Lake
from unify.model import LoadRecord, TableName


def create_tables_of_an_earlier_version(connection: DuckDBPyConnection) -> None:
    connection.execute("CALL lake.set_option('data_inlining_row_limit', 0)")
    for module in (ledger, discards, type_changes, table_layouts):
        module.create_table(connection)


def load(lake: Lake, name: str) -> datetime:
    """Load a table of five rows; return a time right after its commit."""
    now = datetime.now(UTC)
    with lake.write_transaction() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS lake.c")
        connection.execute(f"CREATE TABLE lake.c.{name} AS SELECT i FROM range(5) t(i)")
        table = TableName("c", name)
        record = LoadRecord(
            job=1, uid=name, action="load", table=table, status="success", started_at=now, finished_at=now
        )
        ledger.insert_load(connection, record)
    return datetime.now(UTC)


def count_at(lake: Lake, moment: datetime) -> object:
    assert ledger.recorded_loads(lake)  # reads the ledger through DuckLake
    found = lake.execute(f"SELECT count(*) FROM c.first AT (TIMESTAMP => TIMESTAMPTZ '{moment.isoformat()}')")
    return next(found.batches())[0][0]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a home without a lake."""
    home = tmp_path / "older"
    home.mkdir(mode=0o700)
    return Settings(home, home / "connections.yaml")


@pytest.fixture
def after_first_load(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """A lake as earlier versions made it, with two loads; the time between them."""
    with monkeypatch.context() as patched:
        patched.setattr(new_lake, "create_tables", create_tables_of_an_earlier_version)
        with Lake(settings) as lake:
            moment = load(lake, "first")
        with Lake(settings) as lake:
            load(lake, "second")
        with Lake(settings) as lake, pytest.raises(NoSuchVersion):
            count_at(lake, moment)
    ready_marker(settings).write_text(f"{OLDEST_READABLE_VERSION}\n")
    return moment


def test_the_first_load_of_an_older_lake_is_found_again(
    settings: Settings, after_first_load: datetime
) -> None:
    for _ in range(2):
        with Lake(settings) as lake:
            assert count_at(lake, after_first_load) == 5
            assert {str(table) for table in ledger.latest_loads(lake)} == {"c.first", "c.second"}
    with Lake(settings) as lake:
        load(lake, "third")
    with Lake(settings) as lake:
        assert count_at(lake, after_first_load) == 5
        assert len(ledger.latest_loads(lake)) == 3


def test_an_older_lake_opens_where_nobody_may_write(
    settings: Settings, after_first_load: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach.LakeAttachment, "_is_writable", lambda _: False)
    before = Path(ready_marker(settings)).read_bytes()

    with Lake(settings) as lake:
        assert lake.read_only
        assert len(ledger.latest_loads(lake)) == 2
        with pytest.raises(NoSuchVersion, match="made by an older version of Unify and is read-only"):
            count_at(lake, after_first_load)

    assert ready_marker(settings).read_bytes() == before
