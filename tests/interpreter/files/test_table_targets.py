"""Exports to tables of a folder: new files, never a changed one; replaced tables; what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import unify
from tests.support.file_source import write_files
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import UnifyError

pytestmark = [pytest.mark.lake]

CONNECTIONS = """
box:
  adapter: files
  options: {{folder: {folder}}}
  writable: true
  tables:
    {{orders: "orders/*.parquet", one: "one.csv", days: "days/dt=*/*.csv", deep: "deep/**/part-*.ndjson.gz"}}
shut: {{adapter: files, options: {{folder: {folder}}}}}
plain: {{adapter: files, options: {{folder: {folder}/plain}}, writable: true}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("box")


@pytest.fixture(scope="module")
def session(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonSession]:
    write_files(folder, {"days/dt=2026-01-01/a.csv": "n\n1\n", "plain/notes/a.csv": "n\n1\n"})
    path = tmp_path_factory.mktemp("home") / "connections.yaml"
    path.write_text(CONNECTIONS.format(folder=folder))
    path.chmod(0o600)
    with unify.open(create_home(path.parent).home, connections=path, environment={}) as opened:
        yield opened


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_an_append_is_a_new_file_and_a_replacement_removes_the_old_ones(
    session: PythonSession, folder: Path
) -> None:
    said = session.execute("export (select 1 as id, 1.50::decimal(5,2) as amount) to box.orders").message
    [first] = files_of(folder / "orders")
    assert said == f"1 row written to box.orders: orders/{first}"
    before = (folder / "orders" / first).read_bytes()
    session.execute("export (select 2 as id, 2.5::decimal(5,2) as amount) to box.orders append")
    assert (folder / "orders" / first).read_bytes() == before
    assert files_of(folder / "orders")[0] == first  # names are in the order of time
    assert session.execute("select id, amount::varchar from box.orders order by id").fetchall() == [
        (1, "1.50"),
        (2, "2.50"),
    ]
    said = session.execute(
        "export (select id + 10 as id, amount from box.orders) to box.orders replace"
    ).message
    assert said.endswith(", 2 files removed")
    assert len(files_of(folder / "orders")) == 1
    assert session.execute("select id from box.orders order by id").fetchall() == [(11,), (12,)]
    session.execute("export (select 5 as id) to box.orders overwrite")
    assert session.execute("select * exclude (_file) from box.orders").fetchall() == [(5,)]


def test_a_table_of_one_file_is_that_file(session: PythonSession, folder: Path) -> None:
    session.execute("export (select 1 as i) to box.one")
    session.execute("export (select 2 as i) to box.one append")
    assert (folder / "one.csv").read_text() == "i\n1\n2\n"
    session.execute("export (select 3 as i) to box.one replace")
    assert (folder / "one.csv").read_text() == "i\n3\n"


def test_the_place_of_a_new_file_follows_the_pattern_or_the_folder(
    session: PythonSession, folder: Path
) -> None:
    session.execute("export (select 1 as i) to box.deep")
    [name] = files_of(folder / "deep")
    assert name.startswith("part-2")
    assert name.endswith(".ndjson.gz")
    session.execute("export (select 2 as n) to plain.notes append")
    assert session.execute("select n from plain.notes order by n").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("export (select 1 as id) to box.orders", "end with append or replace"),
        ("export (select 1 as id) to box.orders upsert by id", "whose rows have no key"),
        ("export (select 1 as i) to box.order", "box.order is no table; did you mean orders"),
        ("export (select 1 as i) to plain.new", 'tables: {new: "new/*.parquet"}'),
        ("export (select 1 as n) to box.days append", "does not tell where a new file goes"),
        ("export (select 1 as nid) to box.orders append", "has no column nid"),
        ("export (select 'x' as id) to box.orders append", "is a INTEGER in its files, and a VARCHAR here"),
        ("export (select 1 as n) to shut.notes append", "writable: true"),
        ("insert into box.orders values (1)", "export (SELECT …) to box.TABLE append"),
    ],
)
def test_what_a_table_of_files_cannot_do_is_said(session: PythonSession, sql: str, expected: str) -> None:
    session.execute("export (select 5 as id) to box.orders replace")
    with pytest.raises(UnifyError) as error:
        session.execute(sql)
    assert expected in error.value.message
    assert session.execute("select * exclude (_file) from box.orders").fetchall() == [(5,)]
