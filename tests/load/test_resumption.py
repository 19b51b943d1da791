"""A load that broke off continues after the last page read, and stores what an unbroken one stores."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.loader_shop import LoaderHome
from tests.support.stores import create_home
from unify.errors import UnifyError
from unify.fs.failpoints import FailpointHit
from unify.load.protocol import LoadProgress, TaskStatus
from unify.model import Action, LoaderJob

pytestmark = pytest.mark.socket

ITEM_SPEC = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
auth: {type: bearer, token: "{token}"}
limits: {concurrency: CONCURRENCY}
tables:
  - name: orders
    request: GET /orders
    key: id
    paging: {type: none}
  - name: lines
    request: GET /orders/{order_id}/lines
    for_each: select id as order_id from orders
    columns: {order_id: {from: "{order_id}"}}
    exclude: [unused]
    paging: PAGING
    ERRORS
    incremental: {cursor: at, param: since}
"""
NO_HINT = "detected paging: nothing"  # depends on which page comes first
PAGINGS = {
    "page": "{type: page, page_param: page, size_param: size, size: 2}",
    "total": "{type: page, page_param: page, size_param: size, size: 2, total_path: total}",
    "offset": "{type: offset, offset_param: skip, size_param: size, size: 2}",
    "cursor": "{type: cursor, cursor_param: after, cursor_path: next_cursor}",
    "next_url": "{type: next_url, path: next}",
    "auto": "{type: auto}",
}


class Shop:
    """An API with the lines of orders, two a page, that fails from a given request on."""

    def __init__(self, api: FaultServer, orders: int, seed: int) -> None:
        self.api = api
        rng = random.Random(seed)
        self.lines = {
            order: [self._line(rng, order, n) for n in range(rng.randint(0, 9))] for order in range(orders)
        }
        self.requests_left = 10**9
        self.requested: list[tuple[int, int]] = []
        self.expired = False  # later pages are refused once
        self.link_suffix = ""
        api.serve("/orders", MockResponse.json([{"id": order} for order in self.lines]))
        for order in self.lines:
            api.serve(f"/orders/{order}/lines", partial(self._respond, order))

    def _line(self, rng: random.Random, order: int, number: int) -> dict[str, Any]:
        """A line whose fields and types differ from row to row."""
        line: dict[str, Any] = {
            "sku": f"{order}-{number}",
            "at": f"2026-01-{rng.randint(1, 28):02}T00:00:00Z",
        }
        for name in ("price", "note", "tags", "more", "unused", "Unused"):
            if rng.random() < 0.4:
                line[name] = rng.choice(
                    [1, 2.5, "x", None, [1], {"a": rng.randint(0, 3)}, 2**60, "2026-01-01"]
                )
        return line

    def _respond(self, order: int, request: RecordedRequest) -> MockResponse:
        query = request.query
        lines = self.lines[order]
        number = int(query.get("after") or query.get("skip") or 2 * (int(query.get("page") or 1) - 1))
        self.requested.append((order, number))
        self.requests_left -= 1
        if self.requests_left < 0:
            return MockResponse.error(400, "broken")
        if self.expired and number:
            self.expired = False
            return MockResponse.error(400, "the cursor has expired")
        body: dict[str, Any] = {"lines": lines[number : number + 2], "total": len(lines)}
        if number + 2 < len(lines):
            body["next_cursor"] = str(number + 2)
            body["next"] = f"{self.api.url}/orders/{order}/lines?after={number + 2}{self.link_suffix}"
        return MockResponse.json(body)


@contextmanager
def open_shop(
    folder: Path, orders: int, seed: int, paging: str, errors: str = "", concurrency: int = 1
) -> Iterator[tuple[LoaderHome, Shop]]:
    with FaultServer() as api:
        home = LoaderHome(create_home(folder), api)
        spec = (
            ITEM_SPEC.replace("PAGING", PAGINGS[paging])
            .replace("ERRORS", errors)
            .replace("CONCURRENCY", str(concurrency))
        )
        (home.specs / "shop.yaml").write_text(spec)
        shop = Shop(api, orders, seed)
        home.publish("orders")
        try:
            yield home, shop
        finally:
            home.close()


def stored_content(home: LoaderHome, job: LoaderJob) -> tuple[Any, ...]:
    """The rows and everything of the manifest that is published."""
    manifest = home.sealed_load(job).manifest
    columns = [(column.name, column.type) for column in manifest.columns]
    names = ", ".join(f'"{name}"' for name, _ in columns)
    return (
        home.staged_rows(job, f"select {names} from rows order by all"),
        columns,
        manifest.rows,
        manifest.discarded,
        dict(manifest.cursors),
        sorted(note for note in manifest.notes if not note.startswith(("resumed", NO_HINT))),
        manifest.layout,
    )


