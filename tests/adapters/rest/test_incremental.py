"""Incremental reads: cursors, windows and overlap."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.rest_tables import PARENT_ROWS, FixedClock, MakeAdapter, child_table, decode_rows, table
from unify.adapters.base import Page, Read
from unify.adapters.rest import incremental as rest_incremental
from unify.adapters.rest.read_plan import scope_key
from unify.adapters.spec.model import Limits
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ColumnDef, Incremental
from unify.errors import ConfigError


def time_windows(incremental: Incremental, at: str | None, now: float) -> list[rest_incremental.TimeWindow]:
    return list(rest_incremental.time_windows(incremental, at, datetime.fromtimestamp(now, UTC)))


class TestCursors:
    def first_target(
        self, api: FaultServer, make: MakeAdapter, incremental: Incremental, **since: str
    ) -> str:
        api.serve("/things", MockResponse.json([]))
        adapter = make(table(incremental=incremental, paging=Paging("none")))
        list(adapter.pages("things", Read(since=dict(since and {"": since["at"]}))))
        return api.request_targets[-1]

    @pytest.mark.parametrize(
        ("settings", "at", "sent"),
        [
            ({}, "2026-05-01T10:00:00Z", "since=2026-05-01T10%3A00%3A00Z"),
            ({"lookback_s": 300}, "2026-05-01T10:00:00Z", "since=2026-05-01T09%3A55%3A00Z"),
            (
                {"lookback_s": 300},
                "2026-05-01 12:00:00.5+02",
                "since=2026-05-01T11%3A55%3A00.500000%2B02%3A00",
            ),
            ({"format": "date"}, "2026-05-01T10:00:00Z", "since=2026-05-01"),
            ({"format": "unix", "lookback_s": 60}, "2026-05-01T10:00:00Z", "since=1777629540"),
            ({"format": "unix_ms"}, "1777629600", "since=1777629600000"),
            ({"format": "%d.%m.%Y"}, "2026-05-01", "since=01.05.2026"),
            ({}, "1777629600", "since=1777629600"),  # an identifiers or seconds: unknown
            ({"lookback_s": 60}, "1777629600", "since=1777629540"),
            ({"lookback_s": 60}, "1777629600000", "since=1777629540000"),
            ({"lookback_s": 60}, "1777629600.000123", "since=1777629540.000123"),
            ({"lookback_s": 60}, "4711", "since=4711"),
            ({"format": "iso8601"}, "1777629600", "since=2026-05-01T10%3A00%3A00Z"),
            ({}, "2026-05-01", "since=2026-05-01"),
            ({"lookback_s": 300}, "2026-05-01", "since=2026-04-30"),
            ({"format": "date"}, "2026-05-01T01:00:00+02:00", "since=2026-04-30"),
            ({"format": "date"}, "2026-05-01T23:00:00-05:00", "since=2026-05-01"),
            ({}, "4711", "since=4711"),
            ({}, "opaque", "since=opaque"),
        ],
    )
    def test_a_stored_cursor_is_sent_in_the_declared_format(
        self, api: FaultServer, make_adapter: MakeAdapter, settings: dict[str, Any], at: str, sent: str
    ) -> None:
        incremental = Incremental("updated_at", param="since", **settings)
        assert self.first_target(api, make_adapter, incremental, at=at) == f"/things?{sent}"

    def test_the_first_load_begins_at_start_or_reads_everything(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        start = Incremental("updated_at", param="since", start="2015-01-01T00:00:00Z", lookback_s=60)
        assert self.first_target(api, make_adapter, start) == "/things?since=2015-01-01T00%3A00%3A00Z"
        assert self.first_target(api, make_adapter, Incremental("updated_at", param="since")) == "/things"
        day = Incremental("day", param="since", start="2015-01-01")
        assert self.first_target(api, make_adapter, day) == "/things?since=2015-01-01"

    @pytest.mark.parametrize("settings", [{"param": "since"}, {"params": {"since": "{cursor}"}}])
    def test_a_paging_cursor_of_the_same_name_is_separate(
        self, api: FaultServer, make_adapter: MakeAdapter, settings: dict[str, Any]
    ) -> None:
        api.serve(
            "/things",
            MockResponse.json({"items": [{"at": 8}], "next": "b"}),
            MockResponse.json({"items": []}),
        )
        spec = table(
            rows="items",
            incremental=Incremental("at", param=settings.get("param"), start="7"),
            params=settings.get("params", {}),
            paging=Paging("cursor", cursor_path="next", cursor_param="cursor"),
        )

        list(make_adapter(spec).pages("things", Read()))

        assert api.request_targets == ["/things?since=7", "/things?since=7&cursor=b"]

    def test_each_parent_has_its_own_cursor(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        for parent in PARENT_ROWS[:2]:
            api.serve(f"/repos/o/{parent['repo']}/pulls", MockResponse.json([]))
        adapter = make_adapter(
            child_table(incremental=Incremental("at", param="since")), limits=Limits(None, 1)
        )
        since = {scope_key(PARENT_ROWS[1]): "2026-05-01T10:00:00Z"}
        list(adapter.pages("pulls", Read(PARENT_ROWS[:2], since)))
        assert api.request_targets == [
            "/repos/o/r0/pulls",
            "/repos/o/r1/pulls?since=2026-05-01T10%3A00%3A00Z",
        ]

    def test_order_desc_stops_at_the_first_old_page(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        days = [
            [{"at": f"2026-05-{30 - 2 * page:02}T00:00:00Z"}, {"at": f"2026-05-{29 - 2 * page:02}T00:00:00Z"}]
            for page in range(10)
        ]
        api.serve("/things", pages=days, style="link", totals=True)
        spec = table(incremental=Incremental("at", order="desc"), paging=Paging("link_header"))

        first = decode_rows(make_adapter(spec).pages("things", Read()))
        assert len(first) == 20
        api.clear_requests()
        later = decode_rows(make_adapter(spec).pages("things", Read(since={"": "2026-05-26T00:00:00Z"})))
        assert [row["at"][8:10] for row in later] == ["30", "29", "28", "27", "26", "25"]
        assert len(api.request_targets) == 3

        days_back = Incremental("at", order="desc", lookback_s=3 * 86400.0)
        api.clear_requests()
        adapter = make_adapter(table(incremental=days_back, paging=Paging("link_header")))
        assert len(decode_rows(adapter.pages("things", Read(since={"": "2026-05-26T00:00:00Z"})))) == 10
        assert len(api.request_targets) == 5  # the 22nd is older than the 23rd

    @pytest.mark.parametrize("source", [None, "on"])
    def test_order_desc_compares_dates_by_the_declared_format(
        self, api: FaultServer, make_adapter: MakeAdapter, source: str | None
    ) -> None:
        days = ["05/03/2026", "28/02/2026", "20/02/2026", "31/01/2026", "30/01/2026", "29/12/2025"]
        name = source or "at"
        api.serve("/things", pages=[[{name: day}] for day in days], style="link", totals=True)
        spec = table(
            incremental=Incremental("at", order="desc"),
            paging=Paging("link_header"),
            columns=(ColumnDef("at", "date", format="%d/%m/%Y", source=source),),
        )
        adapter = make_adapter(spec)
        later = decode_rows(adapter.pages("things", Read(since={"": "2026-02-20"})))
        assert [row[name] for row in later] == days[:4]
        assert len(api.request_targets) == 4


class TestWindows:
    spec = table(
        params={"from": "{cursor}", "to": "{until}"},
        incremental=Incremental("at", start="2026-01-01", format="date", window_s=10 * 86400.0),
        paging=Paging("page"),
    )

    @pytest.fixture
    def january(self) -> FixedClock:
        return FixedClock(datetime(2026, 1, 25, 13, tzinfo=UTC).timestamp())

    def read_windows(
        self, api: FaultServer, make: MakeAdapter, clock: FixedClock, **since: str
    ) -> list[Page]:
        api.serve(
            "/things", lambda request: MockResponse.json([{"id": 1}] if request.query["page"] == "1" else [])
        )
        adapter = make(self.spec, clock=clock, limits=Limits(None, 1))
        return list(adapter.pages("things", Read(since=since)))

    def test_adjacent_windows_cover_the_time(
        self, api: FaultServer, make_adapter: MakeAdapter, january: FixedClock
    ) -> None:
        pages = self.read_windows(api, make_adapter, january)
        assert [target for target in api.request_targets if target.endswith("page=1")] == [
            "/things?from=2026-01-01&to=2026-01-11&page=1",
            "/things?from=2026-01-11&to=2026-01-21&page=1",
            "/things?from=2026-01-21&to=2026-01-26&page=1",
        ]
        assert len(decode_rows(pages)) == 3
        assert len({page.number for page in pages}) == len(pages) == 6

    def test_the_first_window_begins_at_the_stored_cursor(
        self, api: FaultServer, make_adapter: MakeAdapter, january: FixedClock
    ) -> None:
        self.read_windows(api, make_adapter, january, **{"": "2026-01-24"})
        assert api.request_targets[0] == "/things?from=2026-01-24&to=2026-01-26&page=1"

    @pytest.mark.parametrize(
        ("at", "slices"),
        [
            ("1768046400", [(1768046400, 1768910400), (1768910400, 1769346000)]),
            ("1768046400000", [(1768046400000, 1768910400000), (1768910400000, 1769346000000)]),
            ("2026-01-10", [("2026-01-10", "2026-01-20"), ("2026-01-20", "2026-01-26")]),
            (
                "2026-01-10T12:00:00Z",
                [
                    ("2026-01-10T12:00:00Z", "2026-01-20T12:00:00Z"),
                    ("2026-01-20T12:00:00Z", "2026-01-25T13:00:00Z"),
                ],
            ),
        ],
    )
    def test_without_a_format_windows_have_the_form_of_the_cursor(
        self, january: FixedClock, at: str, slices: list[tuple[str | int, str | int]]
    ) -> None:
        incremental = Incremental("at", start="2026-01-01T00:00:00Z", window_s=10 * 86400.0)
        found = [(part.cursor, part.until) for part in time_windows(incremental, at, january.now)]
        assert found == slices

    @pytest.mark.parametrize(("form", "begin"), [(None, "2025-12-26T13:00:00Z"), ("date", "2025-12-26")])
    def test_a_start_can_be_an_age(self, january: FixedClock, form: str | None, begin: str) -> None:
        incremental = Incremental("at", start="30 days ago", format=form)
        assert [part.cursor for part in time_windows(incremental, None, january.now)] == [begin]

    @pytest.mark.parametrize(
        ("keys", "at", "slices"),
        [
            ({"end": "2026-01-05"}, None, [("2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z")]),
            (
                {"end": "5 days ago", "window_s": None},
                None,
                [("2026-01-01T00:00:00Z", "2026-01-20T13:00:00Z")],
            ),
            ({"not_before_s": 5 * 86400.0}, None, [("2026-01-20T13:00:00Z", "2026-01-25T13:00:00Z")]),
            ({"not_before_s": 5 * 86400.0}, "2026-01-24", [("2026-01-24", "2026-01-26")]),
            ({"not_before_s": 86400.0}, "1767225600", [(1769259600, 1769346000)]),
            (
                {"window_s": 15 * 86400.0, "gap_s": 1.0},
                None,
                [
                    ("2026-01-01T00:00:00Z", "2026-01-15T23:59:59Z"),
                    ("2026-01-16T00:00:00Z", "2026-01-25T13:00:00Z"),
                ],
            ),
        ],
    )
    def test_the_ends_of_a_load_can_be_limited(
        self, january: FixedClock, keys: dict[str, Any], at: str | None, slices: list[Any]
    ) -> None:
        given = {"start": "2026-01-01T00:00:00Z", "window_s": 40 * 86400.0, **keys}
        found = time_windows(Incremental("at", **given), at, january.now)
        assert [(part.cursor, part.until) for part in found] == slices

    def test_an_option_sets_the_window_and_the_end(
        self, api: FaultServer, make_adapter: MakeAdapter, january: FixedClock
    ) -> None:
        api.serve("/things", MockResponse.json([]))
        incremental = Incremental.from_keys(
            cursor="at", start="{since}", end="{end}", window_s="{days} days", format="date"
        )
        spec = table(
            incremental=incremental,
            paging=Paging("none"),
            params={"from": "{cursor:%Y%m%d}", "to": "{until}", "at": "{now:date}"},
        )
        options = {"since": "2026-01-01", "end": "2026-01-05", "days": "3"}
        adapter = make_adapter(spec, clock=january, options=options)
        list(adapter.pages("things", Read()))
        assert sorted(api.request_targets) == [
            "/things?from=20260101&to=2026-01-04&at=2026-01-25",
            "/things?from=20260104&to=2026-01-05&at=2026-01-25",
        ]

    def test_a_window_that_is_no_duration_names_the_key(self, make_adapter: MakeAdapter) -> None:
        spec = table(incremental=Incremental.from_keys(cursor="at", window_s="{days} days"))
        with pytest.raises(ConfigError, match=r"api\.things: incremental\.window: "):
            make_adapter(spec, options={"days": "many"}).plan("things", Read())

    def test_a_cursor_in_the_future_is_one_window(
        self, api: FaultServer, make_adapter: MakeAdapter, january: FixedClock
    ) -> None:
        self.read_windows(api, make_adapter, january, **{"": "2026-03-01"})
        assert api.request_targets[0] == "/things?from=2026-03-01&to=2026-01-26&page=1"


@pytest.mark.parametrize(
    ("cursor", "column_type", "sent"),
    [
        ("42", "", 42),
        ("1.5", "", 1.5),
        ("42", "varchar", "42"),
        ("0042", "", "0042"),
        ("1.50", "", "1.50"),
        ("2026-01-01T00:00:00Z", "", "2026-01-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_cursor_alone_in_a_body_keeps_its_type(
    api: FaultServer, make_adapter: MakeAdapter, cursor: str, column_type: str, sent: object, is_first: bool
) -> None:
    api.serve("POST /things", MockResponse.json([]))
    columns = (ColumnDef("at", column_type),) if column_type else ()
    incremental = Incremental("at", start=cursor if is_first else "7")
    spec = table(method="POST", body={"since": "{cursor}"}, incremental=incremental, columns=columns)
    list(make_adapter(spec).pages("things", Read(since={} if is_first else {"": cursor})))
    assert api.requests[0].json()["since"] == sent
