"""How requests prove who asks, and that the proof goes nowhere else."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlencode

import pytest

from tests.faultserver import Asked, FaultServer, Reply
from tests.oauthserver import Nobody, Visitor
from unify.adapters.auth import authentication
from unify.adapters.base import Listeners, Read, Traffic
from unify.adapters.messages import Request
from unify.adapters.pace import Clock
from unify.adapters.rest import RESTAdapter
from unify.adapters.spec import AdapterSpec, Auth, Paging, TableSpec
from unify.connections import Secret
from unify.errors import ConfigError, Unauthorized, UnifyError

SECRET = "pa$$ w0rd/ünïcode=="
KEY = "k3y-0123456789"
OPTIONS: dict[str, str | Secret | None] = {
    "user": "ann",
    "secret": Secret(SECRET),
    "key": Secret(KEY),
    "empty": "",
    "unset": None,
}

WAYS: dict[str, Auth] = {
    "bearer": Auth("bearer", {"token": "{key}"}),
    "basic": Auth("basic", {"username": "{user}", "password": "{secret}"}),
    "header": Auth("api_key", {"name": "X-API-Key", "value": "{key}", "in": "header"}),
    "query": Auth("api_key", {"name": "api key", "value": "{key}", "in": "query"}),
    "cookie": Auth("api_key", {"name": "sid", "value": "{key}", "in": "cookie"}),
}
# Those that ask for a token first, at ``{url}/token``, or make one; the token they get is KEY.
_CLIENT = {"token_url": "{url}/token", "client_id": "{user}", "client_secret": "{secret}"}
FETCHED: dict[str, Auth] = {
    "client credentials": Auth("oauth2", {**_CLIENT, "grant": "client_credentials"}),
    "refresh token": Auth("oauth2", {**_CLIENT, "grant": "refresh_token", "refresh_token": "{key}"}),
    "browser": Auth("oauth2", {**_CLIENT, "grant": "authorization_code", "authorize_url": "{url}/authorize"}),
    "device": Auth("oauth2", {**_CLIENT, "grant": "device_code", "authorize_url": "{url}/device"}),
    "session": Auth(
        "session", {"request": "POST /token", "body": {"p": "{secret}"}, "token": "access_token"}
    ),
    "session cookie": Auth(
        "session",
        {
            "request": "POST /token",
            "form": {"p": "{secret}"},
            "token": "access_token",
            "in": "cookie",
            "name": "sid",
            "value": "{session}",
        },
    ),
    "aws": Auth(
        "aws_sigv4",
        {
            "access_key_id": "{key}",
            "secret_access_key": "{secret}",
            "session_token": "{key}",
            "region": "eu-west-1",
            "service": "ce",
        },
    ),
    "jwt": Auth("jwt", {"algorithm": "HS256", "key": "{secret}", "claims": {"iss": "{key}"}}),
}
ALL_WAYS = {**WAYS, **FETCHED}


def applied(auth: Auth, **request: Any) -> Request:
    return authentication(auth, OPTIONS, "c (s.yaml)").apply(Request("GET", "http://api/x", **request), 0.0)


class TestWays:
    def test_none(self) -> None:
        assert applied(Auth()) == Request("GET", "http://api/x")

    def test_bearer(self) -> None:
        assert applied(WAYS["bearer"]).headers == {"Authorization": f"Bearer {KEY}"}

    def test_basic(self) -> None:
        scheme, _, proof = applied(WAYS["basic"]).headers["Authorization"].partition(" ")
        assert scheme == "Basic"
        assert base64.b64decode(proof).decode() == f"ann:{SECRET}"

    def test_basic_with_a_token_for_a_name(self) -> None:
        auth = Auth("basic", {"username": "{key}"})
        proof = applied(auth).headers["Authorization"].partition(" ")[2]
        assert base64.b64decode(proof).decode() == f"{KEY}:"

    def test_api_key_in_a_header(self) -> None:
        assert applied(WAYS["header"]).headers == {"X-API-Key": KEY}

    def test_api_key_in_the_query_replaces_one_that_a_link_brought(self) -> None:
        request = Request("GET", "http://api/x?api+key=old&page=2")
        way = authentication(WAYS["query"], OPTIONS, "c")
        assert way.apply(request, 0.0).address == f"http://api/x?page=2&api%20key={KEY}"

    def test_api_key_in_a_cookie_beside_others(self) -> None:
        assert applied(WAYS["cookie"], headers={"Cookie": "a=b"}).headers == {"Cookie": f"a=b; sid={KEY}"}

    def test_an_empty_token_is_no_token(self) -> None:
        assert applied(Auth("bearer", {"token": "{empty}"})).headers == {}

    @pytest.mark.parametrize(
        ("auth", "message"),
        [
            (Auth("bearer", {}), r"auth\.token is missing"),
            (Auth("bearer", {"token": "{unset}"}), r"auth\.token: .*\{unset\} has no value"),
            (
                Auth("api_key", {"name": "x", "value": "y", "in": "body"}),
                r"auth\.in is header, query or cookie",
            ),
            (Auth("bearer", {"token": "two\nlines"}), "line break"),
            (Auth("jwt", {"key": "x"}), r"auth\.key is no private key"),
            (Auth("oauth2", {"grant": "password"}), r"auth\.grant is one of .*, device_code, not 'password'"),
            (Auth("oauth2", {"token_url": "https://x", "client_id": "{unset}"}), r"auth\.client_id"),
        ],
    )
    def test_what_cannot_be_done_is_refused_before_any_request(self, auth: Auth, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            authentication(auth, OPTIONS, "conn (spec.yaml)")
        assert caught.value.message.startswith("conn (spec.yaml): ")


def test_a_base_address_takes_no_password() -> None:
    with pytest.raises(ConfigError, match="auth takes those") as caught:
        RESTAdapter(AdapterSpec("a", "a.yaml", "https://ann:s3cret@example.org"), {})
    assert "s3cret" not in caught.value.message


def forms_of_secrets() -> list[str]:
    """Every form in which a credential of this page could leave us."""
    proof = base64.b64encode(f"ann:{SECRET}".encode()).decode()
    return [
        KEY,
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        proof,
        base64.b64encode(KEY.encode()).decode(),
    ]


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def foreign() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.serve("/next", Reply.json({"items": [{"id": 2}]}))
        yield server


Make = Callable[..., RESTAdapter]


class FixedClock(Clock):
    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


class Hasty(Clock):
    """Waits for nothing."""

    def wait(self, stop: threading.Event, _seconds: float) -> bool:
        return stop.is_set()


@pytest.fixture
def make(api: FaultServer) -> Iterator[Make]:
    made: list[RESTAdapter] = []

    def adapter(auth: Auth, paging: Paging, **settings: Any) -> RESTAdapter:
        table = TableSpec("things", "GET", "/things", paging=paging, headers={"X-Extra": "{key}"})
        given = {name: settings.pop(name, None) for name in ("listeners", "clock")}
        spec = AdapterSpec("api", "api.yaml", api.url, auth=auth, tables=(table,), **settings)
        made.append(RESTAdapter(spec, OPTIONS, **given))
        return made[-1]

    yield adapter
    for each in made:
        each.close()


def at(auth: Auth, api: FaultServer) -> Auth:
    """``auth`` with the address of the authorization server."""
    settings = {
        name: value.replace("{url}", api.url) if isinstance(value, str) else value
        for name, value in auth.settings.items()
    }
    return Auth(auth.type, settings)


def proved(make: Make, way: str, api: FaultServer, paging: Paging, **settings: Any) -> RESTAdapter:
    """An adapter that has what it proves itself with: whoever has to has signed in."""
    api.serve("POST /token", Reply.json({"access_token": KEY}))
    let_people_in(api)
    adapter = make(at(ALL_WAYS[way], api), paging, clock=Hasty(), **settings)
    sign_in(adapter, way)
    return adapter


def sign_in(adapter: RESTAdapter, way: str) -> None:
    adapter.sign_in(Visitor() if way == "browser" else Nobody())


def used(adapter: RESTAdapter, way: str) -> None:
    sign_in(adapter, way)
    list(adapter.pages("things", Read()))


def let_people_in(api: FaultServer) -> None:
    """Whoever comes to consent has done so."""
    device = {"device_code": KEY, "user_code": "u", "verification_uri": api.url}
    api.serve("POST /device", Reply.json(device))
    api.serve("/authorize", lambda asked: Reply.redirect(back(asked)))


def back(asked: Asked) -> str:
    return f"{asked.query['redirect_uri']}?{urlencode({'state': asked.query['state'], 'code': KEY})}"


DETOURS: dict[str, tuple[Paging, Callable[[str], Reply]]] = {
    "redirect 302": (Paging("none"), Reply.redirect),
    "redirect 307": (Paging("none"), lambda to: Reply.redirect(to, 307)),
    "link header": (
        Paging("link_header"),
        lambda to: Reply.json({"items": [{"id": 1}]}).with_headers(Link=f'<{to}>; rel="next"'),
    ),
    "next url": (Paging("next_url", path="next"), lambda to: Reply.json({"items": [{"id": 1}], "next": to})),
    "auto": (Paging("auto"), lambda to: Reply.json({"items": [{"id": 1}], "next": to})),
}


class TestCredentialsStayHome:
    """13 ways of authenticating by 5 detours by 4 other places: 260 cases; 65 more to an allowed origin."""

    @pytest.mark.parametrize("detour", DETOURS)
    @pytest.mark.parametrize("elsewhere", ["port", "host", "scheme", "user"])
    @pytest.mark.parametrize("way", ALL_WAYS)
    def test_no_detour_takes_them_along(
        self, api: FaultServer, foreign: FaultServer, make: Make, way: str, elsewhere: str, detour: str
    ) -> None:
        paging, reply = DETOURS[detour]
        port, own = foreign.url.rpartition(":")[2], api.url.rpartition(":")[2]
        target = {
            "port": f"{foreign.url}/next",
            "host": f"http://localhost:{port}/next",
            "scheme": f"https://127.0.0.1:{own}/next",
            "user": f"http://127.0.0.1:{own}@127.0.0.1:{port}/next",
        }[elsewhere]
        api.serve("/things", reply(target))

        with pytest.raises(UnifyError, match="pinned to") as caught:
            list(proved(make, way, api, paging).pages("things", Read()))
        assert api.log[-1].path == "/things"
        assert foreign.log == []
        assert not any(form in caught.value.message for form in forms_of_secrets())

    @pytest.mark.parametrize("detour", DETOURS)
    @pytest.mark.parametrize("way", ALL_WAYS)
    def test_an_allowed_origin_is_asked_without_them(
        self, api: FaultServer, foreign: FaultServer, make: Make, way: str, detour: str
    ) -> None:
        paging, reply = DETOURS[detour]
        api.serve("/things", reply(f"{foreign.url}/next"))

        adapter = proved(make, way, api, paging, allowed_origins=(foreign.url,))
        assert [page.rows for page in adapter.pages("things", Read())][-1] == [b'{"id": 2}']
        (asked,) = foreign.log
        assert set(asked.headers) <= {"host", "user-agent", "accept", "accept-encoding"}
        assert (asked.target, asked.body) == ("/next", b"")
        assert not any(form in repr(foreign.log) for form in forms_of_secrets())

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("allowed", [False, True])
    @pytest.mark.parametrize("way", [way for way in FETCHED if FETCHED[way].type in ("oauth2", "session")])
    def test_what_asks_for_a_token_goes_nowhere_else(
        self, api: FaultServer, foreign: FaultServer, make: Make, way: str, status: int, allowed: bool
    ) -> None:
        """An authorization server that sends us on: with the secrets in the body, or in a header."""
        api.serve("/token", Reply.redirect(f"{foreign.url}/next", status))
        settings = {"allowed_origins": (foreign.url,)} if allowed else {}
        adapter = make(at(FETCHED[way], api), Paging("none"), clock=Hasty(), **settings)
        let_people_in(api)
        with pytest.raises(UnifyError):
            used(adapter, way)
        assert "/token" in api.asked
        assert not any(form in repr(foreign.log) for form in forms_of_secrets())
        assert all(asked.method == "GET" and "authorization" not in asked.headers for asked in foreign.log)
        assert allowed or foreign.log == []

    @pytest.mark.parametrize("way", WAYS)
    def test_nothing_that_is_told_holds_them(self, api: FaultServer, make: Make, way: str) -> None:
        traffic: list[Traffic] = []
        said = f"no: {KEY} {SECRET} {quote(SECRET)}"
        api.serve("/things", Reply.error(503, said), Reply.error(400, said))

        with pytest.raises(UnifyError) as caught:
            list(make(WAYS[way], Paging("none"), listeners=Listeners(traffic.append)).pages("things", Read()))
        assert len(traffic) == 2
        assert KEY in repr(api.log) or base64.b64encode(f"ann:{SECRET}".encode()).decode() in repr(api.log)
        told = caught.value.message + repr(traffic)
        assert not any(form in told for form in forms_of_secrets())


def token_server(*lifetimes: float | str | None) -> FaultServer:
    """Gives the tokens t0, t1 …; each good for its lifetime."""
    server = FaultServer()
    given = [
        Reply.json({"access_token": f"tok-{number:04}", "token_type": "bearer", "expires_in": lifetime})
        for number, lifetime in enumerate(lifetimes)
    ]
    server.serve("POST /token", *given)
    return server


def open_to_tokens(api: FaultServer, *good: str) -> None:
    """``/things`` for whoever has one of these tokens."""

    def answer(asked: Asked) -> Reply:
        known = asked.headers.get("authorization", "") in [f"Bearer {token}" for token in good]
        return Reply.json([{"id": 1}]) if known else Reply.error(401, "expired")

    api.serve("/things", answer)


class TestOAuth2:
    def auth(self, server: FaultServer, **settings: Any) -> Auth:
        given = {"token_url": f"{server.url}/token", "client_id": "{user}", "client_secret": "{secret}"}
        return Auth("oauth2", {**given, **settings})

    def read(self, adapter: RESTAdapter) -> int:
        return sum(len(page.rows) for page in adapter.pages("things", Read()))

    def test_a_token_is_fetched_once_and_used(self, api: FaultServer, make: Make) -> None:
        with token_server(3600) as tokens:
            open_to_tokens(api, "tok-0000")
            adapter = make(self.auth(tokens, scopes=["read", "{user}"]), Paging("none"))
            assert [self.read(adapter) for _ in range(3)] == [1, 1, 1]
            (asked,) = tokens.log
        assert asked.body == b"grant_type=client_credentials&scope=read+ann"
        pair = f"ann:{quote(SECRET, safe='')}"
        assert asked.headers["authorization"] == f"Basic {base64.b64encode(pair.encode()).decode()}"

    def test_many_threads_fetch_one_token(self, api: FaultServer, make: Make) -> None:
        with token_server(3600) as tokens:
            open_to_tokens(api, "tok-0000")
            adapter = make(self.auth(tokens), Paging("none"))
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(self.read, [adapter] * 16)) == [1] * 16
            assert len(tokens.log) == 1

    def test_a_server_that_wants_the_secret_in_the_body_gets_it_there(
        self, api: FaultServer, make: Make
    ) -> None:
        with token_server(3600) as tokens:
            good = Reply.json({"access_token": "tok-0000"})
            tokens.serve("POST /token", Reply.error(401, "invalid_client"), good)
            open_to_tokens(api, "tok-0000")
            assert self.read(make(self.auth(tokens), Paging("none"))) == 1
            assert b"client_id=ann&client_secret=" in tokens.log[1].body
            assert "authorization" not in tokens.log[1].headers

    def test_a_token_is_renewed_before_it_expires(self, api: FaultServer, make: Make) -> None:
        with token_server("100", None) as tokens:
            open_to_tokens(api, "tok-0000", "tok-0001")
            clock = FixedClock()
            adapter = make(self.auth(tokens), Paging("none"), clock=clock)
            self.read(adapter)
            clock.now += 89
            self.read(adapter)
            assert len(tokens.log) == 1
            clock.now += 2
            self.read(adapter)
            assert len(tokens.log) == 2
        assert api.log[-1].headers["authorization"] == "Bearer tok-0001"

    def test_a_refused_token_is_renewed_once(self, api: FaultServer, make: Make) -> None:
        with token_server(3600, 3600) as tokens:
            open_to_tokens(api, "tok-0001")
            assert self.read(make(self.auth(tokens), Paging("none"))) == 1
            assert len(tokens.log) == 2
        assert len(api.log) == 2

    def test_a_renewed_token_that_is_refused_is_an_error(self, api: FaultServer, make: Make) -> None:
        with token_server(3600) as tokens:
            open_to_tokens(api, "never")
            with pytest.raises(Unauthorized, match="option"):
                self.read(make(self.auth(tokens), Paging("none")))
            assert len(tokens.log) == 2
        assert len(api.log) == 2

    def test_a_refresh_token_that_is_replaced_is_used_from_then_on(
        self, api: FaultServer, make: Make
    ) -> None:
        with token_server() as tokens:
            replies = [
                Reply.json({"access_token": f"tok-000{n}", "refresh_token": f"next-{n}"}) for n in range(2)
            ]
            tokens.serve("POST /token", *replies)
            open_to_tokens(api, "tok-0001")
            auth = self.auth(tokens, grant="refresh_token", refresh_token="{key}")
            assert self.read(make(auth, Paging("none"))) == 1
            sent = [parse_qs(asked.body.decode())["refresh_token"] for asked in tokens.log]
        assert sent == [[KEY], ["next-0"]]

    @pytest.mark.parametrize(
        "reply",
        [
            Reply.error(400, "invalid_grant"),
            Reply.error(403, "no"),
            Reply.json({"ok": True}),
            Reply.text("<p>hello"),
        ],
        ids=["400", "403", "no token", "no JSON"],
    )
    def test_no_token_is_an_error_that_says_so(self, api: FaultServer, make: Make, reply: Reply) -> None:
        with token_server() as tokens:
            tokens.serve("POST /token", reply)
            with pytest.raises(Unauthorized, match="no token was given; check option"):
                self.read(make(self.auth(tokens), Paging("none")))
        assert api.log == []

    def test_a_token_under_another_name_is_not_told(self, api: FaultServer, make: Make) -> None:
        with token_server() as tokens:
            tokens.serve("POST /token", Reply.json({"accessToken": "tok-0123456789"}))
            with pytest.raises(Unauthorized, match="no token was given") as caught:
                self.read(make(self.auth(tokens), Paging("none")))
        assert "tok-0123" not in caught.value.message

    @pytest.mark.parametrize("way", ["client credentials", "refresh token", "session", "session cookie"])
    def test_a_server_that_repeats_what_it_was_sent_is_quoted_without_it(
        self, api: FaultServer, make: Make, way: str
    ) -> None:
        proof = base64.b64encode(f"ann:{quote(SECRET, safe='')}".encode()).decode()
        api.serve("/token", lambda asked: Reply.error(400, f"{asked.headers} {asked.body.decode()}"))
        with pytest.raises(Unauthorized, match="no token was given") as caught:
            self.read(make(at(FETCHED[way], api), Paging("none")))
        assert not any(form in caught.value.message for form in [*forms_of_secrets(), proof])

    def test_nothing_that_is_told_holds_token_or_secret(self, api: FaultServer, make: Make) -> None:
        traffic: list[Traffic] = []
        with token_server(3600) as tokens:
            api.serve("/things", Reply.error(400, f"tok-0000 {SECRET}"))
            adapter = make(self.auth(tokens), Paging("none"), listeners=Listeners(traffic.append))
            with pytest.raises(UnifyError) as caught:
                self.read(adapter)
        told = caught.value.message + repr(traffic)
        assert len(traffic) == 2
        assert not any(form in told for form in [*forms_of_secrets(), "tok-0000"])


class TestSession:
    login: ClassVar = {
        "request": "POST /login",
        "body": {"u": "{user}", "p": "{secret}"},
        "token": "data.token",
    }

    def test_logs_in_once_and_sends_the_token_as_told(self, api: FaultServer, make: Make) -> None:
        api.serve("POST /login", Reply.json({"data": {"token": "sess-1"}}))
        api.serve("/things", Reply.json([]))
        adapter = make(
            Auth("session", {**self.login, "name": "X-Session", "value": "S {session}"}), Paging("none")
        )
        for _ in range(2):
            list(adapter.pages("things", Read()))
        assert api.log[0].json() == {"u": "ann", "p": SECRET}
        assert [asked.headers.get("x-session") for asked in api.log] == [None, "S sess-1", "S sess-1"]

    def test_logs_in_again_when_the_session_is_over(self, api: FaultServer, make: Make) -> None:
        api.serve(
            "POST /login", Reply.json({"data": {"token": "old1"}}), Reply.json({"data": {"token": "new1"}})
        )
        api.serve(
            "/things",
            lambda asked: Reply.json([]) if asked.headers["cookie"] == "sid=new1" else Reply.error(401),
        )
        settings = {**self.login, "in": "cookie", "name": "sid", "value": "{session}"}
        list(make(Auth("session", settings), Paging("none")).pages("things", Read()))
        assert [asked.path for asked in api.log] == ["/login", "/things", "/login", "/things"]

    def test_a_form_is_sent_as_one(self, api: FaultServer, make: Make) -> None:
        api.serve("POST /login", Reply.json({"t": 5}))
        api.serve("/things", Reply.json([]))
        settings = {
            "request": "POST /login",
            "form": {"u": "{user}"},
            "token": "t",
            "in": "query",
            "name": "s",
        }
        list(
            make(Auth("session", {**settings, "value": "{session}"}), Paging("none")).pages("things", Read())
        )
        assert api.log[0].body == b"u=ann"
        assert api.asked[1] == "/things?s=5"

    def test_a_login_without_a_token_is_an_error(self, api: FaultServer, make: Make) -> None:
        api.serve("POST /login", Reply.json({"data": {}}))
        with pytest.raises(Unauthorized, match="no token was given"):
            list(make(Auth("session", self.login), Paging("none")).pages("things", Read()))

    @pytest.mark.parametrize(
        ("reply", "said"),
        [
            (Reply.json({"data": {"tok": "sess-0123456789"}}), r"nothing is at auth\.token, data\.token"),
            (Reply.text("sess-0123456789", "text/plain"), "no JSON object"),
            (Reply.json("sess-0123456789"), "no JSON object"),
        ],
        ids=["elsewhere", "text", "JSON text"],
    )
    def test_a_token_in_another_place_is_not_told(
        self, api: FaultServer, make: Make, reply: Reply, said: str
    ) -> None:
        api.serve("POST /login", reply)
        with pytest.raises(Unauthorized, match=said) as caught:
            list(make(Auth("session", self.login), Paging("none")).pages("things", Read()))
        assert "sess-0123" not in caught.value.message


class TestSigned:
    """AWS's own examples: docs.aws.amazon.com, "Signature Version 4 test suite"."""

    keys: ClassVar = {
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "region": "us-east-1",
        "service": "service",
    }
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()

    def signature(self, request: Request) -> str:
        signed = authentication(Auth("aws_sigv4", self.keys), {}, "c").apply(request, self.at)
        assert signed.headers["x-amz-date"] == "20150830T123600Z"
        return signed.headers["Authorization"].rpartition("Signature=")[2]

    def test_get_vanilla(self) -> None:
        request = Request("GET", "https://example.amazonaws.com/")
        assert self.signature(request) == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

    def test_a_session_token_without_a_value_is_none(self) -> None:
        settings = {**self.keys, "session_token": "{session_token}"}
        request = Request("GET", "https://example.amazonaws.com/")
        found = authentication(Auth("aws_sigv4", settings), {"session_token": None}, "c").apply(
            request, self.at
        )
        assert found.headers["Authorization"].endswith(
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        )
        found = authentication(Auth("aws_sigv4", settings), {"session_token": "t"}, "c").apply(
            request, self.at
        )
        assert found.headers["x-amz-security-token"] == "t"

    def test_get_vanilla_query_order(self) -> None:
        request = Request(
            "GET", "https://example.amazonaws.com/", (("Param2", "value2"), ("Param1", "value1"))
        )
        assert self.signature(request) == "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"

    def test_post_vanilla(self) -> None:
        request = Request("POST", "https://example.amazonaws.com/")
        assert self.signature(request) == "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"

    def test_a_json_web_token_says_who_and_for_how_long(self) -> None:
        auth = Auth(
            "jwt", {"algorithm": "HS256", "key": "{key}", "key_id": "k1", "claims": {"iss": "{user}"}}
        )
        header = (
            authentication(auth, OPTIONS, "c")
            .apply(Request("GET", "http://x"), 1000.5)
            .headers["Authorization"]
        )
        head, claims, signature = header.removeprefix("Bearer ").split(".")

        def read(part: str) -> Any:
            return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

        assert read(head) == {"alg": "HS256", "typ": "JWT", "kid": "k1"}
        assert read(claims) == {"iss": "ann", "iat": 1000, "exp": 1300}
        expected = hmac.digest(KEY.encode(), f"{head}.{claims}".encode(), "sha256")
        assert base64.urlsafe_b64decode(signature + "=") == expected