def run_attempt(home: LoaderHome, job: LoaderJob, number: int) -> tuple[LoaderJob, UnifyError | None]:
    job = msgspec.structs.replace(job, attempt=number)
    try:
        assert home.run_load(job).ending is TaskStatus.STAGED
    except UnifyError as error:
        return job, error
    return job, None


def run_broken_load(home: LoaderHome, shop: Shop, rng: random.Random, pages: int) -> tuple[LoaderJob, int]:
    """Run a load that fails after random numbers of requests, until it succeeds; return its last attempt.

    The first attempt is not served all ``pages``.
    """
    job = home.make_job("lines")
    limits = [rng.randrange(pages), *(rng.randint(0, 24) for _ in range(37)), 10**9]
    for number, shop.requests_left in enumerate(limits, 1):
        job, error = run_attempt(home, job, number)
        if error is None:
            return job, number
    raise AssertionError(f"the last attempt failed: {error}")


@pytest.mark.parametrize("paging", PAGINGS)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_a_load_broken_at_random_requests_stores_what_an_unbroken_one_stores(
    tmp_path: Path, paging: str, seed: int
) -> None:
    rng = random.Random(f"{paging} {seed}")
    with open_shop(tmp_path, rng.randint(1, 9), seed, paging, concurrency=3) as (home, shop):
        whole = home.make_job("lines")
        assert run_attempt(home, whole, 1)[1] is None
        unbroken_requests = len(shop.requested)
        shop.requested.clear()

        job, attempts = run_broken_load(home, shop, rng, unbroken_requests)

        assert attempts > 1
        assert stored_content(home, job) == stored_content(home, whole)
        assert home.sealed_load(job).manifest.requests >= unbroken_requests
        # an attempt requests again what was under way, and the last page of each order that was begun
        assert len(shop.requested) <= unbroken_requests + 7 * attempts


def test_complete_parents_are_not_requested_again(tmp_path: Path) -> None:
    with open_shop(tmp_path, 60, 1, "cursor") as (home, shop):
        shop.lines = {order: lines[:2] for order, lines in shop.lines.items()}  # a page each
        job = home.make_job("lines")
        shop.requests_left = 50
        job, error = run_attempt(home, job, 1)
        assert error is not None
        served = shop.requested[:50]
        shop.requests_left, shop.requested = 10**9, []

        job, error = run_attempt(home, job, 2)

        assert error is None
        assert set(shop.requested) | set(served) == {(order, 0) for order in shop.lines}
        assert len(shop.requested) == 10
        assert "resumed after 50 of 60 parents" in home.sealed_load(job).manifest.notes
        progress = [each for each in home.reports if isinstance(each, LoadProgress)][-1]
        assert progress.resumed == "50 of 60 parents"
        assert progress.rows == home.sealed_load(job).manifest.rows


def test_a_long_chain_of_pages_continues_after_the_last_one(tmp_path: Path) -> None:
    with open_shop(tmp_path, 1, 1, "cursor") as (home, shop):
        shop.lines[0] = [{"sku": n, "at": "2026-01-01"} for n in range(200)]
        job = home.make_job("lines")
        shop.requests_left = 80
        job, _ = run_attempt(home, job, 1)
        shop.requests_left, shop.requested = 10**9, []
        job, error = run_attempt(home, job, 2)
        assert error is None
        assert [number for _, number in shop.requested] == list(range(158, 200, 2))
        assert home.staged_rows(job, "select count(*), count(distinct sku) from rows") == [(200, 200)]
        assert "resumed after 80 pages" in home.sealed_load(job).manifest.notes


def test_pages_are_kept_while_the_api_is_unreachable(tmp_path: Path) -> None:
    with open_shop(tmp_path, 1, 1, "cursor") as (home, shop):
        shop.lines[0] = [{"sku": n, "at": "2026-01-01"} for n in range(200)]
        job = home.make_job("lines")
        for number, requests in enumerate([80, 0, 0, 10**9], 1):
            shop.requests_left, shop.requested = requests, []
            job, error = run_attempt(home, job, number)
        assert error is None
        assert len(shop.requested) == 21


