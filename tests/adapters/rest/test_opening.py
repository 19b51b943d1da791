"""Options of a connection that cannot work are refused when it is opened, with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from unify.adapters.registry import open_adapter
from unify.config.connections import Connection
from unify.errors import ConfigError

SPEC = "name: api\nbase_url: https://127.0.0.1:1\ntables: [{name: t, request: GET /t}]\n"


def open_connection(folder: Path, **options: str) -> None:
    (folder / "api.yaml").write_text(SPEC)
    lines = {f"options.{name}": number for number, name in enumerate(options, 3)}
    connection = Connection("api", "api", options, lines=lines)
    open_adapter(connection, [folder], {}).close()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "foo", "http://", "127.0.0.1:8080"])
def test_a_proxy_that_is_no_http_proxy(tmp_path: Path, proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"^connections\.yaml:3: api\.options\.proxy: expected the URL"):
        open_connection(tmp_path, proxy=proxy)
    open_connection(tmp_path, proxy="http://user:password@127.0.0.1:9")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no certificate"), (b"hello\n", "no certificate"), (None, "cannot be read: No such file")],
)
def test_a_ca_file_without_a_certificate(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^connections\.yaml:3: api\.options\.ca_file: .*{message}"):
        open_connection(tmp_path, ca_file=str(path))
