"""Incremental state: future rows, dates in words, and cursors of unknown order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.support.loader_shop import LoaderHome
from tests.support.staging import stage
from unify.adapters.rest.incremental import is_older, request_cursor
from unify.adapters.spec.moments import parse_timestamp
from unify.adapters.spec.table_keys import ColumnDef, Incremental
from unify.convert.selection import ColumnRules
from unify.errors import ConfigError
from unify.model import Action

SPEC = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
paging: {type: none}
tables:
  - {name: merged, request: GET /rows, key: id, incremental: {cursor: at, param: since}}
  - {name: open, request: GET /rows, key: id, incremental: {cursor: at, param: since, allow_future: true}}
"""
NOW = datetime.now(UTC)
PAST = NOW - timedelta(days=30)


@pytest.fixture
def shop(loader_home: LoaderHome) -> LoaderHome:
    (loader_home.specs / "shop.yaml").write_text(SPEC)
    return loader_home


def serve(shop: LoaderHome, *cursors: object) -> None:
    shop.api.serve("/rows", pages=[[{"id": n, "at": cursor} for n, cursor in enumerate(cursors)]])


def test_the_cursor_is_the_latest_value_that_is_not_in_the_future(shop: LoaderHome) -> None:
    serve(shop, PAST.isoformat(), "2099-12-31T00:00:00Z")

    record = shop.publish("merged")

    assert record.cursor == {"": PAST.isoformat()}
    assert "1 row with at in the future (up to 2099-12-31T00:00:00Z)" in record.reason


def test_a_table_with_only_future_rows_has_no_cursor(shop: LoaderHome) -> None:
    serve(shop, "2099-12-31")

    assert shop.publish("merged").cursor == {}
    assert shop.publish("merged", Action.REFRESH).rows_total == 1


def test_a_future_cursor_is_stored_if_the_spec_allows_it(shop: LoaderHome) -> None:
    serve(shop, PAST.isoformat(), "2099-12-31T00:00:00Z")

    record = shop.publish("open")

    assert (record.cursor, record.reason) == ({"": "2099-12-31T00:00:00Z"}, "")


EPOCH_S = int(PAST.timestamp())
FUTURE_S = 4_000_000_000


@pytest.mark.parametrize(
    ("past", "future"),
    [
        (EPOCH_S, FUTURE_S),
        (EPOCH_S * 1000, FUTURE_S * 1000),
        (str(EPOCH_S * 10**6), str(FUTURE_S * 10**6)),
        (EPOCH_S * 10**9, FUTURE_S * 10**9),
        (EPOCH_S + 0.5, FUTURE_S + 0.5),
        (format_datetime(PAST), "Thu, 31 Dec 2099 00:00:00 GMT"),
        (f"/Date({EPOCH_S}000)/", f"/Date({FUTURE_S}000+0100)/"),
        (PAST.date().isoformat(), "2099-01-01"),
        (PAST.replace(tzinfo=None).isoformat(), "2099-01-01T00:00:00"),
        (PAST.strftime("%a %b %d %H:%M:%S +0000 %Y"), "Thu Dec 31 00:00:00 +0000 2099"),
    ],
    ids=[
        "unix",
        "unix_ms",
        "text of unix_us",
        "unix_ns",
        "fraction",
        "RFC 2822",
        "ms_date",
        "date",
        "local",
        "C",
    ],
)
def test_every_form_of_time_is_recognized(tmp_path: Path, past: object, future: object) -> None:
    rules = ColumnRules(cursor="updated_at", cursor_limit=NOW, cursor_is_epoch=True)

    staged = stage(tmp_path, {"updated_at": past}, {"updated_at": future}, shape=rules)

    assert staged.sealed.cursors == {"": str(past)}
    assert (staged.sealed.rows_in_future, staged.sealed.latest_future_cursor) == (1, str(future))


