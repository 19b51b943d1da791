"""A server of the page with something to see, and Chromium to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import timedelta

import pytest
from msgspec import Struct
from msgspec.structs import replace
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.support.monitored_home import end_jobs, load_record, record_loads
from tests.support.served_home import EventStream, ServedHome, serve_home
from tests.support.waiting import scaled_limit_s
from unify.config.settings import Settings
from unify.lake.lake import Lake
from unify.model import JobState
from unify.queue.queue import Queue

ERROR = "GET /repos returned 401 Unauthorized <b>(bad credentials)</b>"


class PageServer(Struct, frozen=True):
    """A server that runs; ``address`` signs in its owner once."""

    home: ServedHome
    address: str


def fill_home(settings: Settings) -> Settings:
    """Write tables, views, loads and failures; return the settings with the specs."""
    spec = (
        "name: shop\nbase_url: https://shop.example\ntables:\n"
        "  - {name: orders, description: Orders of customers, request: GET /orders, key: id}\n"
        "  - {name: items, request: 'GET /orders/{id}/items', for_each: select id from orders, key: id}\n"
    )
    specs = settings.home / "specs"
    specs.mkdir(exist_ok=True)
    (specs / "shop.yaml").write_text(spec)
    settings.connections.write_text("shop:\n  adapter: shop\n")
    settings.connections.chmod(0o600)
    with Lake(settings) as lake:
        lake.execute(
            "create table sales as select date '2026-01-01' + cast(range as integer) as day, "
            "range * 3 % 17 as sold, 9007199254740993 + range as exact, "
            "'<img src=x onerror=alert(1)>' as note from range(60)"
        )
        lake.execute("create table many as select range as id from range(20000)")
        lake.execute("create view big_sales as select * from sales where sold > 10")
    record_loads(settings, load_record("shop.orders", "failed", age=timedelta(minutes=5), error=ERROR))
    with Queue(settings.queue) as queue:
        end_jobs(queue, JobState.FAILED, ["shop.orders"])
    return replace(settings, specs=(specs,))


@contextmanager
def serve_page(settings: Settings) -> Iterator[PageServer]:
    """Serve the page as ``unify ui`` does, without opening a browser."""
    said = EventStream()
    with ExitStack() as open_server:
        with redirect_stdout(said):
            home = open_server.enter_context(serve_home(settings, opens_page=True, environment={}))
            address = said.wait_for("ticket=")
        yield PageServer(home, address)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Debian's Chromium; the tests are skipped where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("the page was NOT looked at: there is no Chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        expect.set_options(timeout=1000 * scaled_limit_s(15.0))
        try:
            yield browser
        finally:
            browser.close()


def watch_errors(page: Page) -> list[str]:
    """Collect what goes wrong in a page: errors of scripts and of the console, requests to other hosts."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if _is_error(message) else None)
    page.on("request", lambda request: None if "//127.0.0.1:" in request.url else errors.append(request.url))
    return errors


def _is_error(message: ConsoleMessage) -> bool:
    """Whether a message of the console is an error of the page, not the status of a response."""
    return message.type == "error" and not message.text.startswith("Failed to load resource")
