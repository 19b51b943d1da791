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
from unify.adapters.spec.model import AdapterSpec, Paging, TableSpec
from unify.config.secrets import Secret
from unify.errors import ConfigError, SignInNeeded, Unauthorized

Make = Callable[..., RESTAdapter]


class Jumping(Clock):
    """Waits by moving on, and notes how long; ``ahead_s`` is how far it is."""

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
def bank() -> Iterator[OAuthServer]:
    with run_oauth_server() as server:
        yield server


@pytest.fixture
def make(bank: OAuthServer, tmp_path: Path) -> Iterator[Make]:
    """An adapter as another process would have it: nothing is shared but the folder of tokens."""
    made: list[RESTAdapter] = []

    def adapter(
        grant: str = "authorization_code", clock: Clock | None = None, **settings: Any
    ) -> RESTAdapter:
        page = {"authorization_code": "authorize", "device_code": "device"}[grant]
        urls = {"token_url": f"{bank.server.url}/token", "authorize_url": f"{bank.server.url}/{page}"}
        given = {"grant": grant, "client_id": CLIENT_ID, "client_secret": "{secret}", **urls, **settings}
        table = TableSpec("things", ("GET /things",), paging=Paging("none"))
        spec = AdapterSpec("a", "a.yaml", bank.server.url, auth=Auth("oauth2", given), tables=(table,))
        options = {"secret": Secret(bank.secret)}
        tokens = TokenCacheFolder(tmp_path / "tokens", "mine")
        made.append(
            RESTAdapter(spec, options, connection="mine", clock=clock or Jumping(), token_cache=tokens)
        )
        return made[-1]

    yield adapter
    for each in made:
        each.close()


def rows(adapter: RESTAdapter) -> int:
    return sum(len(page.rows) for page in adapter.pages("things", Read()))


