"""The one HTTP door: what it sends, how long it waits, and where it never goes."""

from __future__ import annotations

import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import Asked, FaultServer, Reply, unused_port
from unify.adapters.base import Listeners, Traffic
from unify.adapters.budget import LocalBudget, SharedBudget
from unify.adapters.messages import Answer, Request, Veil, origin_of, without_param
from unify.adapters.pace import Clock
from unify.adapters.proof import HeaderAuth
from unify.adapters.quota import quota_left, reset_after_s
from unify.adapters.route import Bounds, Route
from unify.adapters.spec import ErrorRule
from unify.adapters.transport import Transport
from unify.errors import (
    BadResponse,
    ConfigError,
    Forbidden,
    Interrupted,
    NotFound,
    RateLimited,
    ServerFault,
    SourceError,
    Unauthorized,
    UnifyError,
    Unreachable,
)

TOKEN = "sesame-0123456789"


class FakeClock(Clock):
    """Time that passes only where somebody waits."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.waited: list[float] = []

    def time(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.now += seconds
        return stop.is_set()


@dataclass
class Heard:
    """What listeners were told."""

    traffic: list[Traffic] = field(default_factory=list)
    waiting: list[datetime | None] = field(default_factory=list)

    def listeners(self) -> Listeners:
        return Listeners(self.traffic.append, self.waiting.append)


@dataclass
class Door:
    """A transport to the fault server, its clock, and what it told."""

    api: FaultServer
    transport: Transport
    clock: FakeClock
    heard: Heard

    def get(self, path: str, *rules: ErrorRule, **options: Any) -> Answer:
        return self.transport.fetch(Request("GET", self.api.url + path, **options), rules)

    def fails(self, path: str, *rules: ErrorRule) -> UnifyError:
        with pytest.raises(UnifyError) as caught:
            self.get(path, *rules)
        return caught.value


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def make_door(api: FaultServer) -> Iterator[Callable[..., Door]]:
    made: list[Transport] = []

    def make(route: Mapping[str, Any] | None = None, **options: Any) -> Door:
        clock, heard = FakeClock(), Heard()
        settings = {
            "auth": HeaderAuth("Authorization", f"Bearer {TOKEN}", TOKEN),
            "bounds": Bounds(page_s=5.0, silence_s=3.0),
            "clock": clock,
            "rng": random.Random(7),
            "listeners": heard.listeners(),
        }
        transport = Transport(
            Route(api.url, credentials="option token", **(route or {})), **{**settings, **options}
        )
        made.append(transport)
        return Door(api, transport, clock, heard)

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    return make_door()


class TestRetries:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    @pytest.mark.parametrize("asked", ["", "2", "date", "garbage", "-5"])
    def test_a_passing_fault_is_asked_again_and_never_too_early(
        self, door: Door, status: int, asked: str
    ) -> None:
        value = formatdate(door.clock.now + 2, usegmt=True) if asked == "date" else asked
        headers = {"Retry_After": value} if value else {}
        door.api.serve("/x", Reply.error(status, **headers), Reply.error(status, **headers), Reply.json([1]))

        assert door.get("/x").body == b"[1]"
        assert len(door.api.asked) == 3
        least = 2.0 if asked in ("2", "date") else 0.25
        assert sum(door.clock.waited[:1]) >= least
        assert sum(door.clock.waited) >= least + 0.5

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_a_wait_of_years_frees_the_worker(self, door: Door, status: int) -> None:
        door.api.serve("/x", Reply.error(status, Retry_After="1e9"))

        error = door.fails("/x")
        assert len(door.api.asked) == 1
        assert door.clock.waited == []
        assert isinstance(error, RateLimited)
        assert error.retry_after_s == 1e9

    def test_waits_grow_and_differ(self, door: Door) -> None:
        door.api.serve("/x", Reply.error(503))

        assert isinstance(door.fails("/x"), ServerFault)
        assert len(door.api.asked) == 5
        assert all(later > earlier for earlier, later in pairwise(door.clock.waited))
        assert 3.5 < sum(door.clock.waited) < 7.5

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, SourceError), (403, Forbidden), (404, NotFound), (422, SourceError), (401, Unauthorized)],
    )
    def test_a_refusal_is_not_asked_again(self, door: Door, status: int, kind: type[UnifyError]) -> None:
        door.api.serve("/x", Reply.error(status, "no way"))

        error = door.fails("/x")
        assert type(error) is kind
        assert "no way" in error.message
        assert str(status) in error.message
        assert len(door.api.asked) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            {"cut_at": 10},
            {"cut_at": 10, "framing": "chunks"},
            {"reset": True, "cut_at": 5},
            {"raw": b""},
        ],
        ids=["cut", "cut chunk", "reset", "no answer"],
    )
    def test_a_broken_connection_is_asked_again(self, door: Door, fault: dict[str, Any]) -> None:
        door.api.serve("/x", Reply.json([1] * 20, **fault), Reply.json([2]))

        assert door.get("/x").body == b"[2]"
        assert len(door.api.asked) == 2

    def test_a_connection_that_always_breaks_is_unreachable(self, door: Door) -> None:
        door.api.serve("/x", Reply.json([1] * 20, cut_at=10))

        error = door.fails("/x")
        assert isinstance(error, Unreachable)
        assert "in the middle" in error.message
        assert len(door.api.asked) == 3

    def test_a_post_that_only_reads_is_asked_again(self, door: Door) -> None:
        door.api.serve("POST /graphql", Reply.error(502), Reply.json({"data": []}))
        request = Request("POST", f"{door.api.url}/graphql", body=b"{}")

        assert door.transport.fetch(request).status == 200
        assert [asked.body for asked in door.api.log] == [b"{}", b"{}"]


class TestRateLimits:
    def test_a_spent_quota_with_403_is_waited_for(self, door: Door) -> None:
        reset = str(int(door.clock.now) + 40)
        spent = Reply.error(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=reset)
        door.api.serve("/x", spent, Reply.json([]))

        assert door.get("/x").status == 200
        assert sum(door.clock.waited) >= 40

    def test_a_secondary_limit_without_a_time_is_waited_for_a_minute(self, door: Door) -> None:
        said = "You have exceeded a secondary rate limit"
        door.api.serve("/x", Reply.error(403, said), Reply.json([]))

        assert door.get("/x").status == 200
        assert sum(door.clock.waited) >= 60

    def test_the_last_request_of_a_quota_holds_the_next(self, door: Door) -> None:
        door.api.serve("/x", Reply.json([]).with_headers(X_RateLimit_Remaining="0", X_RateLimit_Reset="30"))

        door.get("/x")
        assert door.clock.waited == []
        door.get("/x")
        assert sum(door.clock.waited) >= 30

    @pytest.mark.parametrize("family", ["X-RateLimit", "X-Sentry-Rate-Limit", "X-RateLimit-Requests"])
    @pytest.mark.parametrize("form", ["seconds", "moment", "milliseconds", "iso", "http"])
    def test_a_reset_may_be_written_in_many_ways(self, door: Door, family: str, form: str) -> None:
        at = datetime.fromtimestamp(int(door.clock.now) + 40, UTC)
        reset = {
            "seconds": "40",
            "moment": str(int(at.timestamp())),
            "milliseconds": str(int(at.timestamp() * 1000)),
            "iso": at.isoformat().replace("+00:00", "Z"),
            "http": format_datetime(at, usegmt=True),
        }[form]
        spent = replace(Reply.error(429), headers={f"{family}-Remaining": "0", f"{family}-Reset": reset})
        door.api.serve("/x", spent, Reply.json([]))
        assert door.get("/x").status == 200
        assert sum(door.clock.waited) >= 39

    @pytest.mark.parametrize(
        ("header", "left", "wait_s"),
        [
            ('"hour";r=0;t=40', 0, 40),
            ('"burst";r=90;t=1, "day";r=0;t=40', 0, 40),
            ('"a";r=0;t=5, "b";r=0;t=40', 0, 40),
            ("limit=10, remaining=0, reset=40", 0, 40),
            ('"hour";r=7;t=40', 7, 40),
            ("nonsense", None, None),
        ],
    )
    def test_the_ietfs_header_is_read_in_all_its_drafts(
        self, header: str, left: int | None, wait_s: float | None
    ) -> None:
        headers = {"ratelimit": header}
        assert (quota_left(headers), reset_after_s(headers, 0.0)) == (left, wait_s)

    def test_a_quota_that_is_full_again_in_an_hour_frees_the_worker(self, door: Door) -> None:
        door.api.serve("/x", Reply.json([]).with_headers(RateLimit_Remaining="0", RateLimit_Reset="3600"))
        door.get("/x")

        error = door.fails("/x")
        assert isinstance(error, RateLimited)
        assert error.retry_after_s is not None
        assert 3590 < error.retry_after_s <= 3600
        assert len(door.api.asked) == 1

    def test_a_date_is_counted_from_the_servers_clock(self, door: Door) -> None:
        elsewhen = door.clock.now - 86400
        headers = {
            "Retry_After": formatdate(elsewhen + 30, usegmt=True),
            "Date": formatdate(elsewhen, usegmt=True),
        }
        door.api.serve("/x", Reply.error(503, **headers), Reply.json([]))

        door.get("/x")
        assert sum(door.clock.waited) >= 30

    def test_whoever_waits_long_is_announced(self, door: Door) -> None:
        door.api.serve("/x", Reply.error(429, Retry_After="20"), Reply.json([]))

        door.get("/x")
        assert [until is None for until in door.heard.waiting] == [False, True]
        first = door.heard.waiting[0]
        assert first is not None
        assert first.timestamp() == pytest.approx(1_800_000_020, abs=1)


class TestRules:
    def test_skip_takes_an_error_for_an_answer_without_rows(self, door: Door) -> None:
        assert door.get("/missing", ErrorRule(404, "skip")).skipped

    def test_a_spent_quota_is_not_skipped(self, door: Door) -> None:
        door.api.serve("/x", Reply.error(403, Retry_After="3"), Reply.json([1]))

        answer = door.get("/x", ErrorRule(403, "skip"))
        assert not answer.skipped
        assert answer.body == b"[1]"

    def test_a_text_in_a_success_can_be_a_failure(self, door: Door) -> None:
        door.api.serve("/x", Reply.json({"ok": False, "error": "not_in_channel"}))

        error = door.fails("/x", ErrorRule(200, "fail", body='"ok": false'))
        assert isinstance(error, BadResponse)
        assert "not_in_channel" in error.message

    def test_a_text_in_a_success_can_be_a_rate_limit(self, door: Door) -> None:
        door.api.serve(
            "/x", Reply.json({"error": "ratelimited"}).with_headers(Retry_After="9"), Reply.json([])
        )

        assert door.get("/x", ErrorRule(None, "wait", body="ratelimited")).body == b"[]"
        assert sum(door.clock.waited) >= 9

    def test_retry_and_fail_go_before_what_the_status_means(self, door: Door) -> None:
        door.api.serve("/busy", Reply.error(409), Reply.json([]))
        door.api.serve("/down", Reply.error(503))

        assert door.get("/busy", ErrorRule(409, "retry")).status == 200
        assert type(door.fails("/down", ErrorRule(503, "fail"))) is SourceError  # nothing tries that again
        assert door.api.asked == ["/busy", "/busy", "/down"]


class TestDeadlines:
    @pytest.mark.parametrize(
        "fault",
        [
            {"drip_s": 0.02},
            {"drip_s": 0.02, "framing": "chunks"},
            {"head_drip_s": 0.02},
            {"hang_at": 30},
            {"hang_at": 0, "framing": "close"},
            {"delay_s": 30.0},
        ],
        ids=["drip", "dripping chunks", "dripping headers", "hang", "hang without length", "silence"],
    )
    def test_no_request_is_endless(self, make_door: Callable[..., Door], fault: dict[str, Any]) -> None:
        door = make_door(bounds=Bounds(page_s=0.3, silence_s=20.0))
        door.api.serve("/x", Reply.json(list(range(200)), **fault))

        error = door.fails("/x")
        assert isinstance(error, Unreachable)
        assert "0.3 s" in error.message
        assert all(250 <= seen.milliseconds < 1300 for seen in door.heard.traffic)

    def test_a_silent_server_is_left_before_the_page_deadline(self, make_door: Callable[..., Door]) -> None:
        door = make_door(bounds=Bounds(page_s=20.0, silence_s=0.2))
        door.api.serve("/x", Reply.json([], delay_s=30.0))

        error = door.fails("/x")
        assert isinstance(error, Unreachable)
        assert "silent for 0.2 s" in error.message

    @pytest.mark.parametrize("fault", [{"delay_s": 60.0}, {"hang_at": 5}, {"drip_s": 0.05}])
    def test_halting_ends_a_request_that_hangs(self, door: Door, fault: dict[str, Any]) -> None:
        door.api.serve("/x", Reply.json([1] * 100, **fault))
        stop = threading.Event()
        threading.Timer(0.2, door.transport.halt, [stop]).start()

        started = time.monotonic()
        with pytest.raises(Interrupted):
            door.transport.fetch(Request("GET", f"{door.api.url}/x"), (), stop)
        assert time.monotonic() - started < 1.0

    def test_halting_ends_a_wait(self, make_door: Callable[..., Door]) -> None:
        door = make_door(clock=Clock())
        door.api.serve("/x", Reply.error(429, Retry_After="60"))
        stop = threading.Event()
        threading.Timer(0.2, door.transport.halt, [stop]).start()

        started = time.monotonic()
        with pytest.raises(Interrupted):
            door.transport.fetch(Request("GET", f"{door.api.url}/x"), (), stop)
        assert time.monotonic() - started < 1.0


class TestSizes:
    def test_a_gzip_bomb_is_refused(self, door: Door) -> None:
        door.api.serve("/x", Reply.bomb(1024))

        error = door.fails("/x")
        assert isinstance(error, BadResponse)
        assert "larger than 32 MB" in error.message

    @pytest.mark.parametrize("framing", ["length", "chunks", "close"])
    def test_a_large_body_is_refused(self, make_door: Callable[..., Door], framing: str) -> None:
        door = make_door(bounds=Bounds(body_bytes=1_000_000))
        door.api.serve("/x", Reply(body=b"[" + b" " * 1_500_000 + b"]", framing=framing))  # type: ignore[arg-type]

        assert isinstance(door.fails("/x"), BadResponse)

    @pytest.mark.parametrize("framing", ["length", "chunks", "close"])
    def test_a_compressed_body_comes_whole(self, door: Door, framing: str) -> None:
        value = list(range(20_000))
        door.api.serve("/x", Reply.json(value, framing=framing).gzipped())

        assert door.get("/x").body == Reply.json(value).body

    def test_deflate_comes_with_zlibs_header_or_without(self, door: Door) -> None:
        import zlib

        bare = zlib.compressobj(wbits=-15)
        door.api.serve("/z", Reply(body=zlib.compress(b"[1]")).with_headers(Content_Encoding="deflate"))
        raw = bare.compress(b"[2]") + bare.flush()
        door.api.serve("/raw", Reply(body=raw).with_headers(Content_Encoding="deflate"))

        assert (door.get("/z").body, door.get("/raw").body) == (b"[1]", b"[2]")

    @pytest.mark.parametrize(
        ("body", "encoding"),
        [(b"no gzip at all", "gzip"), (Reply.json([1] * 999).gzipped().body[:-9], "gzip"), (b"x", "br")],
    )
    def test_what_cannot_be_decompressed_is_explained(self, door: Door, body: bytes, encoding: str) -> None:
        door.api.serve("/x", Reply(body=body).with_headers(Content_Encoding=encoding))

        error = door.fails("/x")
        assert isinstance(error, BadResponse)
        assert "compressed" in error.message


class TestWhereItGoes:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_within_the_origin_are_followed(self, door: Door, status: int) -> None:
        door.api.serve("/old", Reply.redirect("/new?x=1", status))
        door.api.serve("/new", Reply.json([1]))

        assert door.get("/old", params=(("page", "2"),)).body == b"[1]"
        assert door.api.asked == ["/old?page=2", "/new?x=1"]
        assert door.api.log[1].headers["authorization"] == f"Bearer {TOKEN}"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize(
        "place", ["http://localhost:{port}/x", "https://127.0.0.1:{own}/x", "//127.0.0.1:{port}/x"]
    )
    def test_redirects_to_another_origin_are_errors_naming_both(
        self, door: Door, status: int, place: str
    ) -> None:
        with FaultServer() as foreign:
            port, own = foreign.url.rpartition(":")[2], door.api.url.rpartition(":")[2]
            target = place.format(port=port, own=own)
            door.api.serve("/x", Reply.redirect(target, status))

            error = door.fails("/x")
            assert foreign.log == []
        assert type(error) is SourceError
        assert door.api.url in error.message
        assert origin_of(target if "://" in target else f"http:{target}") in error.message
        assert TOKEN not in error.message

    def test_an_allowed_origin_gets_the_request_but_no_credentials(
        self, make_door: Callable[..., Door]
    ) -> None:
        with FaultServer() as foreign:
            foreign.serve("/x", Reply.json([1]))
            door = make_door({"allowed_origins": (foreign.url,)})
            door.api.serve("/x", Reply.redirect(f"{foreign.url}/x"))

            answer = door.get("/x", headers={"X-Custom": TOKEN, "Accept": "application/json"})
            (asked,) = foreign.log
        assert answer.body == b"[1]"
        assert TOKEN not in repr(asked)
        assert asked.headers["accept"] == "application/json"

    def test_redirects_in_a_circle_end(self, door: Door) -> None:
        door.api.serve("/x", Reply.redirect("/x"))

        assert "redirected more than 5 times" in door.fails("/x").message

    def test_a_post_stays_one_only_with_307_and_308(self, door: Door) -> None:
        door.api.serve("/a", Reply.redirect("/b", 308))
        door.api.serve("/b", Reply.redirect("/c", 303))
        door.api.serve("/c", Reply.json([]))

        door.transport.fetch(Request("POST", f"{door.api.url}/a", body=b"{}"))
        assert [(asked.method, asked.body) for asked in door.api.log] == [
            ("POST", b"{}"),
            ("POST", b"{}"),
            ("GET", b""),
        ]

    def test_a_request_to_a_foreign_origin_is_never_sent(self, door: Door) -> None:
        with FaultServer() as foreign:
            with pytest.raises(SourceError, match="pinned to"):
                door.transport.fetch(Request("GET", f"{foreign.url}/x"))
            assert foreign.log == []

    def test_the_environment_is_not_asked(
        self, door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login intruder password netrc-secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
        door.api.serve("/x", Reply.json([]))

        door.get("/x")
        assert door.api.log[0].headers["authorization"] == f"Bearer {TOKEN}"

    def test_a_proxy_is_used_by_option_only(self, make_door: Callable[..., Door]) -> None:
        with FaultServer() as proxy:
            door = make_door({"proxy": proxy.url})
            proxy.serve("/x", lambda asked: Reply.json([asked.target]))

            assert door.get("/x").body == f'["{door.api.url}/x"]'.encode()
        assert door.api.log == []

    def test_connections_are_used_again(self, door: Door) -> None:
        door.api.serve("/x", Reply.json([]))

        for _ in range(20):
            door.get("/x")
        assert door.api.connections_opened == 1


class TestWhatItTells:
    def test_every_attempt_is_reported_without_secrets(self, make_door: Callable[..., Door]) -> None:
        door = make_door(veil=Veil([TOKEN], ["key"]))
        door.api.serve("/x", Reply.error(503), Reply.json([1, 2]))

        door.get("/x", params=(("key", "k1"), ("q", TOKEN), ("page", "1"), ("access_token", "zz")))
        assert [(seen.status, seen.bytes) for seen in door.heard.traffic] == [(503, 25), (200, 6)]
        shown = door.heard.traffic[0].address
        assert shown == f"{door.api.url}/x?key=***&q=***&page=1&access_token=***"

    def test_an_attempt_without_an_answer_is_reported_too(self, door: Door) -> None:
        door.api.serve("/x", Reply(raw=b""), Reply.json([]))

        door.get("/x")
        first, second = door.heard.traffic
        assert (first.status, second.status) == (None, 200)
        assert "closed the connection" in first.error

    def test_a_refusal_says_which_option_to_check_and_never_the_secret(self, door: Door) -> None:
        door.api.serve("/x", Reply.error(401, f"Bad token {TOKEN}"))

        error = door.fails("/x")
        assert error.message == (
            f'GET {door.api.url}/x answered 401 Unauthorized ("Bad token ***"): '
            "the credentials were refused; check option token"
        )

    def test_what_an_api_says_is_quoted_short(self, door: Door) -> None:
        door.api.serve("/page", Reply.text("<html><style>x{}</style><h1>Not  here</h1>", status=404))
        door.api.serve("/nested", Reply.json({"errors": [{"detail": "bad field"}]}, status=400))
        door.api.serve("/long", Reply.error(400, "x" * 5000))

        assert '404 Not Found ("Not here")' in door.fails("/page").message
        assert '("bad field")' in door.fails("/nested").message
        assert len(door.fails("/long").message) < 500


class TestNobodyThere:
    def explain(self, url: str, **options: Any) -> str:
        transport = Transport(Route(url), clock=FakeClock(), **options)
        try:
            with pytest.raises(SourceError) as caught:
                transport.fetch(Request("GET", url))
        finally:
            transport.close()
        return caught.value.message

    def test_a_closed_port(self) -> None:
        message = self.explain(f"http://127.0.0.1:{unused_port()}/x")
        assert "connection refused" in message
        assert "base_url" in message

    def test_a_name_that_does_not_exist(self) -> None:
        assert "cannot be resolved" in self.explain("http://no-such-host.invalid/x")

    def test_a_server_that_speaks_no_http(self, api: FaultServer) -> None:
        api.serve("/x", Reply(raw=b"220 mail.example ESMTP\r\n\r\n"))
        assert "does not speak HTTP" in self.explain(f"{api.url}/x")

    def test_endless_headers(self, api: FaultServer) -> None:
        api.serve("/x", Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000))
        assert "headers are larger" in self.explain(f"{api.url}/x")

    def test_http_where_https_was_expected(self, api: FaultServer) -> None:
        assert "does it speak https" in self.explain(api.url.replace("http:", "https:"))

    def test_an_address_that_is_none(self) -> None:
        with pytest.raises(ConfigError, match="starts with http"):
            Transport(Route("ftp://example.org"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of our own; what it signed: for 127.0.0.1, another host, long ago; and one by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here to make certificates")
    folder = tmp_path_factory.mktemp("tls")

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    subject = ("-subj", "/CN=Test Authority", "-addext", "basicConstraints=critical,CA:TRUE")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "30",
        *subject,
        *usage,
    )
    itself = ("-subj", "/CN=itself", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30")
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "self.key", "-out", "self.pem", *itself)
    for name, host, days in (
        ("good", "IP:127.0.0.1", "30"),
        ("other", "DNS:example.org", "30"),
        ("old", "IP:127.0.0.1", "-1"),
    ):
        (folder / f"{name}.cnf").write_text(f"subjectAltName={host}\n")
        run(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", f"{name}.cnf", "-out", f"{name}.pem")
        run("x509", "-req", "-in", f"{name}.csr", *signed, "-days", days)
    return folder


class TestTLS:
    def ask(self, certificates: Path, name: str, *, trusted: bool) -> Answer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        with FaultServer(tls=context) as api:
            api.serve("/x", Reply.json([1]))
            ca_file = str(certificates / "ca.pem") if trusted else None
            transport = Transport(Route(api.url, ca_file=ca_file), clock=FakeClock())
            try:
                return transport.fetch(Request("GET", f"{api.url}/x"))
            finally:
                transport.close()

    def test_a_certificate_of_a_trusted_authority_is_accepted(self, certificates: Path) -> None:
        assert self.ask(certificates, "good", trusted=True).body == b"[1]"

    @pytest.mark.parametrize(
        ("name", "trusted"),
        [("good", False), ("other", True), ("old", True), ("self", False), ("self", True)],
        ids=["unknown", "wrong host", "expired", "self-signed", "self-signed beside a trusted authority"],
    )
    def test_any_other_is_refused_naming_the_option(
        self, certificates: Path, name: str, trusted: bool
    ) -> None:
        with pytest.raises(SourceError, match="ca_file") as caught:
            self.ask(certificates, name, trusted=trusted)
        assert "certificate is not trusted" in caught.value.message

    def test_a_handshake_that_never_ends_is_ended(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/x"
            transport = Transport(Route(url), clock=FakeClock(), bounds=Bounds(page_s=0.3, connect_s=20.0))
            started = time.monotonic()
            with pytest.raises(Unreachable, match=r"0\.3 s"):
                transport.fetch(Request("GET", url))
            assert time.monotonic() - started < 3 * 1.3
            transport.close()


ASKER = """
import sys
from pathlib import Path
from unify.adapters.budget import SharedBudget
from unify.adapters.messages import Request
from unify.adapters.proof import HeaderAuth
from unify.adapters.route import Route
from unify.adapters.transport import Transport

