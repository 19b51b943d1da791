"""What every store can do, with a real server of each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.file_source import FileSource, open_source
from tests.support.object_servers import ObjectServer
from unify.adapters.files.store import FileChanged, FileStore
from unify.errors import FileError, NotFound

SERVERS = ["seaweedfs", "moto", "azurite", "webdav", "sftp"]
_MARKS = [pytest.mark.process, pytest.mark.socket]
STORES = ["folder", *(pytest.param(name, marks=_MARKS) for name in SERVERS)]


@pytest.fixture(params=STORES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileSource]:
    """An empty folder or prefix of each store."""
    if request.param == "folder":
        opened = open_source("files", {"folder": str(tmp_path)})
    else:
        server: ObjectServer = request.getfixturevalue(request.param)
        opened = open_source(server.adapter, _options_of_a_part(server, f"p{secrets.token_hex(6)}"))
    yield opened
    opened.close()


def _options_of_a_part(server: ObjectServer, name: str) -> dict[str, str]:
    if server.folder is None:
        return {**server.options, "prefix": name}
    (server.folder / name).mkdir()
    if server.adapter == "sftp":
        return {**server.options, "folder": name}
    return {**server.options, "url": f"{server.options['url']}/{name}"}


@pytest.fixture
def store(source: FileSource) -> FileStore:
    return source.adapter.store


def put(store: FileStore, folder: Path, path: str, content: bytes) -> None:
    local = folder / secrets.token_hex(8)
    local.write_bytes(content)
    store.upload(local, path, None)


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def test_files_are_listed_with_size_and_version(store: FileStore, scratch: Path) -> None:
    for path in ("a.csv", "b/c d+é%20.csv", "b/d/e.csv", "bb/x.csv"):
        put(store, scratch, path, path.encode())
    listed = {file.path: file for file in store.list_files()}
    assert set(listed) == {"a.csv", "b/c d+é%20.csv", "b/d/e.csv", "bb/x.csv"}
    assert listed["b/c d+é%20.csv"].size == len("b/c d+é%20.csv".encode())
    assert sorted(file.path for file in store.list_files("b/")) == ["b/c d+é%20.csv", "b/d/e.csv"]
    assert store.find_file("a.csv") == listed["a.csv"]
    assert store.find_file("none.csv") is None
    assert store.find_file("b") is None
    assert list(store.list_files("nothing/")) == []
    if store.root.startswith("http"):
        with pytest.raises(FileError, match="cannot be reached over WebDAV"):
            put(store, scratch, "odd/a#b?c.csv", b"x")
        return
    put(store, scratch, "odd/a#b?c.csv", b"x")
    assert [file.path for file in store.list_files("odd/")] == ["odd/a#b?c.csv"]
    assert store.read_start("odd/a#b?c.csv", 5) == b"x"


def test_a_file_is_written_once_unless_it_may_be_replaced(store: FileStore, scratch: Path) -> None:
    new = scratch / "new"
    new.write_bytes(b"second")
    put(store, scratch, "x/a.csv", b"first")
    with pytest.raises(FileError, match=r"x/a\.csv exists already; end with overwrite or append"):
        store.upload(new, "x/a.csv", None)
    before = store.find_file("x/a.csv")
    assert before is not None
    assert store.read_start("x/a.csv", 3) == b"fir"
    store.upload(new, "x/a.csv", before)
    assert store.read_start("x/a.csv", 100) == b"second"
    with pytest.raises(FileChanged, match="another program changed the file"):
        store.upload(new, "x/a.csv", before)
    store.upload(new, "x/a.csv", "any")
    assert [file.path for file in store.list_files()] == ["x/a.csv"]


def test_a_download_is_the_version_that_was_listed(store: FileStore, scratch: Path) -> None:
    put(store, scratch, "a.csv", b"one")
    listed = store.find_file("a.csv")
    assert listed is not None
    store.download(listed, scratch / "copy")
    assert (scratch / "copy").read_bytes() == b"one"
    (scratch / "b").write_bytes(b"another")  # SFTP tells the size, and a time in whole seconds
    store.upload(scratch / "b", "a.csv", "any")
    with pytest.raises(FileChanged):
        store.download(listed, scratch / "copy2")
    store.remove(["a.csv"])
    with pytest.raises((FileChanged, NotFound)):
        store.download(listed, scratch / "copy3")


def test_files_are_copied_and_removed(store: FileStore, scratch: Path) -> None:
    put(store, scratch, "a.csv", b"one")
    store.copy("a.csv", "d/b.csv", overwrite=False)
    assert store.read_start("d/b.csv", 10) == b"one"
    with pytest.raises(FileError, match="exists already"):
        store.copy("a.csv", "d/b.csv", overwrite=False)
    store.copy("a.csv", "d/b.csv", overwrite=True)
    with pytest.raises(NotFound):
        store.copy("none.csv", "d/c.csv", overwrite=False)
    store.remove(["a.csv", "gone.csv"])
    store.remove(["gone.csv"])
    assert [file.path for file in store.list_files()] == ["d/b.csv"]


def test_more_files_than_a_page_are_listed_and_removed(store: FileStore, scratch: Path) -> None:
    names = {f"many/{number:04}.csv" for number in range(120)}
    for name in names:
        put(store, scratch, name, b"")
    assert {file.path for file in store.list_files("many/")} == names
    store.remove(names)
    assert list(store.list_files()) == []


def test_tables_of_a_store_are_read(source: FileSource, scratch: Path) -> None:
    put(source.adapter.store, scratch, "o/dt=2024-01-01/a.csv", b"id,zip\n1,01\n")
    put(source.adapter.store, scratch, "o/dt=2024-01-02/b.csv", b"id,zip\n2,02\n")
    source.duck.execute(f"copy (select 1.5::decimal(9,2) as n) to '{scratch}/p.parquet'")
    source.adapter.store.upload(scratch / "p.parquet", "p q.parquet", None)
    assert source.tables() == ["o", "p_q"]
    assert source.rows("p_q", "select n::varchar, _file from source") == [("1.50", "p q.parquet")]
    assert source.rows("o", "select id, zip, dt::varchar, _file from source order by id") == [
        (1, "01", "2024-01-01", "o/dt=2024-01-01/a.csv"),
        (2, "02", "2024-01-02", "o/dt=2024-01-02/b.csv"),
    ]
    assert source.adapter.check(source.duck).accepted
