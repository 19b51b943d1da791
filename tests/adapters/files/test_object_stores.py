"""Object stores: errors in their words, secrets in no text, nothing read but what the connection names."""

from __future__ import annotations

import secrets
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.file_source import FileSource, open_source
from tests.support.foreign_servers import free_port
from tests.support.object_servers import AZURE_KEY, SECRET_KEY, ObjectServer, s3_options
from unify.adapters.files.object_store import ObjectStore
from unify.errors import ConfigError, FileError, NotFound, SourceError, Unauthorized, Unreachable

pytestmark = [pytest.mark.process, pytest.mark.socket]
Opener = Callable[..., FileSource]


@pytest.fixture
def opener() -> Iterator[Opener]:
    """Opens a part of its own of a server's bucket; options may be replaced."""
    opened: list[FileSource] = []

    def open_part(server: ObjectServer, name: str = "exports", **options: str) -> FileSource:
        own = {**server.options, "prefix": f"p{secrets.token_hex(6)}/", **options}
        opened.append(open_source(server.adapter, own, name=name))
        return opened[-1]

    yield open_part
    for one in opened:
        one.close()


def put(source: FileSource, folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        local = folder / secrets.token_hex(8)
        local.write_bytes(content)
        source.adapter.store.upload(local, path, "any")


def parquet(source: FileSource, folder: Path, query: str) -> bytes:
    target = folder / f"{secrets.token_hex(8)}.parquet"
    source.duck.execute(f"copy ({query}) to '{target}'")
    return target.read_bytes()


@pytest.mark.parametrize(
    ("option", "value", "kind", "message"),
    [
        (
            "secret_access_key",
            "WrongSecretCanary1",
            Unauthorized,
            "SignatureDoesNotMatch); check secret_access_key",
        ),
        ("access_key_id", "AKWRONG", Unauthorized, "InvalidAccessKeyId); check access_key_id"),
        (
            "bucket",
            "no-such-bucket",
            NotFound,
            "The specified bucket does not exist (NoSuchBucket); check bucket",
        ),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_store(
    opener: Opener, seaweedfs: ObjectServer, option: str, value: str, kind: type[SourceError], message: str
) -> None:
    source = opener(seaweedfs, **{option: value})
    with pytest.raises(kind) as raised:
        source.tables()
    assert message in raised.value.message
    assert "WrongSecretCanary1" not in "".join(traceback.format_exception(raised.value))
    if kind is Unauthorized:
        assert message in source.adapter.check(source.duck).reason


def test_a_server_that_is_down_is_unreachable(opener: Opener, seaweedfs: ObjectServer) -> None:
    source = opener(seaweedfs, endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="no connection; check the endpoint and the network"):
        source.tables()


def test_a_wrong_clock_is_named(opener: Opener) -> None:
    body = (
        b"<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the "
        b"server's time is too large.</Message></Error>"
    )
    with FaultServer() as server:
        server.serve("/unify-tests", MockResponse(403, body))
        source = open_source("s3", s3_options(server.url), name="exports")
        with pytest.raises(
            SourceError, match=r"too large \(RequestTimeTooSkewed\); set this machine's clock"
        ):
            source.tables()
        source.close()


def test_parquet_is_read_in_place_without_secrets_in_any_text(
    opener: Opener, seaweedfs: ObjectServer, tmp_path: Path
) -> None:
    source = opener(seaweedfs)
    put(source, tmp_path, {"a/x.parquet": parquet(source, tmp_path, "select 1 as i, 'é' as s")})
    table = source.adapter.find_table(source.duck, "a")
    assert table is not None
    assert source.rows("a") == [(1, "é", "a/x.parquet")]
    assert source.adapter.spool.is_empty
    source.duck.execute("set threads = 1")
    texts = source.duck.execute("select * from duckdb_secrets()").fetchall()
    texts += source.duck.execute("explain analyze select * from source").fetchall()
    texts += source.duck.execute("select sql from duckdb_views() where view_name = 'source'").fetchall()
    assert "s3://unify-tests/" in str(texts)
    assert SECRET_KEY not in str(texts)


@pytest.mark.parametrize(
    "address",
    ["s3://unify-tests/other/x.parquet", "s3://else/x.parquet", "gs://b/x.csv", "https://example.org/x.csv"],
)
def test_duckdb_asks_nobody_for_an_address_that_no_connection_names(
    opener: Opener, seaweedfs: ObjectServer, address: str
) -> None:
    source = opener(seaweedfs)
    with pytest.raises(duckdb.Error) as raised:
        source.duck.execute(f"from '{address}'")
    assert "127.0.0.1:9/" in str(raised.value) or "Could not connect to server" in str(raised.value)


def test_two_servers_with_a_bucket_of_one_name_are_told_apart(
    opener: Opener, seaweedfs: ObjectServer, moto: ObjectServer, tmp_path: Path
) -> None:
    prefix = f"p{secrets.token_hex(6)}/"
    one, two = opener(seaweedfs, "one", prefix=prefix), opener(moto, "two", prefix=prefix)
    two.duck.close()
    two.duck = one.duck.cursor()
    two.adapter.attach(two.duck)
    put(one, tmp_path, {"t.parquet": parquet(one, tmp_path, "select 1 as i")})
    put(two, tmp_path, {"t.parquet": parquet(one, tmp_path, "select 2 as i")})
    for source, number in [(one, 1), (two, 2), (one, 1)]:
        assert source.rows("t") == [(number, "t.parquet")]


def test_a_replaced_object_is_read_anew(opener: Opener, seaweedfs: ObjectServer, tmp_path: Path) -> None:
    source = opener(seaweedfs)
    put(source, tmp_path, {"p.parquet": parquet(source, tmp_path, "select 11 as i"), "c.csv": b"i\n11\n"})
    assert source.rows("p", "select i from source") == source.rows("c", "select i from source") == [(11,)]
    put(source, tmp_path, {"p.parquet": parquet(source, tmp_path, "select 22 as i"), "c.csv": b"i\n22\n"})
    assert source.rows("p", "select i from source") == source.rows("c", "select i from source") == [(22,)]


def test_the_environment_changes_nothing(
    opener: Opener, seaweedfs: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another account's")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    source = opener(seaweedfs)
    put(source, tmp_path, {"c.csv": b"i\n1\n", "p.parquet": parquet(source, tmp_path, "select 1 as i")})
    assert [source.rows(table, "select i from source") for table in source.tables()] == [[(1,)], [(1,)]]


def test_a_signed_address_reads_one_file(opener: Opener, seaweedfs: ObjectServer, tmp_path: Path) -> None:
    source = opener(seaweedfs)
    put(source, tmp_path, {"a b.csv": b"i\n1\n"})
    url = source.adapter.store.sign("a b.csv", 60)
    with urllib.request.urlopen(url, timeout=30) as response:
        assert response.read() == b"i\n1\n"
    assert SECRET_KEY not in url


def test_more_objects_than_a_page_of_the_server_are_listed(
    opener: Opener, seaweedfs: ObjectServer, tmp_path: Path
) -> None:
    source = opener(seaweedfs)
    local = tmp_path / "one"
    local.write_bytes(b"")
    store = source.adapter.store
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.upload(local, f"m/{number}.csv", "any"), range(1050)))
    listed = [file.path for file in store.list_files()]
    assert len(listed) == len(set(listed)) == 1050
    store.remove(listed)
    assert list(store.list_files()) == []


def test_a_file_that_vanishes_while_it_is_read_is_no_shorter_table(
    opener: Opener, seaweedfs: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opener(seaweedfs)
    put(source, tmp_path, {"t/a.csv": b"i\n1\n", "t/b.csv": b"i\n2\n"})
    store = source.adapter.store
    listing = store.list_files

    def list_then_remove(folder: str = "") -> Iterator[object]:
        yield from list(listing(folder))
        store.remove(["t/b.csv"])

    monkeypatch.setattr(store, "list_files", list_then_remove)
    assert source.rows("t") == [(1, "t/a.csv")]  # listed again: it is not there any more


def test_azure_reads_in_place_without_the_key_in_any_text(
    opener: Opener, azurite: ObjectServer, tmp_path: Path
) -> None:
    source = opener(azurite)
    put(source, tmp_path, {"p.parquet": parquet(source, tmp_path, "select 7 as i")})
    assert source.rows("p") == [(7, "p.parquet")]
    assert source.adapter.spool.is_empty
    texts = source.duck.execute("select * from duckdb_secrets()").fetchall()
    assert AZURE_KEY not in str(texts)
    with pytest.raises(SourceError, match=r"AuthenticationFailed|AuthorizationFailure|check account"):
        opener(azurite, account_key="d3JvbmctY2FuYXJ5").tables()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"bucket": "b"},
            "access_key_id and secret_access_key are missing; for a public bucket write anonymous",
        ),
        ({**s3_options("localhost:9000")}, r"options\.endpoint: write an address"),
        (
            {**s3_options("http://127.0.0.1:9"), "prefix": "a/../b"},
            r"options\.prefix: 'a/\.\./b' is not the start",
        ),
        ({**s3_options("http://127.0.0.1:9"), "url_style": "x"}, "'x' is neither path nor vhost"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source("s3", options)


def test_an_address_in_a_path_is_refused(opener: Opener, seaweedfs: ObjectServer) -> None:
    from unify.adapters.files.paths import check_path

    store = opener(seaweedfs).adapter.store
    assert isinstance(store, ObjectStore)
    for path in ("s3://other-bucket/x", "../other/x", "/x", "https://s3.amazonaws.com/other/x"):
        with pytest.raises(FileError, match="a connection reads nothing else"):
            check_path(path, store.root)
