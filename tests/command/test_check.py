"""``unify check``: one line for each connection, with the reason of a failure."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.command import UnifyCommand
from tests.support.crm import make_crm
from tests.support.demo_api import DemoAPI
from tests.support.fault_server import FaultServer, MockResponse, unused_port


def test_check_prints_one_line_for_each_connection(demo_unify: UnifyCommand, demo_api: DemoAPI) -> None:
    wrong = demo_api.connection_yaml("wrong").replace(f"token: {demo_api.token}", "token: stale")
    demo_unify.write_connections(demo_api.connection_yaml() + wrong + "odd:\n  adapter: nosuch\n")

    outcome = demo_unify.run("check")

    lines = dict(line.split(": ", 1) for line in outcome.stdout.splitlines())
    assert outcome.exit_status == 1
    assert lines["github"].startswith("ok")
    assert "401" in lines["wrong"]
    assert "nosuch" in lines["odd"]
    assert demo_unify.run("check", "github").exit_status == 0
    assert demo_unify.run("check", "gihub").stderr == "unknown connection gihub; did you mean github?\n"


def test_check_without_connections_names_the_expected_file(unify: UnifyCommand) -> None:
    outcome = unify.run("check")

    assert (outcome.exit_status, outcome.stdout) == (2, "")
    assert str(unify.home / "connections.yaml") in outcome.stderr


SPEC = {
    "name": "shop",
    "base_url": "{base_url}",
    "options": {"base_url": {"required": True}, "token": {"secret": True, "required": True}},
    "auth": {"type": "bearer", "token": "{token}"},
    "errors": [{"body": '"ok":false', "action": "fail"}, {"status": 404, "action": "skip"}],
    "check": {"request": "GET /me", "identity": "user.name"},
    "tables": [{"name": "orders", "request": "GET /orders"}],
}


def test_check_says_what_may_be_written(unify: UnifyCommand, api: FaultServer) -> None:
    crm = make_crm(unify, api)
    path = unify.home / "connections.yaml"

    allowed = unify.run("check")
    unify.write_connections(
        path.read_text(encoding="utf-8").replace("[people, contacts", "[poeple, contacts")
    )
    refused = unify.run("check")

    assert "writes people (insert, update, delete), contacts (delete, upsert)" in allowed.stdout, allowed
    assert "connections.yaml:4: crm.writes: crm.poeple: the adapter crm does not say" in refused.stdout, (
        refused
    )
    assert refused.exit_status == 1
    assert not crm.sent


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[FaultServer]:
    """A server with a self-signed certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with FaultServer(tls=context) as server:
        yield server


def test_check_prints_the_reason_of_each_failure(
    unify: UnifyCommand, api: FaultServer, stranger: FaultServer
) -> None:
    good = MockResponse.json({"user": {"name": "Ada \x1b[2J"}}).with_headers(X_RateLimit_Remaining="1")
    api.serve("/good/me", good)
    api.serve("/silent/me", MockResponse(204))
    api.serve("/refused/me", MockResponse.error(401, "token-canary expired"))
    api.serve("/forbidden/me", MockResponse.error(403, "not yours"))
    api.serve("/gone/me", MockResponse.error(404, "nothing"))
    api.serve("/page/me", MockResponse.text("<html>Log in</html>"))
    inside = '{"ok":false,"error":"invalid_auth"}'
    api.serve("/inside/me", MockResponse.text(inside, "application/json"))
    api.serve("/away/me", MockResponse.redirect("https://login.example/x"))
    unused_url = f"http://127.0.0.1:{unused_port()}"
    urls = {name: f"{api.url}/{name}" for name in ("good", "silent", "refused", "gone", "page", "inside")}
    urls |= {
        "forbidden": f"{api.url}/forbidden",
        "away": f"{api.url}/away",
        "nobody": unused_url,
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
    unify.write_connections(yaml.safe_dump(connections, sort_keys=False))

    outcome = unify.run("check")
    lines = dict(line.split(": ", 1) for line in outcome.stdout.splitlines())
    assert (outcome.exit_status, outcome.stderr) == (1, "")
    assert sorted(lines) == sorted(connections)
    assert lines["good"] == r"ok, as Ada \e[2J, 1 request left"
    assert lines["silent"] == "ok"
    for name, message in {
        "refused": '401 Unauthorized ("*** expired"): the credentials were refused; check option token',
        "forbidden": "returned 403 Forbidden",
        "inside": 'returned 200 OK ("invalid_auth")',
        "gone": "the address does not exist, or these credentials cannot access it",
        "page": "'<html>Log in</html>'; is this the API's address, or its web page?",
        "away": "points to https://login.example, outside this connection's host",
        "nobody": f"cannot connect to {unused_url} (connection refused); "
        "check base_url, and that the server is running",
        "stranger": "certificate is not trusted",
        "unset": "the environment variable NOT_SET is not set; export NOT_SET=… and try again",
        "odd": "unknown option; did you mean base_url?",
        "wrong": "did you mean shop?",
    }.items():
        assert message in lines[name], lines[name]
    assert lines["odd"].replace("; did you mean", "").count("; ") == 3
    assert "ca_file" in lines["stranger"]
    assert "token-canary" not in outcome.stdout


def _connection(**options: str) -> dict[str, object]:
    return {"adapter": "shop", "options": {"token": "token-canary", **options}}
