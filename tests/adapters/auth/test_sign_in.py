"""Signing in: the authorization code grant in the browser, and the device grant."""

from __future__ import annotations

import base64
import hashlib
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
import yaml

from tests.support.command import UnifyCommand
from tests.support.fault_server import MockResponse, RecordedRequest, unused_port
from tests.support.oauth_server import (
    CLIENT_ID,
    DEVICE_CODE,
    USER_CODE,
    BrowserUser,
    IdleUser,
    OAuthServer,
    query_fields,
    run_oauth_server,
    write_browser_script,
)
from tests.support.terminal import CTRL_C, ENTER, Terminal, run_on_terminal
from unify.adapters import base
from unify.adapters.auth import sign_in
from unify.adapters.auth.factory import build_authentication
from unify.adapters.auth.sign_in import code_challenge
from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.base import Read
from unify.adapters.http.rate_limit import Clock
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.config.secrets import Secret
from unify.errors import ConfigError, SignInNeeded, Unauthorized

Make = Callable[..., RESTAdapter]


class AdvancingClock(Clock):
    """A clock that advances instead of waiting and records the waits; ``ahead_s`` is its offset."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s
        self.waited: list[float] = []

    def time(self) -> float:
        return super().time() + self.ahead_s

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.ahead_s += seconds
        return stop.is_set()


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.fixture
def oauth_server() -> Iterator[OAuthServer]:
    with run_oauth_server() as server:
        yield server


@pytest.fixture
def make(oauth_server: OAuthServer, tmp_path: Path) -> Iterator[Make]:
    """Make adapters that share only the folder of tokens, as those of different processes do."""
    made: list[RESTAdapter] = []

    def adapter(
        grant: str = "authorization_code", clock: Clock | None = None, **settings: Any
    ) -> RESTAdapter:
        page = {"authorization_code": "authorize", "device_code": "device"}[grant]
        urls = {
            "token_url": f"{oauth_server.server.url}/token",
            "authorize_url": f"{oauth_server.server.url}/{page}",
        }
        grant_settings = {
            "grant": grant,
            "client_id": CLIENT_ID,
            "client_secret": "{secret}",
            **urls,
            **settings,
        }
        table = TableSpec("things", ("GET /things",), paging=Paging("none"))
        spec = AdapterSpec(
            "a", "a.yaml", oauth_server.server.url, auth=Auth("oauth2", grant_settings), tables=(table,)
        )
        options = {"secret": Secret(oauth_server.secret)}
        tokens = TokenCacheFolder(tmp_path / "tokens", "mine")
        made.append(
            RESTAdapter(spec, options, connection="mine", clock=clock or AdvancingClock(), token_cache=tokens)
        )
        return made[-1]

    yield adapter
    for each in made:
        each.close()


def rows(adapter: RESTAdapter) -> int:
    return sum(len(page.rows) for page in adapter.pages("things", Read()))


def test_a_code_challenge_matches_the_example_of_the_rfc() -> None:
    assert (
        code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


class TestBrowserFlow:
    def test_a_signed_in_user_can_read_the_api(self, oauth_server: OAuthServer, make: Make) -> None:
        user, adapter = BrowserUser(), make(scopes=["read", "write"])
        assert not adapter.is_signed_in()
        adapter.sign_in(user)
        user.join()

        assert adapter.is_signed_in()
        assert rows(adapter) == 2
        begun = query_fields(user.messages[0].partition(" sign in at ")[2])
        assert begun["scope"] == "read write"
        assert begun["redirect_uri"].endswith("/callback")
        (page,) = user.responses
        assert (page.status_code, "close this page" in page.text) == (200, True)
        assert "canary" not in page.text
        (redeemed,) = [request for request in oauth_server.server.requests if request.path == "/token"]
        assert b"code_verifier=" in redeemed.body
        hashed = hashlib.sha256(query_fields(f"?{redeemed.body.decode()}")["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == begun["code_challenge"]

    def test_an_application_with_a_secret_sends_it_as_basic_credentials(
        self, oauth_server: OAuthServer, make: Make
    ) -> None:
        oauth_server.secret = "app-secret"
        adapter = make()
        adapter.sign_in(BrowserUser())
        assert rows(adapter) == 2
        (redeemed,) = [request for request in oauth_server.server.requests if request.path == "/token"]
        assert b"app-secret" not in redeemed.body

    def test_the_next_process_uses_the_stored_tokens(self, oauth_server: OAuthServer, make: Make) -> None:
        make().sign_in(BrowserUser())
        assert [
            rows(make()),
            rows(make(clock=AdvancingClock(3600))),
            rows(make(clock=AdvancingClock(7200))),
        ] == [2, 2, 2]
        assert oauth_server.grant_types == ["authorization_code", "refresh_token", "refresh_token"]

    def test_a_token_refused_before_its_expiry_is_refreshed_once(
        self, oauth_server: OAuthServer, make: Make
    ) -> None:
        make().sign_in(BrowserUser())
        oauth_server.issued_count += 1
        assert rows(make()) == 2
        assert oauth_server.grant_types == ["authorization_code", "refresh_token"]

    def test_without_a_sign_in_no_request_is_sent(self, oauth_server: OAuthServer, make: Make) -> None:
        with pytest.raises(SignInNeeded, match=r"^mine\.things: not signed in; run connect mine"):
            rows(make())
        assert oauth_server.server.requests == []

    def test_a_refused_refresh_token_requires_another_sign_in(
        self, oauth_server: OAuthServer, make: Make
    ) -> None:
        make().sign_in(BrowserUser())
        oauth_server.refresh_token = "revoked"
        with pytest.raises(
            SignInNeeded, match=r"the sign-in has expired \(its refresh token was refused\); run connect"
        ):
            rows(make(clock=AdvancingClock(3600)))
        adapter = make(clock=AdvancingClock(3600))
        adapter.sign_in(BrowserUser())
        assert rows(adapter) == 2

    def test_a_refused_token_without_refresh_token_requires_another_sign_in(
        self, oauth_server: OAuthServer, make: Make
    ) -> None:
        oauth_server.server.serve("POST /token", MockResponse.json({"access_token": "forever"}))
        make().sign_in(BrowserUser())
        with pytest.raises(SignInNeeded, match="the sign-in has expired"):
            rows(make())

    def test_a_refused_client_secret_requires_no_sign_in(self, oauth_server: OAuthServer, make: Make) -> None:
        make().sign_in(BrowserUser())
        oauth_server.server.serve("POST /token", MockResponse.json({"error": "invalid_client"}, status=401))
        with pytest.raises(
            Unauthorized, match=r"no token was issued; check auth\.client_id in the spec"
        ) as caught:
            rows(make(clock=AdvancingClock(3600)))
        assert not isinstance(caught.value, SignInNeeded)

    def test_a_server_error_during_a_refresh_is_retried(self, oauth_server: OAuthServer, make: Make) -> None:
        make().sign_in(BrowserUser())
        exchange = oauth_server._serve_token
        oauth_server.server.serve("POST /token", MockResponse.error(503), exchange)
        assert rows(make(clock=AdvancingClock(3600))) == 2

    def test_a_callback_with_another_state_or_host_is_refused(
        self, oauth_server: OAuthServer, make: Make
    ) -> None:
        responses: list[requests.Response] = []

        def intrude(address: str) -> None:
            back = query_fields(address)["redirect_uri"]
            for target, headers in (
                (f"{back}?code=evil&state=guessed", {}),
                (f"{back}?code=evil", {}),
                (
                    f"{back}?{urlencode({'code': 'evil', 'state': query_fields(address)['state']})}",
                    {"Host": "evil"},
                ),
                (back.replace("/callback", "/favicon.ico"), {}),
            ):
                responses.append(requests.get(target, headers=headers, timeout=30))

        adapter = make()
        adapter.sign_in(BrowserUser(intrude))
        assert [response.status_code for response in responses] == [400, 400, 400, 404]
        assert rows(adapter) == 2
        assert b"evil" not in b"".join(request.body for request in oauth_server.server.requests)

    def test_a_silent_connection_to_the_callback_server_does_not_block(self, make: Make) -> None:
        silent: list[socket.socket] = []

        def connect(address: str) -> None:
            port = query_fields(address)["redirect_uri"].rpartition(":")[2].partition("/")[0]
            silent.append(socket.create_connection(("127.0.0.1", int(port))))

        adapter = make()
        adapter.sign_in(BrowserUser(connect))
        silent[0].close()
        assert rows(adapter) == 2

    def test_a_refusal_by_the_user_is_quoted(self, oauth_server: OAuthServer, make: Make) -> None:
        oauth_server.deny_reason = "Ada said no"
        with pytest.raises(Unauthorized, match='mine: the sign-in was refused \\("Ada said no"\\)'):
            make().sign_in(BrowserUser())
        assert oauth_server.grant_types == []

    def test_waiting_for_the_user_ends_after_a_timeout(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sign_in, "SIGN_IN_TIMEOUT_S", 0.05)
        with pytest.raises(Unauthorized, match="mine: no sign-in within"):
            make().sign_in(IdleUser())

    def test_the_callback_port_can_be_configured(self, make: Make) -> None:
        port, user = unused_port(), BrowserUser()
        adapter = make(redirect_port=str(port))
        adapter.sign_in(user)
        assert f"127.0.0.1%3A{port}%2Fcallback" in user.messages[0]
        assert rows(adapter) == 2

    def test_a_callback_port_in_use_is_named(self, make: Make) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigError, match=f"port {port} is not available"):
                make(redirect_port=str(port)).sign_in(IdleUser())

    def test_an_authorize_url_keeps_its_query(self, oauth_server: OAuthServer, make: Make) -> None:
        user = BrowserUser()
        make(authorize_url=f"{oauth_server.server.url}/authorize?access_type=offline").sign_in(user)
        user.join()
        assert oauth_server.server.request_targets[0].startswith(
            "/authorize?access_type=offline&response_type=code&"
        )

    def test_signing_out_deletes_the_tokens(self, make: Make, tmp_path: Path) -> None:
        adapter = make()
        adapter.sign_in(BrowserUser())
        assert len(list((tmp_path / "tokens").glob("*.json"))) == 1
        adapter.sign_out()
        assert list((tmp_path / "tokens").glob("*.json")) == []
        assert not make().is_signed_in()

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, r"auth\.authorize_url is missing"),
            ({"authorize_url": "file:///etc/passwd"}, r"auth\.authorize_url: .* is not a URL"),
            (
                {"authorize_url": "https://a.example", "redirect_port": "{p}"},
                r"auth\.redirect_port: 'x' is no",
            ),
        ],
    )
    def test_invalid_sign_in_settings_are_refused_before_any_request(
        self, settings: dict[str, Any], message: str
    ) -> None:
        auth = Auth(
            "oauth2",
            {"grant": "authorization_code", "token_url": "https://a.example", "client_id": "x", **settings},
        )
        with pytest.raises(ConfigError, match=message):
            build_authentication(auth, {"p": "x"}, "c (s.yaml)")


def pending(error: str = "authorization_pending", status: int = 400, **more: Any) -> MockResponse:
    return MockResponse.json({"error": error, **more}, status=status)


class TestDeviceFlow:
    def test_a_user_who_entered_the_code_can_read_the_api(
        self, oauth_server: OAuthServer, make: Make
    ) -> None:
        oauth_server.device_responses = [pending(), pending()]
        clock, user = AdvancingClock(), IdleUser()
        adapter = make("device_code", clock, scopes=["read"])
        adapter.sign_in(user)

        assert (
            user.messages[0] == f"mine: open {oauth_server.server.url}/enter and enter the code {USER_CODE}"
        )
        assert user.messages[-1] == f"{oauth_server.server.url}/enter?user_code={USER_CODE}"
        assert clock.waited == [1.0, 1.0, 1.0]
        assert oauth_server.server.requests[0].body == f"scope=read&client_id={CLIENT_ID}".encode()
        assert rows(adapter) == 2
        assert rows(make("device_code", AdvancingClock(3600), scopes=["read"])) == 2

    def test_slow_down_lengthens_the_interval(self, oauth_server: OAuthServer, make: Make) -> None:
        oauth_server.device_responses = [
            pending(),
            pending("slow_down"),
            pending(),
            pending("slow_down", interval=30),
            pending(),
        ]
        clock = AdvancingClock()
        make("device_code", clock).sign_in(IdleUser())
        assert clock.waited == [1.0, 1.0, 6.0, 6.0, 30.0, 30.0]

    def test_a_failed_poll_lengthens_the_next_wait(self, oauth_server: OAuthServer, make: Make) -> None:
        oauth_server.device_responses = [
            MockResponse.json({"a": 1}, cut_at=2, reset=True),
            MockResponse.error(503),
            pending(),
        ]
        clock = AdvancingClock()
        make("device_code", clock).sign_in(IdleUser())
        assert clock.waited == [1.0, 2.0, 4.0, 1.0]

    @pytest.mark.parametrize("status", [200, 401, 403, 428])
    def test_authorization_pending_is_recognized_with_any_status(
        self, oauth_server: OAuthServer, make: Make, status: int
    ) -> None:
        oauth_server.device_responses = [pending(status=status)]
        oauth_server.secret = "app-secret"
        make("device_code").sign_in(IdleUser())
        assert (
            len(oauth_server.grant_types) == 2
        )  # the poll is not repeated with another client authentication

    def test_the_default_interval_is_five_seconds(self, oauth_server: OAuthServer, make: Make) -> None:
        body = {
            "device_code": DEVICE_CODE,
            "user_code": USER_CODE,
            "verification_url": "http://a.example",
        }
        oauth_server.server.serve("POST /device", MockResponse.json(body))
        clock, user = AdvancingClock(), IdleUser()
        make("device_code", clock).sign_in(user)
        assert clock.waited == [5.0]
        assert user.messages[-1] == "http://a.example"

    @pytest.mark.parametrize(
        ("last", "message"),
        [
            (pending("expired_token"), "mine: the code expired before it was entered"),
            (pending("access_denied"), r'mine: the sign-in was refused \("access_denied"\)'),
            (pending("invalid_grant"), "no token was issued"),
            (MockResponse.text("<p>hello"), "no token was issued"),
        ],
    )
    def test_a_sign_in_without_a_token_names_the_reason(
        self, oauth_server: OAuthServer, make: Make, last: MockResponse, message: str
    ) -> None:
        oauth_server.device_responses = [pending(), last]
        with pytest.raises(Unauthorized, match=message):
            make("device_code").sign_in(IdleUser())
        assert len(oauth_server.grant_types) == 2

    def test_polling_ends_when_the_code_expires(self, oauth_server: OAuthServer, make: Make) -> None:
        oauth_server.device_responses = [pending()] * 1000
        clock = AdvancingClock()
        with pytest.raises(Unauthorized, match="the code expired before it was entered"):
            make("device_code", clock).sign_in(IdleUser())
        assert sum(clock.waited) <= 600

    @pytest.mark.parametrize(
        "response",
        [
            {"device_code": "d", "user_code": "u", "verification_uri": "javascript:alert(1)"},
            {"device_code": "d", "verification_uri": "https://a.example"},
            {"error": "unauthorized_client"},
        ],
    )
    def test_a_device_response_without_code_and_web_address_is_an_error(
        self, oauth_server: OAuthServer, make: Make, response: dict[str, str]
    ) -> None:
        oauth_server.server.serve("POST /device", MockResponse.json(response))
        with pytest.raises(Unauthorized, match="no token was issued"):
            make("device_code").sign_in(IdleUser())


def test_errors_contain_no_codes_and_tokens(oauth_server: OAuthServer, make: Make) -> None:
    """The server repeats the request in every error."""

    def echo(request: RecordedRequest) -> MockResponse:
        return MockResponse.error(
            400, f"no: {request.headers.get('authorization', '')} {request.body.decode()}"
        )

    oauth_server.server.serve("POST /token", echo)
    for secret in ("", 'app-canary"\\ü'):
        oauth_server.secret = secret
        pair = base64.b64encode(f"{CLIENT_ID}:{quote(secret, safe='')}".encode()).decode()
        for grant, user in (("authorization_code", BrowserUser()), ("device_code", IdleUser())):
            with pytest.raises(Unauthorized) as caught:
                make(grant).sign_in(user)
            assert "canary" not in caught.value.message
            assert pair not in caught.value.message
            assert "***" in caught.value.message


def test_a_check_signs_in_only_with_a_user(oauth_server: OAuthServer, make: Make) -> None:
    refused = base.check_with_sign_in(make(), None)
    assert (refused.accepted, "connect mine" in refused.reason) == (False, True)
    assert oauth_server.server.requests == []
    assert base.check_with_sign_in(make(), BrowserUser()).accepted
    assert base.check_with_sign_in(make(), None).accepted


# -- the command line on a terminal, the daemon and a script ------------------------------------------------


class App:
    """A home with the spec ``shop`` of the OAuth server, and a browser that follows every redirect."""

    def __init__(self, unify: UnifyCommand, oauth_server: OAuthServer) -> None:
        self.unify = unify
        self.oauth_server = oauth_server
        specs = unify.home / "specs"
        specs.mkdir()
        unify.environment["UNIFY_SPECS"] = str(specs)
        self.write("authorization_code")

    def write(self, grant: str) -> None:
        page = {"authorization_code": "authorize", "device_code": "device"}[grant]
        spec = {
            "name": "shop",
            "base_url": self.oauth_server.server.url,
            "options": {"secret": {"secret": True}},
            "auth": {
                "type": "oauth2",
                "grant": grant,
                "token_url": f"{self.oauth_server.server.url}/token",
                "authorize_url": f"{self.oauth_server.server.url}/{page}",
                "client_id": CLIENT_ID,
                "client_secret": "{secret}",
            },
            "paging": {"type": "none"},
            "check": {"request": "GET /me", "identity": "login"},
            "tables": [{"name": "things", "request": "GET /things", "key": "id"}],
        }
        (self.unify.home / "specs" / "shop.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")

    def connect(self) -> None:
        self.unify.write_connections("shop: {adapter: shop, options: {}}\n")

    def use_browser(self) -> None:
        self.unify.environment["BROWSER"] = write_browser_script(self.unify.home)

    @contextmanager
    def terminal(self, *arguments: str) -> Iterator[Terminal]:
        command = [sys.executable, "-m", "unify", *arguments]
        with run_on_terminal(command, self.unify.environment, self.unify.home, columns=400) as terminal:
            yield terminal

    @property
    def kept(self) -> list[Path]:
        return list((self.unify.home / "tokens").glob("shop-*.json"))


@pytest.fixture
def app(unify: UnifyCommand, oauth_server: OAuthServer) -> App:
    return App(unify, oauth_server)


class TestCommandLine:
    def test_connect_opens_the_browser_and_the_daemon_renews_the_token(self, app: App) -> None:
        app.use_browser()
        with app.terminal("-c", "connect shop as eu") as terminal:
            terminal.expect_text("secret (")
            terminal.type(ENTER)
            terminal.expect_text("authenticated as ada: 1 table")
            assert terminal.wait_for_end() == 0
            assert "sign in at http" in terminal.screen
        app.oauth_server.lifetime_s = None
        assert app.unify("select count(*) from eu.things").single_value == "2"
        assert app.oauth_server.grant_types == ["authorization_code"]

        app.oauth_server.issued_count += 1  # the token is no longer valid: the daemon renews it
        assert app.unify("reload table eu.things").exit_status == 0
        assert app.oauth_server.grant_types == ["authorization_code", "refresh_token"]

        app.oauth_server.issued_count += 1
        app.oauth_server.refresh_token = "revoked"
        over = app.unify("reload table eu.things")
        assert over.exit_status == 1
        assert "the sign-in has expired (its refresh token was refused); run connect eu" in over.stderr
        with app.terminal("-c", "connect eu") as terminal:
            terminal.expect_text("eu: signed in as ada")
            assert terminal.wait_for_end() == 0
        assert app.unify("reload table eu.things", "disconnect eu").exit_status == 0
        assert list((app.unify.home / "tokens").glob("*.json")) == []

    def test_a_query_asks_for_the_sign_in_with_a_device_code_first(self, app: App) -> None:
        app.write("device_code")
        app.connect()
        with app.terminal(
            "-q", "--format", "csv", "-c", "select max(id) as top from shop.things"
        ) as terminal:
            terminal.expect_text(f"open {app.oauth_server.server.url}/enter and enter the code {USER_CODE}")
            assert terminal.wait_for_end() == 0
            assert terminal.screen.splitlines()[-2:] == ["top", "2"]

    def test_ctrl_c_cancels_the_sign_in(self, app: App) -> None:
        app.connect()
        for arguments in (["check", "shop"], ["-c", "peek shop.things"]):
            with app.terminal(*arguments) as terminal:
                terminal.expect_text("Press Ctrl-C to cancel")
                terminal.type(CTRL_C)
                assert terminal.wait_for_end() == 130, terminal.screen
                assert "Traceback" not in terminal.screen
        assert app.kept == []

    def test_a_script_never_waits_for_a_sign_in(self, app: App) -> None:
        app.use_browser()
        app.connect()
        checked = app.unify.run("check", "shop")
        message = "not signed in; run connect shop (or unify check shop) in a terminal"
        assert (checked.exit_status, checked.stdout) == (1, f"shop: {message}\n")
        statements = ("peek shop.things", "select * from shop.things", "connect shop")
        answer = app.unify(*statements, args=["--keep-going"])
        assert answer.exit_status == 1
        assert answer.stderr.count(message) == 2
        assert "sign-in requires a terminal" in answer.stderr
        assert app.oauth_server.server.requests == []

    def test_check_signs_in_and_prints_the_user(self, app: App) -> None:
        app.use_browser()
        app.connect()
        with app.terminal("check") as terminal:
            terminal.expect_text("shop: ok, as ada")
            assert terminal.wait_for_end() == 0
            assert "noise" not in terminal.screen
        assert app.unify.run("check", "shop").stdout == "shop: ok, as ada\n"
        (kept,) = app.kept
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def test_spec_try_signs_in(self, app: App) -> None:
        app.use_browser()
        with app.terminal("spec", "try", str(app.unify.home / "specs" / "shop.yaml"), "things") as terminal:
            assert terminal.wait_for_end() == 0
            assert "sign in at" in terminal.screen
            assert "canary" not in terminal.screen
        assert app.kept == []

    def test_a_recorded_case_runs_signed_in(self, app: App) -> None:
        cases = app.unify.home / "specs" / "tests" / "shop"
        cases.mkdir(parents=True)
        headers = {"Authorization": "Bearer dummy-token"}
        exchange = {"request": "GET /things", "headers": headers, "answer": {"body": [{"id": 1}]}}
        case = {"table": "things", "exchanges": [exchange], "rows": [{"id": 1}]}
        (cases / "things.yaml").write_text(yaml.safe_dump(case), encoding="utf-8")
        tested = app.unify.run("spec", "test", str(app.unify.home / "specs" / "shop.yaml"))
        assert tested.exit_status == 0, tested
        assert app.oauth_server.server.requests == []
