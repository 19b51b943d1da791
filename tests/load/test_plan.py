"""How a job is loaded: full, incremental, merge or replace."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from tests.support.stores import TABLE
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.table_keys import Incremental, RefreshSpec, RefreshStrategy
from unify.load.plan import LoadPlan, make_load_plan
from unify.model import Action, LoadRecord


def table(
    strategy: RefreshStrategy | None = None, *, incremental: bool = True, key: tuple[str, ...] = ("id",)
) -> TableSpec:
    state = Incremental("updated_at") if incremental else None
    return TableSpec(
        "pulls", ("GET /pulls",), key=key, incremental=state, refresh=RefreshSpec(strategy=strategy)
    )


NOW = datetime(2026, 6, 1, tzinfo=UTC)
LAST = LoadRecord(1, "u-1", "load", TABLE, "success", cursor={"": "2026-01-01T00:00:00Z"})


class TestLoadPlan:
    @pytest.mark.parametrize("action", [Action.LOAD, Action.RELOAD])
    def test_a_load_and_a_reload_read_everything(self, action: Action) -> None:
        plan = make_load_plan(action, table(), LAST, (), now=NOW)
        assert (plan.strategy, plan.read.since, plan.based_on) == ("reload", {}, "")
        assert plan.cursor_column == "updated_at"

    def test_a_refresh_reads_changes_and_merges_them(self) -> None:
        plan = make_load_plan(Action.REFRESH, table(), LAST, (), now=NOW)
        assert (plan.strategy, plan.read.since, plan.based_on) == ("merge", LAST.cursor, "u-1")

    def test_a_refresh_of_a_table_never_loaded_reads_everything(self) -> None:
        assert make_load_plan(Action.REFRESH, table(), None, (), now=NOW) == make_load_plan(
            Action.LOAD, table(), None, (), now=NOW
        )

    def test_without_key_or_cursor_a_refresh_replaces(self) -> None:
        for spec in (table(key=()), table(incremental=False)):
            plan = make_load_plan(Action.REFRESH, spec, LAST, (), now=NOW)
            assert (plan.strategy, plan.read.since, plan.based_on) == ("reload", {}, "")

    @pytest.mark.parametrize(
        ("strategy", "builds_on"),
        [("append", True), ("merge", True), ("merge_delete", False), ("reload", False)],
    )
    def test_only_appends_and_merges_start_from_the_cursor(
        self, strategy: RefreshStrategy, builds_on: bool
    ) -> None:
        plan = make_load_plan(Action.REFRESH, table(strategy), LAST, (), now=NOW)
        assert plan.strategy == strategy
        assert (plan.read.since == LAST.cursor, bool(plan.based_on)) == (builds_on, builds_on)

    def test_cursors_never_decrease_and_scopes_without_rows_keep_theirs(self) -> None:
        plan = LoadPlan(
            "merge",
            make_load_plan(Action.LOAD, table(), None, (), now=NOW).read,
            stored_cursors={"a": "10", "b": "10"},
        )
        assert plan.next_cursors({"a": "9", "c": "1"}) == {"a": "10", "b": "10", "c": "1"}
        assert plan.next_cursors({"b": "11"}) == {"a": "10", "b": "11"}

    @pytest.mark.parametrize("text", ["nan", "Infinity", "-inf", "never", ""])
    def test_an_unusable_text_never_replaces_a_cursor(self, text: str) -> None:
        plan = LoadPlan(
            "merge", make_load_plan(Action.LOAD, table(), None, (), now=NOW).read, stored_cursors={"": "10"}
        )
        assert plan.next_cursors({"": text}) == {"": "10"}

    @pytest.mark.parametrize(
        "text", ["2099-12-31", "Thu, 31 Dec 2099 00:00:00 GMT", "/Date(4102358400000)/", "4102358400"]
    )
    def test_no_load_starts_from_a_cursor_in_the_future(self, text: str) -> None:
        last = replace(LAST, cursor={"": text, "b": "2026-01-01"})
        plan = make_load_plan(Action.REFRESH, table(), last, (), now=NOW)
        assert (plan.read.since, plan.stored_cursors) == ({"b": "2026-01-01"}, {"b": "2026-01-01"})

    def test_an_increasing_number_is_used_as_cursor(self) -> None:
        spec = replace(table(), incremental=Incremental("id"))
        plan = make_load_plan(Action.REFRESH, spec, replace(LAST, cursor={"": "4102358400"}), (), now=NOW)
        assert plan.read.since == {"": "4102358400"}

    def test_a_future_cursor_is_used_if_the_spec_allows_it(self) -> None:
        spec = replace(table(), incremental=Incremental("updated_at", allow_future=True))
        plan = make_load_plan(Action.REFRESH, spec, replace(LAST, cursor={"": "2099-12-31"}), (), now=NOW)
        assert (plan.read.since, plan.cursor_limit) == ({"": "2099-12-31"}, None)
