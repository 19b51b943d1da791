"""The page as Chromium shows it: sections, details, queries, charts, keys, themes, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.page_server import PageServer, fill_home, open_browser, serve_page, watch_errors
from tests.support.stores import create_home
from unify.config.settings import Settings
from unify.servers.users import Role, UserStore

pytestmark = [pytest.mark.socket, pytest.mark.lake, pytest.mark.process]


@pytest.fixture(scope="module")
def settings_of_page(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return fill_home(create_home(tmp_path_factory.mktemp("seen")))


@pytest.fixture(scope="module")
def server(settings_of_page: Settings) -> Iterator[PageServer]:
    with serve_page(settings_of_page) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def shown(browser: Browser, server: PageServer) -> Iterator[tuple[Page, list[str]]]:
    """The page, signed in by the address of ``unify ui``, and what went wrong in it."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    errors = watch_errors(page)
    page.goto(server.address)
    expect(page.locator("h1")).to_have_text("Tables")
    assert "ticket" not in page.url
    yield page, errors
    page.close()


@pytest.fixture
def page(shown: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page at its first section; nothing may go wrong in a test."""
    page, errors = shown
    page.evaluate("location.hash = '#/tables'")
    expect(page.locator("h1")).to_have_text("Tables")
    yield page
    assert errors == []


def rows(page: Page) -> list[str]:
    expect(page.locator(".content tbody tr:not(.spacer)").first).to_be_visible()
    return page.locator(".content tbody tr:not(.spacer) td:first-child").all_inner_texts()


def run(page: Page, sql: str) -> None:
    page.evaluate("location.hash = '#/query'")
    page.fill("#sql", sql)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".querybox:not(.busy)")).to_be_visible()


def test_tables_are_listed_and_filtered(page: Page, tmp_path: Path) -> None:
    assert {"sales", "many", "big_sales"} <= set(rows(page))
    page.keyboard.press("/")
    page.keyboard.type("big")
    expect(page.locator(".foot")).to_contain_text("1 row of ")
    page.keyboard.press("Escape")
    picture = tmp_path / "tables.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 20_000  # a blank page has 5 kB


@pytest.mark.slow
def test_a_table_opens_with_its_columns_and_lineage_by_keys_alone(page: Page) -> None:
    rows(page)
    page.locator(".scroller").focus()
    page.keyboard.press("End")
    while page.locator("tr.selected td").first.inner_text() != "sales":
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    panel = page.locator(".panel")
    expect(panel.locator("h2")).to_have_text("sales")
    expect(panel).to_contain_text("big_sales")
    expect(panel).to_contain_text("BIGINT")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


@pytest.mark.slow
def test_a_failed_load_says_why_and_markup_in_it_is_text(page: Page) -> None:
    page.keyboard.press("2")
    expect(page.locator("h1")).to_have_text("Loads")
    assert rows(page) == ["1"]
    page.locator("tr.opens").first.click()
    expect(page.locator(".panel pre.trouble")).to_contain_text("refused: token=")
    assert page.locator(".panel b").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("section", ["requests", "schedules", "writes", "syncs"])
def test_a_section_without_rows_says_what_would_be_there(page: Page, section: str) -> None:
    page.evaluate(f"location.hash = '#/{section}'")
    expect(page.locator(".empty h2")).to_be_visible()
    expect(page.locator(f'nav a[data-section="{section}"]')).to_have_attribute("aria-current", "page")


def test_a_statement_shows_exact_values_and_no_markup(page: Page) -> None:
    run(page, "select exact, note from sales order by exact limit 1")
    cells = page.locator(".result tbody td")
    expect(cells.first).to_have_text("9007199254740993")
    expect(cells.nth(1)).to_have_text("<img src=x onerror=alert(1)>")
    assert page.locator(".result img").count() == 0


def test_a_chart_is_drawn(page: Page) -> None:
    run(page, "select day, sold from sales order by day")
    page.get_by_role("button", name="Line", exact=True).click()
    expect(page.locator(".plot .line")).to_have_count(1)
    assert page.locator(".plot .line").get_attribute("d").count("L") == 59  # type: ignore[union-attr]
    page.get_by_role("button", name="Bar", exact=True).click()
    expect(page.locator(".plot rect")).to_have_count(60)
    page.mouse.move(700, 560)
    expect(page.locator(".tip")).to_contain_text("sold: ")


@pytest.mark.slow
def test_a_large_result_has_few_elements(page: Page) -> None:
    run(page, "from many order by id")
    expect(page.locator(".result .foot")).to_have_text("20,000 rows")
    assert page.locator(".result tbody tr").count() < 100
    page.locator(".result .scroller").evaluate("one => one.scrollTop = one.scrollHeight")
    expect(page.locator(".result tbody tr:not(.spacer)").last).to_contain_text("19999")


@pytest.mark.slow
def test_an_error_of_a_statement_is_shown(page: Page) -> None:
    run(page, "select * from nosuch")
    expect(page.locator(".failure")).to_contain_text("table nosuch does not exist")


@pytest.mark.slow
def test_both_themes_have_readable_colours(page: Page) -> None:
    def contrast() -> float:
        script = """() => {
          const lum = (text) => { const c = text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
          const s = getComputedStyle(document.querySelector('.hint'));
          const b = getComputedStyle(document.body).backgroundColor;
          const [x, y] = [lum(s.color), lum(b)].sort((p, q) => q - p);
          return (x + 0.05) / (y + 0.05); }"""
        return float(page.evaluate(script))

    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert contrast() >= 4.5  # WCAG 2.2, AA
    page.get_by_role("button", name="Change between light and dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert contrast() >= 4.5
    page.get_by_role("button", name="Change between light and dark").click()


@pytest.mark.slow
def test_a_user_signs_in_with_a_token_and_sees_no_private_statement(
    browser: Browser, server: PageServer, settings_of_page: Settings
) -> None:
    token = UserStore(settings_of_page).add_user("ann", Role.READER)
    page = browser.new_page()
    page.goto(f"{server.home.address}/")
    page.fill("#token", "unify.ann.wrong")
    page.keyboard.press("Enter")
    expect(page.locator("[role=alert]")).to_have_text("This token is not valid.")
    page.fill("#token", token)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Tables")
    page.keyboard.press("8")
    expect(page.locator(".empty h2")).to_have_text("Only the owner of the home sees this")
    assert page.evaluate("localStorage.getItem('unify.token')") is None
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#token")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('unify.token')") is None
    page.close()


@pytest.mark.slow
def test_an_address_that_was_used_says_so(browser: Browser, server: PageServer) -> None:
    page = browser.new_page()
    page.goto(server.address)
    expect(page.locator("[role=alert]")).to_contain_text("run unify ui again")
    page.close()
