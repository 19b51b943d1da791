"""A load has an end: limits of its time, rows and bytes, against servers whose pages never end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.loader_shop import LoaderHome
from unify.config.connections import load_connections
from unify.config.settings import Settings
from unify.errors import LoadFailed, SourceError
from unify.load.limits import (
    DEFAULT_BYTES,
    DEFAULT_LOAD_TIME_S,
    DEFAULT_ROWS,
    Limit,
    limit_time,
    load_limits,
)
from unify.load.plan import find_source
from unify.load.protocol import make_task
from unify.model import Action

pytestmark = pytest.mark.socket

SPEC = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
auth: {type: bearer, token: "{token}"}
LIMITS
tables:
  - name: orders
    request: GET /orders
    key: id
    paging: {type: cursor, cursor_param: after, cursor_path: next}
"""


@pytest.fixture
def home(settings: Settings, api: FaultServer) -> Iterator[LoaderHome]:
    """A shop whose every page has ten new rows and leads to another page."""

    def respond(request: RecordedRequest) -> MockResponse:
        number = int(request.query.get("after", -1)) + 1
        rows = [{"id": 10 * number + n, "text": "x" * 100} for n in range(10)]
        return MockResponse.json({"rows": rows, "next": f"{number}"})

    home = LoaderHome(settings, api)
    api.serve("/orders", respond)
    set_limits(home)
    yield home
    home.close()


def set_limits(home: LoaderHome, spec: str = "", connection: str = "") -> None:
    """Set the limits of spec and connection."""
    text = SPEC.replace("LIMITS", f"limits: {spec}" if spec else "")
    (home.specs / "shop.yaml").write_text(text)
    limits = f"\n  limits: {connection}" if connection else ""
    options = f"{{base_url: '{home.api.url}', token: '${{SHOP_TOKEN}}'}}"
    home.settings.connections.write_text(f"shop:\n  adapter: shop\n  options: {options}{limits}\n")


def load_error(home: LoaderHome) -> str:
    with pytest.raises(LoadFailed) as caught:
        home.run_load(home.make_job("orders"))
    assert not caught.value.retryable
    return caught.value.message


def test_pages_without_end_are_ended_by_the_rows_of_the_spec(home: LoaderHome) -> None:
    set_limits(home, "{rows: 200}")
    message = load_error(home)
    assert message.startswith(
        "shop.orders: the load has read 210 rows; the limit is 200 rows (limits.rows of "
        f"{home.specs}/shop.yaml). If the table is larger, raise the limit"
    )
    assert len(home.api.requests) < 40


def test_the_limit_of_the_connection_precedes_that_of_the_spec(home: LoaderHome) -> None:
    set_limits(home, "{rows: 200}", "{rows: 300}")
    message = load_error(home)
    assert "has read 310 rows; the limit is 300 rows (" in message
    assert f"{home.settings.connections}:4: shop.limits.rows" in message


def test_bytes_are_those_of_the_responses(home: LoaderHome) -> None:
    set_limits(home, "{bytes: 20 kB}")
    message = load_error(home)
    assert "the load has received 2" in message
    assert "the limit is 20 kB (limits.bytes of" in message


def test_pages_without_end_are_ended_by_the_time(home: LoaderHome) -> None:
    set_limits(home, connection="{load_time: 500ms}")
    assert "the limit is 0.5 seconds (" in load_error(home)


def test_the_time_also_ends_a_request_that_hangs(home: LoaderHome) -> None:
    released = threading.Event()

    def hang(_request: RecordedRequest) -> MockResponse:
        released.wait(30)
        return MockResponse.json([])

    home.api.serve("/orders", hang)
    set_limits(home, "{load_time: 500ms}")
    try:
        assert "the limit is 0.5 seconds (limits.load_time of" in load_error(home)
        assert not released.is_set()
    finally:
        released.set()


@pytest.mark.parametrize("ending", ["no error", "cancelled"])
def test_what_is_cancelled_at_the_limit_fails_with_the_time_however_it_ends(ending: str) -> None:
    limit = Limit(0.01, "here", "taken", lambda seconds: f"{seconds:g} s", "Raise it.")
    cancelled = threading.Event()

    # The clock of the load is behind that of the timer.
    def load() -> None:
        with limit_time(limit, lambda: 0.0, "a.b", cancelled.set):
            assert cancelled.wait(30)
            if ending == "cancelled":
                raise SourceError("the request was stopped")

    with pytest.raises(LoadFailed, match=r"a.b: the load has taken 0 s; the limit is 0.01 s \(here\)"):
        load()


