"""How requests prove who asks, and that the proof goes nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.faultserver import FaultServer, Reply
from unify.adapters.auth import authentication
from unify.adapters.base import Listeners, Read, Traffic
from unify.adapters.messages import Request
from unify.adapters.rest import RESTAdapter
from unify.adapters.spec import AdapterSpec, Auth, Paging, TableSpec
from unify.connections import Secret
from unify.errors import ConfigError, UnifyError

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
            (Auth("jwt", {}), "not built in"),
        ],
    )
    def test_what_cannot_be_done_is_refused_before_any_request(self, auth: Auth, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            authentication(auth, OPTIONS, "conn (spec.yaml)")
        assert caught.value.message.startswith("conn (spec.yaml): ")


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


@pytest.fixture
def make(api: FaultServer) -> Iterator[Make]:
    made: list[RESTAdapter] = []

    def adapter(auth: Auth, paging: Paging, **settings: Any) -> RESTAdapter:
        table = TableSpec("things", "GET", "/things", paging=paging, headers={"X-Extra": "{key}"})
        listeners = settings.pop("listeners", None)
        spec = AdapterSpec("api", "api.yaml", api.url, auth=auth, tables=(table,), **settings)
        made.append(RESTAdapter(spec, OPTIONS, listeners=listeners))
        return made[-1]

    yield adapter
    for each in made:
        each.close()


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
    @pytest.mark.parametrize("detour", DETOURS)
    @pytest.mark.parametrize("elsewhere", ["port", "host", "scheme", "user"])
    @pytest.mark.parametrize("way", WAYS)
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
            list(make(WAYS[way], paging).pages("things", Read()))
        assert foreign.log == []
        assert not any(form in caught.value.message for form in forms_of_secrets())

    @pytest.mark.parametrize("detour", DETOURS)
    @pytest.mark.parametrize("way", WAYS)
    def test_an_allowed_origin_is_asked_without_them(
        self, api: FaultServer, foreign: FaultServer, make: Make, way: str, detour: str
    ) -> None:
        paging, reply = DETOURS[detour]
        api.serve("/things", reply(f"{foreign.url}/next"))

        adapter = make(WAYS[way], paging, allowed_origins=(foreign.url,))
        assert [page.rows for page in adapter.pages("things", Read())][-1] == [b'{"id": 2}']
        assert len(foreign.log) == 1
        assert not any(form in repr(foreign.log) for form in forms_of_secrets())

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