url, folder = sys.argv[1:]
transport = Transport(Route(url), budget=SharedBudget(Path(folder), "c", url, 20.0))
for number in range(12):
    transport.fetch(Request("GET", f"{url}/x"))
transport.close()
"""


class TestBudget:
    def test_processes_share_one_budget(self, api: FaultServer, tmp_path: Path) -> None:
        api.serve("/x", Reply.json([]))
        command = [sys.executable, "-c", ASKER, api.url, str(tmp_path / "limits")]
        workers = [subprocess.Popen(command) for _ in range(4)]
        assert [worker.wait(60) for worker in workers] == [0] * 4

        moments = sorted(asked.at for asked in api.log)
        assert len(moments) == 48
        busiest = max(sum(1 for other in moments if start <= other < start + 1) for start in moments)
        assert busiest <= 20
        assert moments[-1] - moments[0] < 5.0

    def test_processes_share_the_places(self, api: FaultServer, tmp_path: Path) -> None:
        under_way, most, lock = 0, 0, threading.Lock()

        def answer(_asked: Asked) -> Reply:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.02)  # long enough to meet another
            with lock:
                under_way -= 1
            return Reply.json([])

        api.serve("/x", answer)
        code = ASKER.replace("20.0)", "None, 2)")
        command = [sys.executable, "-c", code, api.url, str(tmp_path / "limits")]
        workers = [subprocess.Popen(command) for _ in range(4)]
        assert [worker.wait(60) for worker in workers] == [0] * 4
        assert (len(api.log), most) == (48, 2)

    def test_whoever_waits_for_a_place_comes_before_whoever_had_one(self, tmp_path: Path) -> None:
        first, second = (SharedBudget(tmp_path, "c", "o", None, 1).places for _ in range(2))
        assert first is not None
        assert second is not None
        ada, bob = object(), object()
        place = first.enter(ada)
        assert place == 0
        assert second.enter(bob) is None
        first.leave(place)
        assert first.enter(ada) is None  # bob is at the door
        assert second.enter(bob) == 0
        second.leave(0)
        assert first.enter(ada) == 0

    def test_waiting_for_a_place_can_be_ended(self, make_door: Callable[..., Door], tmp_path: Path) -> None:
        taken = SharedBudget(tmp_path, "c", "o", None, 1).places
        assert taken is not None
        assert taken.enter(self) == 0
        door = make_door(budget=SharedBudget(tmp_path, "c", "o", None, 1), clock=Clock())
        stop = threading.Event()
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(Interrupted):
            door.transport.fetch(Request("GET", f"{door.api.url}/x"), (), stop)
        assert door.api.asked == []
        taken.leave(0)
        door.api.serve("/x", Reply.json([]))
        assert door.get("/x").status == 200

    def test_one_limit_slows_all(
        self, api: FaultServer, make_door: Callable[..., Door], tmp_path: Path
    ) -> None:
        doors = [make_door(budget=SharedBudget(tmp_path, "c", api.url, None)) for _ in range(2)]
        api.serve("/x", Reply.error(429, Retry_After="30"), Reply.json([]))
        doors[0].get("/x")

        doors[1].get("/x")
        assert sum(doors[1].clock.waited) >= 30

    def test_a_slot_is_taken_once_and_evenly(self) -> None:
        budget = LocalBudget(10)
        slots = [budget.reserve(1000.0, 2000.0) for _ in range(21)]

        assert slots[0] == 1000.0
        assert all(later - earlier == pytest.approx(0.11) for earlier, later in pairwise(slots))

    def test_a_clock_set_back_is_not_waited_for(self, tmp_path: Path) -> None:
        budget = SharedBudget(tmp_path, "c", "o", 1.0)
        budget.hold(5000.0, now=4000.0)

        assert budget.reserve(1000.0, 9999.0) == 1000.0
        budget.close()

    def test_the_file_is_private_and_says_nothing(self, tmp_path: Path) -> None:
        budget = SharedBudget(tmp_path / "limits", "github", "https://api.github.com", 1.0)
        budget.reserve(1000.0, 2000.0)

        assert budget.path.stat().st_mode & 0o077 == 0
        assert "github" not in budget.path.name
        budget.close()


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("HTTPS://API.Example.org:443/x?y", "https://api.example.org"),
            ("http://api.example.org:80", "http://api.example.org"),
            ("http://[::1]:8080/x", "http://[::1]:8080"),
            ("https://user:pw@example.org./", "https://example.org"),
            ("https://example.org@evil.example/", "https://evil.example"),
        ],
    )
    def test_an_origin_is_scheme_host_and_port(self, url: str, origin: str) -> None:
        assert origin_of(url) == origin

    @pytest.mark.parametrize("url", ["", "example.org", "file:///etc/passwd", "http://", "http://x:99999/"])
    def test_anything_else_has_none(self, url: str) -> None:
        with pytest.raises(ConfigError):
            origin_of(url)

    def test_a_parameter_is_replaced_not_doubled(self) -> None:
        request = Request("GET", "http://x/y?key=old&page=2", (("key", "mid"), ("q", "a b"))).with_param(
            "key", "new"
        )

        assert request.address == "http://x/y?page=2&q=a%20b&key=new"
        assert without_param("http://x/y?key=1", "key") == "http://x/y"

    @pytest.mark.parametrize("form", ["s3cret/+=", "s3cret%2F%2B%3D", "czNjcmV0Lys9"])
    def test_a_secret_is_seen_in_no_coding(self, form: str) -> None:
        veil = Veil(["s3cret/+="])
        assert "***" in veil.text(f"http://x/{form}/y")
        assert form not in veil.text(f"http://x/{form}/y")


def test_a_secret_is_not_seen_within_json() -> None:
    secret = 'say "ü"\\'
    told = Veil([secret]).text(f"{json.dumps({'p': secret})} {json.dumps({'p': secret}, ensure_ascii=False)}")
    assert told == '{"p": "***"} {"p": "***"}'


def test_a_signed_token_is_not_shown_whoever_made_it() -> None:
    told = Veil().text("no: Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhcHAifQ.c2lnbmF0dXJl is old; eyJ is not")
    assert told == "no: Bearer *** is old; eyJ is not"


def test_a_password_in_an_address_is_not_shown() -> None:
    assert Veil().text("GET http://ann:s3cret@x/y?z=a@b") == "GET http://***@x/y?z=a@b"


def test_the_fault_server_logs_what_it_is_asked(api: FaultServer) -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> Reply:
        seen.append(asked)
        return Reply.json({"q": asked.query})

    api.serve("/x", answer)
    transport = Transport(Route(api.url))
    assert transport.fetch(Request("GET", f"{api.url}/x", (("a", "1"),))).body == b'{"q": {"a": "1"}}'
    transport.close()
    assert [asked.path for asked in seen] == ["/x"]