def test_a_challenge_is_that_of_the_rfc() -> None:
    assert (
        code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


class TestByBrowser:
    def test_a_person_signs_in_and_the_api_answers(self, bank: OAuthServer, make: Make) -> None:
        visitor, adapter = BrowserUser(), make(scopes=["read", "write"])
        assert not adapter.is_signed_in()
        adapter.sign_in(visitor)
        visitor.join()

        assert adapter.is_signed_in()
        assert rows(adapter) == 2
        begun = query_fields(visitor.messages[0].partition(" sign in at ")[2])
        assert begun["scope"] == "read write"
        assert begun["redirect_uri"].endswith("/callback")
        (page,) = visitor.responses
        assert (page.status_code, "close this page" in page.text) == (200, True)
        assert "canary" not in page.text
        (redeemed,) = [asked for asked in bank.server.requests if asked.path == "/token"]
        assert b"code_verifier=" in redeemed.body
        hashed = hashlib.sha256(query_fields(f"?{redeemed.body.decode()}")["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == begun["code_challenge"]

    def test_an_application_with_a_secret_proves_itself(self, bank: OAuthServer, make: Make) -> None:
        bank.secret = "app-secret"
        adapter = make()
        adapter.sign_in(BrowserUser())
        assert rows(adapter) == 2
        (redeemed,) = [asked for asked in bank.server.requests if asked.path == "/token"]
        assert b"app-secret" not in redeemed.body

    def test_the_next_process_needs_nobody(self, bank: OAuthServer, make: Make) -> None:
        make().sign_in(BrowserUser())
        assert [rows(make()), rows(make(clock=Jumping(3600))), rows(make(clock=Jumping(7200)))] == [2, 2, 2]
        assert bank.grant_types == ["authorization_code", "refresh_token", "refresh_token"]

    def test_a_token_dead_before_its_time_is_refreshed_once(self, bank: OAuthServer, make: Make) -> None:
        make().sign_in(BrowserUser())
        bank.issued_count += 1
        assert rows(make()) == 2
        assert bank.grant_types == ["authorization_code", "refresh_token"]

    def test_without_a_sign_in_nothing_is_asked(self, bank: OAuthServer, make: Make) -> None:
        with pytest.raises(
            SignInNeeded, match=r"^mine\.things: nobody has signed in yet; at a terminal, connect mine"
        ):
            rows(make())
        assert bank.server.requests == []

    def test_a_refresh_token_that_is_refused_means_to_sign_in_again(
        self, bank: OAuthServer, make: Make
    ) -> None:
        make().sign_in(BrowserUser())
        bank.refresh_token = "revoked"
        with pytest.raises(
            SignInNeeded, match=r"the sign-in is over, its refresh token is refused; .* signs in"
        ):
            rows(make(clock=Jumping(3600)))
        adapter = make(clock=Jumping(3600))
        adapter.sign_in(BrowserUser())
        assert rows(adapter) == 2

    def test_a_token_that_is_refused_and_cannot_be_refreshed_too(self, bank: OAuthServer, make: Make) -> None:
        bank.server.serve("POST /token", MockResponse.json({"access_token": "forever"}))
        make().sign_in(BrowserUser())
        with pytest.raises(SignInNeeded, match="the sign-in is over"):
            rows(make())

    def test_a_wrong_secret_is_not_the_persons_fault(self, bank: OAuthServer, make: Make) -> None:
        make().sign_in(BrowserUser())
        bank.server.serve("POST /token", MockResponse.json({"error": "invalid_client"}, status=401))
        with pytest.raises(Unauthorized, match="no token was given; check option") as caught:
            rows(make(clock=Jumping(3600)))
        assert not isinstance(caught.value, SignInNeeded)

    def test_a_server_in_trouble_costs_no_sign_in(self, bank: OAuthServer, make: Make) -> None:
        make().sign_in(BrowserUser())
        exchange = bank._serve_token
        bank.server.serve("POST /token", MockResponse.error(503), exchange)
        assert rows(make(clock=Jumping(3600))) == 2

    def test_what_comes_back_with_another_state_is_refused(self, bank: OAuthServer, make: Make) -> None:
        answers: list[requests.Response] = []

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
                answers.append(requests.get(target, headers=headers, timeout=30))

        adapter = make()
        adapter.sign_in(BrowserUser(intrude))
        assert [answer.status_code for answer in answers] == [400, 400, 400, 404]
        assert rows(adapter) == 2
        assert b"evil" not in b"".join(asked.body for asked in bank.server.requests)

    def test_a_browser_that_says_nothing_holds_nobody_up(self, make: Make) -> None:
        silent: list[socket.socket] = []

        def connect(address: str) -> None:
            port = query_fields(address)["redirect_uri"].rpartition(":")[2].partition("/")[0]
            silent.append(socket.create_connection(("127.0.0.1", int(port))))

        make().sign_in(BrowserUser(connect))
        silent[0].close()

    def test_a_person_who_refuses_is_quoted(self, bank: OAuthServer, make: Make) -> None:
        bank.deny_reason = "Ada said no"
        with pytest.raises(Unauthorized, match='the sign-in to mine was refused \\("Ada said no"\\)'):
            make().sign_in(BrowserUser())
        assert bank.grant_types == []

    def test_a_person_who_does_nothing_is_not_waited_for_for_ever(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sign_in, "SIGN_IN_TIMEOUT_S", 0.05)
        with pytest.raises(Unauthorized, match="nobody signed in to mine within"):
            make().sign_in(IdleUser())

    def test_the_port_can_be_fixed(self, make: Make) -> None:
        port, visitor = unused_port(), BrowserUser()
        adapter = make(redirect_port=str(port))
        adapter.sign_in(visitor)
        assert f"127.0.0.1%3A{port}%2Fcallback" in visitor.messages[0]
        assert rows(adapter) == 2

    def test_a_port_that_is_taken_is_named(self, make: Make) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigError, match=f"port {port} of this machine cannot be listened on"):
                make(redirect_port=str(port)).sign_in(IdleUser())

    def test_an_address_with_a_query_keeps_it(self, bank: OAuthServer, make: Make) -> None:
        visitor = BrowserUser()
        make(authorize_url=f"{bank.server.url}/authorize?access_type=offline").sign_in(visitor)
        visitor.join()
        assert bank.server.request_targets[0].startswith("/authorize?access_type=offline&response_type=code&")

    def test_signing_out_forgets(self, make: Make, tmp_path: Path) -> None:
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
            ({"authorize_url": "file:///etc/passwd"}, r"auth\.authorize_url: .* is not an address"),
            (
                {"authorize_url": "https://a.example", "redirect_port": "{p}"},
                r"auth\.redirect_port: 'x' is no",
            ),
        ],
    )
    def test_what_cannot_be_is_refused_before_any_request(
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


class TestByDevice:
    def test_a_person_enters_the_code_and_the_api_answers(self, bank: OAuthServer, make: Make) -> None:
        bank.device_responses = [pending(), pending()]
        clock, nobody = Jumping(), IdleUser()
        adapter = make("device_code", clock, scopes=["read"])
        adapter.sign_in(nobody)

        assert nobody.messages[0] == f"mine: open {bank.server.url}/enter and enter the code {USER_CODE}"
        assert nobody.messages[-1] == f"{bank.server.url}/enter?user_code={USER_CODE}"
        assert clock.waited == [1.0, 1.0, 1.0]
        assert bank.server.requests[0].body == f"scope=read&client_id={CLIENT_ID}".encode()
        assert rows(adapter) == 2
        assert rows(make("device_code", Jumping(3600), scopes=["read"])) == 2

    def test_slow_down_makes_it_slower(self, bank: OAuthServer, make: Make) -> None:
        bank.device_responses = [
            pending(),
            pending("slow_down"),
            pending(),
            pending("slow_down", interval=30),
            pending(),
        ]
        clock = Jumping()
        make("device_code", clock).sign_in(IdleUser())
        assert clock.waited == [1.0, 1.0, 6.0, 6.0, 30.0, 30.0]

    def test_after_a_poll_without_an_answer_it_is_slower(self, bank: OAuthServer, make: Make) -> None:
        bank.device_responses = [
            MockResponse.json({"a": 1}, cut_at=2, reset=True),
            MockResponse.error(503),
            pending(),
        ]
        clock = Jumping()
        make("device_code", clock).sign_in(IdleUser())
        assert clock.waited == [1.0, 2.0, 4.0, 1.0]

    @pytest.mark.parametrize("status", [200, 401, 403, 428])
    def test_not_yet_is_understood_whatever_its_status(
        self, bank: OAuthServer, make: Make, status: int
    ) -> None:
        bank.device_responses = [pending(status=status)]
        bank.secret = "app-secret"
        make("device_code").sign_in(IdleUser())
        assert len(bank.grant_types) == 2  # a poll is sent once: nobody doubts the application

    def test_an_interval_that_is_not_said_is_five_seconds(self, bank: OAuthServer, make: Make) -> None:
        given = {"device_code": DEVICE_CODE, "user_code": USER_CODE, "verification_url": "http://a.example"}
        bank.server.serve("POST /device", MockResponse.json(given))
        clock, nobody = Jumping(), IdleUser()
        make("device_code", clock).sign_in(nobody)
        assert clock.waited == [5.0]
        assert nobody.messages[-1] == "http://a.example"

    @pytest.mark.parametrize(
        ("last", "message"),
        [
            (pending("expired_token"), "nobody entered the code for mine before it expired"),
            (pending("access_denied"), r'the sign-in to mine was refused \("access_denied"\)'),
            (pending("invalid_grant"), "no token was given"),
            (MockResponse.text("<p>hello"), "no token was given"),
        ],
    )
    def test_an_end_without_a_token_says_why(
        self, bank: OAuthServer, make: Make, last: MockResponse, message: str
    ) -> None:
        bank.device_responses = [pending(), last]
        with pytest.raises(Unauthorized, match=message):
            make("device_code").sign_in(IdleUser())
        assert len(bank.grant_types) == 2

    def test_a_code_that_nobody_enters_is_not_asked_for_for_ever(self, bank: OAuthServer, make: Make) -> None:
        bank.device_responses = [pending()] * 1000
        clock = Jumping()
        with pytest.raises(Unauthorized, match="before it expired"):
            make("device_code", clock).sign_in(IdleUser())
        assert sum(clock.waited) <= 600

    @pytest.mark.parametrize(
        "given",
        [
            {"device_code": "d", "user_code": "u", "verification_uri": "javascript:alert(1)"},
            {"device_code": "d", "verification_uri": "https://a.example"},
            {"error": "unauthorized_client"},
        ],
    )
    def test_without_a_code_and_a_web_address_there_is_nothing_to_do(
        self, bank: OAuthServer, make: Make, given: dict[str, str]
    ) -> None:
        bank.server.serve("POST /device", MockResponse.json(given))
        with pytest.raises(Unauthorized, match="no token was given"):
            make("device_code").sign_in(IdleUser())


def test_codes_and_tokens_are_never_told(bank: OAuthServer, make: Make) -> None:
    """A server that repeats what it was sent, in every error."""

    def echo(asked: RecordedRequest) -> MockResponse:
        return MockResponse.error(400, f"no: {asked.headers.get('authorization', '')} {asked.body.decode()}")

    bank.server.serve("POST /token", echo)
    for secret in ("", 'app-canary"\\ü'):
        bank.secret = secret
        pair = base64.b64encode(f"{CLIENT_ID}:{quote(secret, safe='')}".encode()).decode()
        for grant, visitor in (("authorization_code", BrowserUser()), ("device_code", IdleUser())):
            with pytest.raises(Unauthorized) as caught:
                make(grant).sign_in(visitor)
            assert "canary" not in caught.value.message
            assert pair not in caught.value.message
            assert "***" in caught.value.message


def test_a_check_asks_only_where_there_is_somebody(bank: OAuthServer, make: Make) -> None:
    refused = base.check_with_sign_in(make(), None)
    assert (refused.accepted, "connect mine" in refused.reason) == (False, True)
    assert bank.server.requests == []
    assert base.check_with_sign_in(make(), BrowserUser()).accepted
    assert base.check_with_sign_in(make(), None).accepted


# -- from the outside: the command line on a terminal, the daemon, a script -------------------------------


class App:
    """A home with the spec ``shop`` of ``bank``, and a browser that follows whatever it is given."""

    def __init__(self, unify: UnifyCommand, bank: OAuthServer) -> None:
        self.unify = unify
        self.bank = bank
        specs = unify.home / "specs"
        specs.mkdir()
        unify.environment["UNIFY_SPECS"] = str(specs)
        self.write("authorization_code")

    def write(self, grant: str) -> None:
        page = {"authorization_code": "authorize", "device_code": "device"}[grant]
        spec = {
            "name": "shop",
            "base_url": self.bank.server.url,
            "options": {"secret": {"secret": True}},
            "auth": {
                "type": "oauth2",
                "grant": grant,
                "token_url": f"{self.bank.server.url}/token",
                "authorize_url": f"{self.bank.server.url}/{page}",
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
def app(unify: UnifyCommand, bank: OAuthServer) -> App:
    return App(unify, bank)


class TestAtTheCommandLine:
    def test_connect_opens_the_browser_and_the_daemon_goes_on_alone(self, app: App) -> None:
        app.use_browser()
        with app.terminal("-c", "connect shop as eu") as terminal:
            terminal.wait_for_text("secret (")
            terminal.type(ENTER)
            terminal.wait_for_text("known there as ada: 1 table")
            assert terminal.wait_for_end() == 0
            assert "sign in at http" in terminal.screen
        app.bank.lifetime_s = None
        assert app.unify("select count(*) from eu.things").single_value == "2"
        assert app.bank.grant_types == ["authorization_code"]

        app.bank.issued_count += 1  # the token dies: the daemon renews it by itself
        assert app.unify("reload table eu.things").exit_status == 0
        assert app.bank.grant_types == ["authorization_code", "refresh_token"]

        app.bank.issued_count += 1
        app.bank.refresh_token = "revoked"
        over = app.unify("reload table eu.things")
        assert over.exit_status == 1
        assert "the sign-in is over, its refresh token is refused; at a terminal, connect eu" in over.stderr
        with app.terminal("-c", "connect eu") as terminal:
            terminal.wait_for_text("eu: signed in, known there as ada")
            assert terminal.wait_for_end() == 0
        assert app.unify("reload table eu.things", "disconnect eu").exit_status == 0
        assert list((app.unify.home / "tokens").glob("*.json")) == []

    def test_a_query_lets_a_person_sign_in_first_with_a_code(self, app: App) -> None:
        app.write("device_code")
        app.connect()
        with app.terminal(
            "-q", "--format", "csv", "-c", "select max(id) as top from shop.things"
        ) as terminal:
            terminal.wait_for_text(f"open {app.bank.server.url}/enter and enter the code {USER_CODE}")
            assert terminal.wait_for_end() == 0
            assert terminal.screen.splitlines()[-2:] == ["top", "2"]

    def test_ctrl_c_gives_up(self, app: App) -> None:
        app.connect()
        for arguments in (["check", "shop"], ["-c", "peek shop.things"]):
            with app.terminal(*arguments) as terminal:
                terminal.wait_for_text("Ctrl-C gives up")
                terminal.type(CTRL_C)
                assert terminal.wait_for_end() == 130, terminal.screen
                assert "Traceback" not in terminal.screen
        assert app.kept == []

    def test_a_script_is_never_asked(self, app: App) -> None:
        app.use_browser()
        app.connect()
        checked = app.unify.run("check", "shop")
        said = "nobody has signed in yet; at a terminal, connect shop (or unify check shop) does that"
        assert (checked.exit_status, checked.stdout) == (1, f"shop: {said}\n")
        statements = ("peek shop.things", "select * from shop.things", "connect shop")
        answer = app.unify(*statements, args=["--keep-going"])
        assert answer.exit_status == 1
        assert answer.stderr.count(said) == 2
        assert "signing in takes a person, and this is no terminal" in answer.stderr
        assert app.bank.server.requests == []

    def test_check_signs_in_and_tells_as_whom(self, app: App) -> None:
        app.use_browser()
        app.connect()
        with app.terminal("check") as terminal:
            terminal.wait_for_text("shop: ok, as ada")
            assert terminal.wait_for_end() == 0
            assert "noise" not in terminal.screen
        assert app.unify.run("check", "shop").stdout == "shop: ok, as ada\n"
        (kept,) = app.kept
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def test_a_spec_can_be_tried(self, app: App) -> None:
        app.use_browser()
        with app.terminal("spec", "try", str(app.unify.home / "specs" / "shop.yaml"), "things") as terminal:
            assert terminal.wait_for_end() == 0
            assert "sign in at" in terminal.screen
            assert "canary" not in terminal.screen
        assert app.kept == []

    def test_in_a_case_somebody_has_signed_in(self, app: App) -> None:
        cases = app.unify.home / "specs" / "tests" / "shop"
        cases.mkdir(parents=True)
        headers = {"Authorization": "Bearer dummy-token"}
        exchange = {"request": "GET /things", "headers": headers, "answer": {"body": [{"id": 1}]}}
        case = {"table": "things", "exchanges": [exchange], "rows": [{"id": 1}]}
        (cases / "things.yaml").write_text(yaml.safe_dump(case), encoding="utf-8")
        tested = app.unify.run("spec", "test", str(app.unify.home / "specs" / "shop.yaml"))
        assert tested.exit_status == 0, tested
        assert app.bank.server.requests == []