def test_an_expired_cursor_begins_its_parent_again(tmp_path: Path) -> None:
    with open_shop(tmp_path, 3, 1, "cursor") as (home, shop):
        shop.lines = {
            order: [{"sku": f"{order}-{n}", "at": "2026-01-01"} for n in range(20)] for order in range(3)
        }
        whole = home.make_job("lines")
        run_attempt(home, whole, 1)
        job = home.make_job("lines")
        shop.requests_left = 15
        job, _ = run_attempt(home, job, 1)
        shop.requests_left, shop.expired = 10**9, True
        job, error = run_attempt(home, job, 2)
        assert error is None
        assert stored_content(home, job) == stored_content(home, whole)


def test_a_parent_whose_last_page_has_changed_begins_again(tmp_path: Path) -> None:
    with open_shop(tmp_path, 1, 1, "offset") as (home, shop):
        shop.lines[0] = [{"sku": n, "at": "2026-01-01"} for n in range(20)]
        job = home.make_job("lines")
        shop.requests_left = 5
        job, _ = run_attempt(home, job, 1)
        del shop.lines[0][0]  # every later row moves: going on would miss one
        shop.requests_left = 10**9
        job, error = run_attempt(home, job, 2)
        assert error is None
        assert home.staged_rows(job, "select list(sku order by sku) from rows") == [(list(range(1, 20)),)]


