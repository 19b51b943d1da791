"""Web servers, WebDAV, SFTP and Google Cloud Storage: what each has of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.file_source import FileSource, open_source
from tests.support.foreign_servers import free_port
from tests.support.object_servers import SECRET_KEY, ObjectServer, put_gcs_object, run_fake_gcs
from unify.config.connection_tables import TableSettings
from unify.errors import ConfigError, FileError, NotFound, SourceError, Unauthorized, Unreachable

pytestmark = [pytest.mark.process, pytest.mark.socket]
CSV = MockResponse(200, b"i\n1\n", {"ETag": '"v1"', "Last-Modified": "Mon, 30 Nov 2026 10:00:00 GMT"})


@pytest.fixture
def web() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def open_web(
    server: FaultServer, tables: dict[str, TableSettings] | None = None, **options: str
) -> FileSource:
    return open_source("http", {"url": f"{server.url}/data", **options}, tables)


def test_files_of_a_web_server_are_named(web: FaultServer) -> None:
    web.serve("/data/a%20b.csv", CSV)
    web.serve("/data/o/c.csv", CSV)
    source = open_web(
        web, {"a": TableSettings(files="a b.csv"), "o": TableSettings(files="o/*.csv")}, paths="o/c.csv"
    )
    assert source.rows("a") == [(1, "a b.csv")]
    assert source.rows("o") == [(1, "o/c.csv")]
    assert [file.path for file in source.adapter.store.list_files()] == ["o/c.csv", "a b.csv"]
    assert "anybody in" in source.adapter.check(source.duck).identity
    source.close()


def test_a_file_of_a_web_server_is_fetched_again_only_if_it_changes(web: FaultServer) -> None:
    web.serve("/data/a.csv", CSV)
    source = open_web(web, {"a": TableSettings(files="a.csv")})
    assert source.rows("a") == source.rows("a") == [(1, "a.csv")]
    assert [one.method for one in web.requests].count("GET") == 1
    web.serve("/data/a.csv", MockResponse(200, b"i\n2\n", {"ETag": '"v2"'}))
    assert source.rows("a") == [(2, "a.csv")]
    source.close()


def test_a_cut_file_is_no_shorter_table(web: FaultServer) -> None:
    rows = b"i\n" + b"1\n" * 5000
    web.serve("/data/a.csv", MockResponse(200, rows, {"ETag": '"v1"'}, cut_at=5000))
    source = open_web(web, {"a": TableSettings(files="a.csv")})
    with pytest.raises(SourceError, match=r"a\.csv"):
        source.rows("a")
    source.close()


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (404, SourceError), (500, SourceError)])
def test_a_status_is_an_error(web: FaultServer, status: int, kind: type[SourceError]) -> None:
    web.serve("/data/a.csv", MockResponse(status))
    source = open_web(web, {"a": TableSettings(files="a.csv")}, user="ada", password="PwCanary12345")
    with pytest.raises(kind) as raised:
        source.rows("a")
    assert "PwCanary" not in raised.value.message
    source.close()


def test_a_redirect_to_another_server_is_refused(web: FaultServer) -> None:
    web.serve("/data/a.csv", MockResponse.redirect("/data/b.csv"))
    web.serve("/data/b.csv", CSV)
    web.serve("/data/c.csv", MockResponse.redirect("http://192.0.2.1/c.csv"))
    source = open_web(
        web, {name: TableSettings(files=f"{name}.csv") for name in ("a", "c")}, token="TokenCanary99"
    )
    assert source.rows("a") == [(1, "a.csv")]
    with pytest.raises(SourceError, match=r"redirects to 192\.0\.2\.1; a connection reads nothing else"):
        source.rows("c")
    assert {one.headers.get("authorization") for one in web.requests} == {"Bearer TokenCanary99"}
    source.close()


def test_a_web_server_is_not_changed_and_secrets_need_https(web: FaultServer, tmp_path: Path) -> None:
    source = open_web(web, paths="a.csv")
    with pytest.raises(FileError, match="a web server is only read"):
        source.adapter.store.remove(["a.csv"])
    assert source.adapter.store.sign("a b.csv", 60) == f"{web.url}/data/a%20b.csv"
    source.close()
    for adapter in ("http", "webdav"):
        with pytest.raises(ConfigError, match="credentials are not sent over http"):
            open_source(adapter, {"url": "http://files.example.org/x", "user": "a", "password": "b"})
        with pytest.raises(ConfigError, match="write an address without user and password"):
            open_source(adapter, {"url": "ftp://files.example.org"})


def test_webdav_tells_who_was_refused_and_what_is_missing(webdav: ObjectServer) -> None:
    source = open_source("webdav", {**webdav.options, "password": "WrongCanary1"})
    with pytest.raises(Unauthorized, match="401 Unauthorized; check user and password") as raised:
        source.tables()
    assert "WrongCanary1" not in raised.value.message
    source.close()
    missing = open_source("webdav", {**webdav.options, "url": f"{webdav.options['url']}/none"})
    with pytest.raises(NotFound, match="none: no such file or folder"):
        missing.tables()
    missing.close()
    down = open_source("webdav", {"url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(Unreachable):
        down.tables()
    down.close()


def test_sftp_tells_who_was_refused_and_knows_its_server(sftp: ObjectServer) -> None:
    source = open_source("sftp", {**sftp.options, "password": "WrongCanary1"})
    with pytest.raises(Unauthorized, match="the server refused ada; check the password or key") as raised:
        source.tables()
    assert "WrongCanary1" not in raised.value.message
    unknown = {name: value for name, value in sftp.options.items() if name != "host_key"}
    with pytest.raises(SourceError, match="give its key as host_key"):
        open_source("sftp", {**unknown, "known_hosts": "/dev/null"}).tables()
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMCmkIyMdVLpfdDgvjOsQjdaPgcPiwH3RPhFIWSHO1kz"
    with pytest.raises(SourceError, match="another key"):
        open_source("sftp", {**sftp.options, "host_key": other}).tables()
    with pytest.raises(ConfigError, match="host_key is not TYPE BASE64"):
        open_source("sftp", {**sftp.options, "host_key": "nonsense"}).tables()
    with pytest.raises(Unreachable, match="no connection"):
        open_source("sftp", {**sftp.options, "port": str(free_port())}).tables()


def test_a_connection_over_sftp_that_was_lost_is_made_again(sftp: ObjectServer) -> None:
    assert sftp.folder is not None
    (sftp.folder / "lost").mkdir()
    (sftp.folder / "lost" / "a.csv").write_text("i\n1\n")
    source = open_source("sftp", {**sftp.options, "folder": "lost"})
    assert source.rows("a") == [(1, "a.csv")]
    source.adapter.store.close()
    assert source.rows("a") == [(1, "a.csv")]
    source.close()


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with run_fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


def test_google_cloud_storage_is_read_and_copies_are_deleted(
    gcs: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    put_gcs_object(gcs, "in/o/a b.csv", b"i,zip\n1,01\n")
    put_gcs_object(gcs, "in/o/b.csv.gz", b"i,zip\n2,02\n")
    put_gcs_object(gcs, "outside.csv", b"x\n1\n")
    source = open_source("gcs", {**gcs.options, "prefix": "in"})
    assert source.rows("o") == [(1, "01", "o/a b.csv"), (2, "02", "o/b.csv.gz")]
    put_gcs_object(gcs, "in/o/a b.csv", b"i,zip\n7,07\n")
    assert source.rows("o")[-1] == (7, "07", "o/a b.csv")
    assert source.adapter.store.read_start("o/a b.csv", 3) == b"i,z"
    source.close()
    assert list(copies.glob("unify-files-*")) == []
    with pytest.raises(ConfigError, match="service_account_key is missing"):
        open_source("gcs", {"bucket": "b"})


def test_no_secret_of_a_server_is_in_a_listing(sftp: ObjectServer, webdav: ObjectServer) -> None:
    for server in (sftp, webdav):
        source = open_source(server.adapter, server.options)
        assert SECRET_KEY not in str(source.tables()) + source.adapter.check(source.duck).identity
        source.close()
