"""The plan of a read in words, and its scopes. Nothing is sent for it."""

from __future__ import annotations

import pytest

from tests.support.fault_server import FaultServer
from tests.support.rest_tables import FixedClock, MakeAdapter, table
from unify.adapters.base import Read
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ForEach, Incremental
from unify.config.secrets import Secret
from unify.errors import SourceError

NOW = FixedClock(1_767_225_600.0)  # 2026-01-01T00:00:00Z


class TestDescription:
    def test_has_request_parameters_paging_and_rows(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        things = table(params={"state": "all"}, rows="items", headers={"X-Version": "2"})
        assert make_adapter(things).describe_read("things", Read()) == [
            f"GET {api.url}/things",
            "parameters: state=all, page=1",
            "headers: X-Version=2",
            "paging: {type: page, page_param: page}",
            "rows: items",
        ]
        assert api.requests == []

    def test_has_the_body_of_a_post(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        things = table(method="POST", body={"query": "a"}, paging=Paging("none"))
        lines = make_adapter(things).describe_read("things", Read())
        assert lines[0] == f"POST {api.url}/things"
        assert 'body: {"query":"a"}' in lines
        assert "paging: one request" in lines

    def test_hides_secrets(self, make_adapter: MakeAdapter) -> None:
        things = table(params={"key": "{key}"}, paging=Paging("none"))
        adapter = make_adapter(things, options={"key": Secret("s3cret/key")})
        assert "parameters: key=***" in adapter.describe_read("things", Read())

    @pytest.mark.parametrize(
        ("incremental", "stored", "expected"),
        [
            (Incremental("at"), None, "at from the beginning"),
            (Incremental("at", start="2025-01-01"), None, "at from 2025-01-01"),
            (
                Incremental("at", lookback_s=60.0),
                "2025-12-01T00:01:00Z",
                "at from 2025-12-01T00:00:00Z",
            ),
            (
                Incremental("at", order="desc"),
                "2025-12-01T00:00:00Z",
                "at from 2025-12-01T00:00:00Z, newest rows first, back to 2025-12-01T00:00:00Z",
            ),
            (Incremental("at", order="desc"), None, "at from the beginning, newest rows first"),
            (
                Incremental("at", window_s=864_000.0),
                "2025-12-07T00:00:00Z",
                "at from 2025-12-07T00:00:00Z until 2025-12-17T00:00:00Z, in windows of 10 days",
            ),
        ],
    )
    def test_has_the_incremental_window(
        self, make_adapter: MakeAdapter, incremental: Incremental, stored: str | None, expected: str
    ) -> None:
        adapter = make_adapter(table(incremental=incremental), clock=NOW)
        lines = adapter.describe_read("things", Read(since={"": stored} if stored else {}))
        assert f"incremental: {expected}" in lines

    def test_counts_the_scopes(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        windows = Incremental("at", window_s=864_000.0, start="2025-12-07T00:00:00Z")
        things = table(path="/x/{k}", for_each=ForEach(rows=({"k": "a"}, {"k": "b"})), incremental=windows)
        lines = make_adapter(things, clock=NOW).describe_read("things", Read())
        assert lines[0] == f"GET {api.url}/x/a"
        assert lines[-1] == "scopes: 6; this is the first"

    def test_without_parents_there_is_no_request(self, make_adapter: MakeAdapter) -> None:
        things = table(path="/x/{k}", for_each=ForEach("select k from other", tables=("other",)))
        adapter = make_adapter(things)
        assert adapter.describe_read("things", Read()) == ["no request: for_each has no rows"]
        assert adapter.first_request("things", Read()) is None

    def test_the_values_of_two_options_are_combined(self, make_adapter: MakeAdapter) -> None:
        each = ForEach(option=("a", "b"), column=("x", "y"), columns=("x", "y"))
        adapter = make_adapter(table(path="/{x}/{y}", for_each=each), options={"a": "1,2", "b": "u, v"})
        found = [scope.parent for scope in adapter.plan("things", Read()).scopes()]
        assert found == [{"x": x, "y": y} for x in ("1", "2") for y in ("u", "v")]

    def test_each_value_of_an_option_is_read_for_each_parent(self, make_adapter: MakeAdapter) -> None:
        each = ForEach(
            "select b from boards", option=("ids",), column=("k",), columns=("b", "k"), tables=("boards",)
        )
        adapter = make_adapter(table(path="/x/{b}/{k}", for_each=each), options={"ids": "1, 2"})
        scopes = list(adapter.plan("things", Read([{"b": "u"}, {"b": "v"}])).scopes())
        assert [scope.parent for scope in scopes] == [
            {"b": board, "k": value} for board in ("u", "v") for value in ("1", "2")
        ]
        assert list(adapter.plan("things", Read()).scopes()) == []

    @pytest.mark.parametrize(
        ("ids", "keys"), [("7, 9,,7", ['{"k":"7"}', '{"k":"9"}']), ("7", ['{"k":"7"}']), ("", []), (None, [])]
    )
    def test_the_values_of_an_option_are_parents(
        self, make_adapter: MakeAdapter, ids: str | None, keys: list[str]
    ) -> None:
        things = table(path="/x/{k}", for_each=ForEach(option=("ids",), column=("k",), columns=("k",)))
        plan = make_adapter(things, options={"ids": ids}, clock=NOW).plan("things", Read())
        assert [scope.key for scope in plan.scopes()] == keys

    def test_a_variable_without_a_value_is_an_error(self, make_adapter: MakeAdapter) -> None:
        things = table(path="/x/{k}", for_each=ForEach("select k from other", tables=("other",)))
        with pytest.raises(SourceError, match=r"\{k\}"):
            make_adapter(things).describe_read("things", Read([{"k": None}]))


def test_scopes_are_parents_times_windows_in_order(make_adapter: MakeAdapter) -> None:
    windows = Incremental("at", window_s=864_000.0, start="2025-12-13T00:00:00Z")
    things = table(path="/x/{k}", for_each=ForEach(rows=({"k": "a"}, {"k": "b"})), incremental=windows)
    plan = make_adapter(things, clock=NOW).plan("things", Read(since={'{"k":"b"}': "2025-12-31T00:00:00Z"}))
    assert [(scope.key, scope.window.cursor, scope.stop_cursor) for scope in plan.scopes()] == [
        ('{"k":"a"}', "2025-12-13T00:00:00Z", None),
        ('{"k":"a"}', "2025-12-23T00:00:00Z", None),
        ('{"k":"b"}', "2025-12-31T00:00:00Z", "2025-12-31T00:00:00Z"),
    ]