def test_an_error_before_the_limit_and_a_limit_of_a_million_years_are_left_alone() -> None:
    limit = Limit(1e13, "here", "taken", str, "")
    with pytest.raises(SourceError, match="refused"), limit_time(limit, lambda: 0.0, "a.b", lambda: None):
        raise SourceError("refused")


def test_a_retry_with_a_larger_limit_continues_after_the_last_page_read(home: LoaderHome) -> None:
    set_limits(home, "{rows: 200}")
    job = home.make_job("orders")
    with pytest.raises(LoadFailed):
        home.run_load(job)
    home.api.clear_requests()
    set_limits(home, "{rows: 400}")
    with pytest.raises(LoadFailed, match="410 rows"):
        home.run_load(msgspec.structs.replace(job, attempt=2))
    assert len(home.api.requests) < 30


def test_attempts_share_the_time_and_a_retry_by_a_user_begins_it_again(home: LoaderHome) -> None:
    set_limits(home, "{load_time: 1s}")
    job = home.make_job("orders")
    with pytest.raises(LoadFailed):
        home.run_load(job)
    home.api.clear_requests()
    with pytest.raises(LoadFailed, match="the limit is 1 second"):
        home.run_load(msgspec.structs.replace(job, attempt=2))
    assert len(home.api.requests) <= 10
    folder = home.settings.staging / job.uid
    folder.rename(folder.with_name("uid-of-the-retry"))
    home.api.clear_requests()
    with pytest.raises(LoadFailed, match="the limit is 1 second"):
        home.run_load(msgspec.structs.replace(job, attempt=3, uid="uid-of-the-retry"))
    assert len(home.api.requests) > 10


def test_the_defaults_are_generous(home: LoaderHome) -> None:
    job = home.make_job("orders", Action.LOAD)
    source = find_source(make_task(job, home.settings.home, Path(), {}))
    limits = load_limits(source.connection, source.spec)
    assert (limits.time.value, limits.rows.value, limits.bytes.value) == (
        DEFAULT_LOAD_TIME_S,
        DEFAULT_ROWS,
        DEFAULT_BYTES,
    )
    with pytest.raises(LoadFailed, match=r"the default; set limits\.rows of connection shop"):
        limits.rows.check(DEFAULT_ROWS + 1, "shop.orders")


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("{rows: many}", "shop.limits.rows: 'many' is not a number of rows from 1 to"),
        ("{rows: 0}", "shop.limits.rows: '0' is not a number of rows from 1 to"),
        ("{row: 1}", "shop.limits.row: unknown key; did you mean rows?"),
        ("{load_time: soon}", "shop.limits.load_time: 'soon' is not a duration"),
        ("{load_time: 0}", "shop.limits.load_time: '0' is no time for a load"),
        ("{bytes: 20}", "shop.limits.bytes: '20' is not a size; write it like 500 MB or 20 GB"),
        ("{bytes: [1]}", "shop.limits.bytes: '' is not a size"),
        ("5", "shop.limits: expected lines of NAME: VALUE below it"),
    ],
)
def test_a_wrong_limit_of_a_connection_is_explained(home: LoaderHome, limits: str, problem: str) -> None:
    set_limits(home, connection=limits)
    error = load_connections(home.settings.connections).errors["shop"]
    assert problem in error.message
    assert f"{home.settings.connections}:4:" in error.message


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("{rows: many}", "limits.rows: "),
        ("{rows: 0}", "limits.rows: "),
        ("{load_time: 0}", "limits.load_time: '0' is no time for a load"),
        ("{bytes: 20}", "limits.bytes: "),
        ("{size: 1}", "limits.size: unknown key"),
    ],
)
def test_a_wrong_limit_of_a_spec_is_explained(home: LoaderHome, limits: str, problem: str) -> None:
    from unify.adapters.spec.loader import load_spec
    from unify.errors import SpecError

    set_limits(home, limits)
    with pytest.raises(SpecError) as caught:
        load_spec(home.specs / "shop.yaml")
    assert problem in caught.value.message
    assert "shop.yaml:7:" in caught.value.message
