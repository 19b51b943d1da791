"""``unify check``: a line a connection, and in it what is wrong and where to look."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.faultserver import FaultServer, Reply, unused_port
from tests.support import Unify

SPEC = {
    "name": "shop",
    "base_url": "{base_url}",
    "options": {"base_url": {"required": True}, "token": {"secret": True, "required": True}},
    "auth": {"type": "bearer", "token": "{token}"},
    "errors": [{"body": '"ok":false', "action": "fail"}, {"status": 404, "action": "skip"}],
    "check": {"request": "GET /me", "identity": "user.name"},
    "tables": [{"name": "orders", "request": "GET /orders"}],
}


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[FaultServer]:
    """A server whose certificate nobody has signed but itself."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with FaultServer(tls=context) as server:
        yield server


def test_each_connection_has_a_line_with_its_reason(
    unify: Unify, api: FaultServer, stranger: FaultServer
) -> None:
    good = Reply.json({"user": {"name": "Ada \x1b[2J"}}).with_headers(X_RateLimit_Remaining="1")
    api.serve("/good/me", good)
    api.serve("/silent/me", Reply(204))
    api.serve("/refused/me", Reply.error(401, "token-canary expired"))
    api.serve("/forbidden/me", Reply.error(403, "not yours"))
    api.serve("/gone/me", Reply.error(404, "nothing"))
    api.serve("/page/me", Reply.text("<html>Log in</html>"))
    inside = '{"ok":false,"error":"invalid_auth"}'
    api.serve("/inside/me", Reply.text(inside, "application/json"))
    api.serve("/away/me", Reply.redirect("https://login.example/x"))
    nobody = f"http://127.0.0.1:{unused_port()}"
    urls = {name: f"{api.url}/{name}" for name in ("good", "silent", "refused", "gone", "page", "inside")}
    urls |= {
        "forbidden": f"{api.url}/forbidden",
        "away": f"{api.url}/away",
        "nobody": nobody,
        "stranger": stranger.url,
    }
    connections = {name: _connection(base_url=url) for name, url in urls.items()}
    connections["unset"] = _connection(base_url=api.url, token="${NOT_SET}")
    connections["odd"] = {"adapter": "shop", "options": {"bas_url": "x", "tokn": "y"}}
    connections["wrong"] = {"adapter": "shopp"}
    specs = unify.home / "specs"
    specs.mkdir()
    (specs / "shop.yaml").write_text(yaml.safe_dump(SPEC), encoding="utf-8")
    unify.environment["UNIFY_SPECS"] = str(specs)
    unify.connect(yaml.safe_dump(connections, sort_keys=False))

    outcome = unify.run("check")
    lines = dict(line.split(": ", 1) for line in outcome.stdout.splitlines())
    assert (outcome.status, outcome.stderr) == (1, "")
    assert sorted(lines) == sorted(connections)
    assert lines["good"] == r"ok, as Ada \e[2J, 1 request left"
    assert lines["silent"] == "ok"
    for name, said in {
        "refused": '401 Unauthorized ("*** expired"): the credentials were refused; check option token',
        "forbidden": "answered 403 Forbidden",
        "inside": 'answered 200 OK ("invalid_auth")',
        "gone": "there is nothing at this address, or these credentials may not see it",
        "page": "'<html>Log in</html>'; is this the API's address, or its web page?",
        "away": "leads to https://login.example, but this connection is pinned to",
        "nobody": f"nothing answers at {nobody} (connection refused); is it running, is base_url right?",
        "stranger": "certificate is not trusted",
        "unset": "the environment variable NOT_SET is not set; export NOT_SET=… and try again",
        "odd": "unknown option — did you mean base_url?",
        "wrong": "did you mean shop?",
    }.items():
        assert said in lines[name], lines[name]
    assert lines["odd"].count("; ") == 3
    assert "ca_file" in lines["stranger"]
    assert "token-canary" not in outcome.stdout


def _connection(**options: str) -> dict[str, object]:
    return {"adapter": "shop", "options": {"token": "token-canary", **options}}