def test_an_increasing_number_is_not_a_time(tmp_path: Path) -> None:
    rules = ColumnRules(cursor="id", cursor_limit=NOW)

    assert stage(tmp_path, {"id": 5}, {"id": FUTURE_S}, shape=rules).sealed.cursors == {"": str(FUTURE_S)}


MAIL_DATES = [
    "Wed, 07 Jan 2026 10:00:00 +0000",
    "Fri, 02 Jan 2026 10:00:00 +0000",
    "Sun, 01 Feb 2026 10:00:00 +0000",
]


def test_dates_of_rfc_2822_are_compared_as_dates(tmp_path: Path) -> None:
    rows = [{"at": text} for text in MAIL_DATES]

    assert stage(tmp_path, *rows, shape=ColumnRules(cursor="at")).sealed.cursors == {"": MAIL_DATES[2]}
    assert is_older(MAIL_DATES[1], MAIL_DATES[0])
    assert not is_older(MAIL_DATES[2], MAIL_DATES[0])


@pytest.mark.parametrize(
    "text",
    [
        "Wed, 07 Jan 2026 10:00:00 GMT",
        "Wed, 07 Jan 2026 10:00:00 +0000",
        "07 Jan 2026 10:00:00 UTC",
        "Wed Jan 07 10:00:00 +0000 2026",
        "Wed Jan 07 2026 10:00:00 GMT+0000 (Coordinated Universal Time)",
        "Wednesday, 07-Jan-26 10:00:00 GMT",
        "/Date(1767780000000)/",
        "2026/01/07 10:00:00",
        "1767780000000000",
        "1767780000000000000",
    ],
)
def test_a_date_in_words_is_recognized_as_a_time(text: str) -> None:
    moment = parse_timestamp(text)
    assert moment is not None
    assert moment.replace(tzinfo=UTC) == datetime(2026, 1, 7, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Wed, 07 Jan 2026 10:00:00 GMT", "Wed, 07 Jan 2026 09:55:00 GMT"),
        ("Wed, 07 Jan 2026 10:00:00 +0000", "Wed, 07 Jan 2026 09:55:00 +0000"),
        ("/Date(1767780000000)/", "/Date(1767779700000)/"),
        ("1767780000000000", "1767779700000000"),
    ],
)
def test_the_lookback_keeps_the_form_of_the_cursor(text: str, sent: str) -> None:
    assert request_cursor(Incremental("at", lookback_s=300), text) == sent


@pytest.mark.parametrize("text", ["31/12/2025", "12.31.2025 10:00", "31-Dez-25", "Dec 31 at noon"])
def test_a_date_of_unknown_order_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"a date of unknown format; declare it: columns\.at\.format"):
        stage(tmp_path, {"at": text}, shape=ColumnRules(cursor="at"))


def test_a_declared_format_makes_its_order_known(tmp_path: Path) -> None:
    rules = ColumnRules(columns=(ColumnDef("at", format="%d/%m/%Y"),), cursor="at")

    staged = stage(tmp_path, {"at": "31/12/2025"}, {"at": "01/02/2026"}, shape=rules)

    assert staged.sealed.cursors == {"": "01/02/2026"}


def test_other_strings_are_compared_as_strings(tmp_path: Path) -> None:
    rules = ColumnRules(cursor="at", cursor_limit=NOW)

    assert stage(tmp_path, {"at": "01JANX"}, {"at": "02AAAA"}, shape=rules).sealed.cursors == {"": "02AAAA"}


def test_progress_counts_stored_rows_without_discarded_ones(shop: LoaderHome) -> None:
    (shop.specs / "shop.yaml").write_text(SPEC.replace("key: id, inc", "key: id, columns: {n: bigint}, inc"))
    shop.api.serve("/rows", pages=[[{"id": 1, "n": "5"}, {"id": 2, "n": "x"}, {"id": 3, "n": ""}]])
    job = shop.make_job("merged")

    assert shop.run_load(job).progress.rows == 2
    assert shop.sealed_load(job).manifest.discarded == 1
