"""Who may read what over HTTP."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.served_home import ServedHome, serve_home, write_certificate
from unify.config.settings import Settings
from unify.errors import UsageError
from unify.servers.event_log import EventLog
from unify.servers.http.access import is_local_name
from unify.servers.main import ServeOptions, run_servers
from unify.servers.users import Role, UserStore


@pytest.fixture
def token(settings: Settings) -> str:
    return UserStore(settings).add_user("prometheus", Role.READER)


@pytest.fixture
def guarded(settings: Settings, token: str) -> Iterator[ServedHome]:
    """A server of a home with a user."""
    with serve_home(settings) as running:
        yield running


def test_without_users_this_machine_needs_no_token(served: ServedHome) -> None:
    assert served.get("/metrics").status_code == 200
    assert "reasons" in served.get("/health").json()


def test_with_users_the_metrics_need_a_token(guarded: ServedHome, token: str) -> None:
    refused = guarded.get("/metrics")
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="unify"')
    assert refused.json() == {
        "error": "a valid token is required: Authorization: Bearer TOKEN (unify user add)"
    }
    assert guarded.get("/metrics", token).status_code == 200
    assert guarded.log.wait_for(
        'server.request_refused client=127.0.0.1 path=/metrics reason="no valid token"'
    )


@pytest.mark.parametrize("path", ["/metrics", "/health", "/nothing"])
def test_a_wrong_token_is_refused_everywhere(guarded: ServedHome, token: str, path: str) -> None:
    for sent in (f"Bearer {token}x", f"Basic {token}", token, "Bearer", "Bearer ö"):
        answer = guarded.session.get(
            f"{guarded.address}{path}", headers={"Authorization": sent.encode()}, timeout=60
        )
        assert answer.status_code == 401, sent
    assert token not in guarded.log.getvalue()


def test_strangers_see_the_status_and_no_path_of_the_server(guarded: ServedHome, token: str) -> None:
    stranger = guarded.get("/health")
    assert (stranger.status_code, stranger.json()) == (503, {"status": "unavailable"})
    assert guarded.get("/nothing").status_code == 401
    assert guarded.get("/health", token).json()["daemon"] == "stopped"
    assert guarded.get("/nothing", token).status_code == 404


def test_a_user_who_is_removed_is_refused_at_once(
    settings: Settings, guarded: ServedHome, token: str
) -> None:
    users = UserStore(settings)
    users.add_user("other", Role.WRITER)
    assert guarded.get("/metrics", token).status_code == 200
    users.remove_user("prometheus")
    assert guarded.get("/metrics", token).status_code == 401


def test_open_metrics_need_no_token_and_other_routes_do(settings: Settings, token: str) -> None:
    with serve_home(settings, open_metrics=True) as running:
        assert running.get("/metrics").status_code == 200
        assert running.get("/health").json() == {"status": "unavailable"}
        assert running.get("/metrics", "unify.x.y").status_code == 401


def test_users_that_cannot_be_read_let_nobody_in(settings: Settings, guarded: ServedHome, token: str) -> None:
    (settings.home / "users.json").write_bytes(b"{")
    answer = guarded.get("/metrics", token)
    assert answer.status_code == 503
    assert str(settings.home) not in answer.text
    assert guarded.log.wait_for("server.users_unreadable").endswith('remove it and add the users again"')


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("localhost:8600", 200), ("127.0.0.1:1", 200), ("[::1]:8600", 200),
     ("LOCALHOST", 200), ("attacker.example", 421), ("attacker.example:8600", 421),
     ("127.0.0.1.attacker.example", 421), ("localhost.attacker.example", 421), ("192.0.2.1", 421),
     ("", 421), ("localhost:8600:1", 421), ("user@localhost", 421)],
)  # fmt: skip
def test_a_host_header_that_names_another_machine_is_refused(
    served: ServedHome, host: str, status: int
) -> None:
    assert served.get("/metrics", Host=host).status_code == status
    assert is_local_name(host) is (status == 200)


def test_the_host_header_is_checked_before_the_token(guarded: ServedHome, token: str) -> None:
    assert guarded.get("/metrics", token, Host="attacker.example").status_code == 421
    assert guarded.get("/health", Host="attacker.example").status_code == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "X"])
def test_other_methods_than_get_and_head_are_refused(served: ServedHome, method: str) -> None:
    answer = served.session.request(method, f"{served.address}/metrics", timeout=60)
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method Not Allowed"}
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_responses_are_not_cached_and_not_sniffed(served: ServedHome) -> None:
    for path in ("/metrics", "/health", "/nothing"):
        headers = served.get(path).headers
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        assert "Server" not in headers
    head = served.session.head(f"{served.address}/metrics", timeout=60)
    assert (head.status_code, head.content) == (200, b"")


class TestOtherHosts:
    """A server that other machines can reach."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> dict[str, str]:
        cert, key = write_certificate(tmp_path)
        return {"cert": str(cert), "key": str(key)}

    def test_needs_tls_and_a_user(self, settings: Settings, certificate: dict[str, str]) -> None:
        refused = {
            "--cert FILE and --key FILE and a user": {},
            "this needs a user": certificate,
        }
        for message, options in refused.items():
            with pytest.raises(UsageError, match=message):
                run_servers(settings, ServeOptions(http="0.0.0.0:0", **options), EventLog(None))  # type: ignore[arg-type]
        UserStore(settings).add_user("a", Role.READER)
        with pytest.raises(UsageError, match=r"this needs --cert FILE and --key FILE\. Without"):
            run_servers(settings, ServeOptions(http="0.0.0.0:0"), EventLog(None))
        files = certificate["cert"], certificate["key"]
        with pytest.raises(UsageError, match="--open-metrics is for loopback addresses only"):
            run_servers(settings, ServeOptions("0.0.0.0:0", *files, open_metrics=True), EventLog(None))

    def test_needs_a_token_for_all_but_the_status(
        self, settings: Settings, certificate: dict[str, str], token: str
    ) -> None:
        with serve_home(settings, http="0.0.0.0:0", **certificate) as running:
            running.address = f"https://127.0.0.1:{running.port}"
            running.session.verify = certificate["cert"]
            assert running.get("/metrics", Host="unify.example.org").status_code == 401
            assert running.get("/metrics", token, Host="unify.example.org").status_code == 200
            assert running.get("/health").json() == {"status": "unavailable"}
            UserStore(settings).remove_user("prometheus")
            assert running.get("/metrics").status_code == 401  # without any user, nobody is let in
            assert running.get("/health").json() == {"status": "unavailable"}

    def test_speaks_tls_only(self, settings: Settings, certificate: dict[str, str], token: str) -> None:
        with serve_home(settings, **certificate) as running:
            assert running.address.startswith("https://")
            with pytest.raises(requests.exceptions.ConnectionError):
                running.session.get(f"http://127.0.0.1:{running.port}/health", timeout=60)
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            with running.connect() as client, pytest.raises((ssl.SSLError, ConnectionError)):
                old.wrap_socket(client).recv(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name what to serve: --http"),
        ({"http": "0", "cert": "cert.pem"}, "are given together"),
        ({"http": "0", "key": "key.pem"}, "are given together"),
        (
            {"http": "0", "cert": "no.pem", "key": "key.pem"},
            r"--cert .*no\.pem: cannot be read \(No such file",
        ),
        (
            {"http": "0", "cert": "key.pem", "key": "key.pem"},
            "not a certificate and its private key in PEM format",
        ),
        ({"http": "0", "cert": "cert.pem", "key": "locked.pem"}, r"locked\.pem: the key has a password"),
    ],
)
def test_a_mistake_in_the_options_is_a_sentence(
    settings: Settings, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    _, key = write_certificate(tmp_path)
    write_locked_key(key, tmp_path / "locked.pem")
    paths = {name: value if name == "http" else str(tmp_path / value) for name, value in options.items()}
    with pytest.raises(UsageError, match=message):
        run_servers(settings, ServeOptions(**paths), EventLog(None))  # type: ignore[arg-type]


def write_locked_key(key: Path, target: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_pem_private_key(key.read_bytes(), None)
    target.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