@pytest.mark.parametrize(
    "change",
    ["spec", "option", "load between", "reload between", "other parents", "too old", "other version"],
)
def test_what_a_change_makes_invalid_is_read_again(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_shop(tmp_path, 20, 1, "cursor") as (home, shop):
        shop.lines = {order: lines[:2] for order, lines in shop.lines.items()}
        job = home.make_job("lines")
        shop.requests_left = 15
        job, _ = run_attempt(home, job, 1)
        shop.requests_left, shop.requested = 10**9, []
        kept = 0
        if change == "spec":
            spec = home.specs / "shop.yaml"
            spec.write_text(spec.read_text().replace("exclude: [unused]", "exclude: [more]"))
        elif change == "option":
            text = home.settings.connections.read_text()
            home.settings.connections.write_text(text.replace("127.0.0.1", "localhost"))
        elif change == "load between":
            home.publish("lines")
            shop.requested.clear()
        elif change == "reload between":
            home.publish("lines", Action.RELOAD)
            shop.requested.clear()
        elif change == "other parents":
            shop.api.serve("/orders", MockResponse.json([{"id": order} for order in (0, 1, 18, 19)]))
            home.publish("orders", Action.RELOAD)
            kept = 2
        elif change == "too old":
            monkeypatch.setattr("unify.load.checkpoint.MAX_AGE", timedelta(0))
        else:
            monkeypatch.setattr("unify.version.VERSION", "99")
        job, error = run_attempt(home, job, 2)
        assert error is None
        parents = 4 if change == "other parents" else 20
        assert len(shop.requested) == parents - kept
        rows = sum(len(shop.lines[order]) for order in ((0, 1, 18, 19) if kept else shop.lines))
        assert home.sealed_load(job).manifest.rows == rows


def test_a_new_value_of_a_public_option_from_the_environment_reads_everything_again(tmp_path: Path) -> None:
    with open_shop(tmp_path, 20, 1, "cursor") as (home, shop):
        shop.lines = {order: lines[:2] for order, lines in shop.lines.items()}
        text = home.settings.connections.read_text()
        home.settings.connections.write_text(text.replace(f"'{shop.api.url}'", "'${SHOP_URL}'"))
        home.environment["SHOP_URL"] = shop.api.url
        job = home.make_job("lines")
        requests = []
        for number, url in enumerate((shop.api.url, shop.api.url.replace("127.0.0.1", "localhost")), 1):
            home.environment["SHOP_URL"] = url
            for attempt in (2 * number - 1, 2 * number):
                shop.requests_left, shop.requested = 8 if attempt < 4 else 10**9, []
                job, error = run_attempt(home, job, attempt)
                requests.append([order for order, _ in shop.requested])
        assert error is None
        assert [found[0] for found in requests] == [0, 8, 0, 8]
        assert home.sealed_load(job).manifest.rows == sum(map(len, shop.lines.values()))


def test_a_new_token_from_the_environment_keeps_what_was_read(tmp_path: Path) -> None:
    with open_shop(tmp_path, 20, 1, "cursor") as (home, shop):
        shop.lines = {order: lines[:2] for order, lines in shop.lines.items()}
        job = home.make_job("lines")
        shop.requests_left = 15
        job, _ = run_attempt(home, job, 1)
        shop.requests_left, shop.requested = 10**9, []
        home.environment["SHOP_TOKEN"] = "another"
        job, error = run_attempt(home, job, 2)
        assert (error, len(shop.requested)) == (None, 5)


@pytest.mark.parametrize("damage", ["rows", "last line", "line", "rows missing"])
def test_damaged_files_lose_no_row(tmp_path: Path, damage: str) -> None:
    with open_shop(tmp_path, 20, 1, "cursor") as (home, shop):
        whole = home.make_job("lines")
        run_attempt(home, whole, 1)
        job = home.make_job("lines")
        shop.requests_left = 30
        job, _ = run_attempt(home, job, 1)
        shop.requests_left = 10**9
        folder = home.settings.staging / job.uid / "1"
        checkpoint, (chunk,) = folder / "checkpoint.jsonl", folder.glob("chunk-*.ndjson")
        if damage == "rows":
            data = bytearray(chunk.read_bytes())
            data[len(data) // 2] ^= 1
            chunk.write_bytes(data)
        elif damage == "rows missing":
            chunk.write_bytes(chunk.read_bytes()[:-100])
        elif damage == "last line":
            checkpoint.write_bytes(checkpoint.read_bytes()[:-20])
        else:
            lines = checkpoint.read_bytes().splitlines(keepends=True)
            checkpoint.write_bytes(b"".join([*lines[:9], b"\0" * 30 + b"\n", *lines[10:]]))
        job, error = run_attempt(home, job, 2)
        assert error is None
        assert stored_content(home, job) == stored_content(home, whole)


def test_skipped_requests_and_time_windows_carry_over(tmp_path: Path) -> None:
    errors = "errors: [{status: 410, action: skip}]"
    with open_shop(tmp_path, 20, 1, "cursor", errors) as (home, shop):
        spec = home.specs / "shop.yaml"
        window = (
            "incremental: {cursor: at, param: since, start: 2026-01-01, window: 100 days}\n"
            "    params: {until: '{until}'}"
        )
        spec.write_text(spec.read_text().replace("incremental: {cursor: at, param: since}", window))
        shop.lines = {order: lines[:1] for order, lines in shop.lines.items()}
        for order in (2, 5, 17):
            shop.api.serve(f"/orders/{order}/lines", MockResponse.error(410))
        whole = home.make_job("lines")
        run_attempt(home, whole, 1)
        job, attempts = run_broken_load(home, shop, random.Random(3), len(shop.requested))
        assert attempts > 2
        notes = home.sealed_load(job).manifest.notes
        assert any("requests skipped (status 410)" in note for note in notes)
        assert any("time windows" in note for note in notes if note.startswith("resumed"))
        assert stored_content(home, job) == stored_content(home, whole)


def test_no_secret_is_in_the_checkpoint(tmp_path: Path) -> None:
    with open_shop(tmp_path, 1, 1, "next_url") as (home, shop):
        shop.lines[0] = [{"sku": n, "at": "2026-01-01"} for n in range(20)]
        shop.link_suffix = "&access_token=s3cret-canary"
        job = home.make_job("lines")
        shop.requests_left = 5
        job, _ = run_attempt(home, job, 1)
        files = [path for path in (home.settings.staging / job.uid).rglob("*") if path.is_file()]
        assert files
        assert not any(b"s3cret-canary" in path.read_bytes() for path in files)
        shop.requests_left = 10**9
        job, error = run_attempt(home, job, 2)
        assert error is None
        assert home.sealed_load(job).manifest.rows == 20


@pytest.mark.parametrize(
    "failpoints",
    [
        "loader.page:raise@7,loader.restaged_page:raise@3,loader.page:raise@2,loader.staged:raise",
        "loader.staged:raise,staging.before_manifest:raise",
        "loader.page:raise@1,loader.page:raise@10,loader.restaged_page:raise@8",
    ],
)
def test_an_attempt_may_end_at_any_point(
    tmp_path: Path, failpoints: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it takes over the rows of the attempt before, and after it has read every page."""
    with open_shop(tmp_path, 9, 4, "cursor") as (home, shop):
        whole = home.make_job("lines")
        run_attempt(home, whole, 1)
        pages, shop.requested = len(shop.requested), []
        job = home.make_job("lines")
        for number, point in enumerate(failpoints.split(","), 1):
            monkeypatch.setattr("unify.fs.failpoints._hit_counts", Counter())
            monkeypatch.setenv("UNIFY_FAILPOINT", point)
            with pytest.raises(FailpointHit):
                run_attempt(home, job, number)
        monkeypatch.delenv("UNIFY_FAILPOINT")
        job, error = run_attempt(home, job, number + 1)
        assert error is None
        assert stored_content(home, job) == stored_content(home, whole)
        assert len(shop.requested) <= pages + 12
        assert not list((home.settings.staging / job.uid).rglob("chunk-*"))
