"""Listing and completion with fifty connections of one hundred tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.many_connections import create_home_with_connections
from unify.adapters.spec import loader
from unify.fs import durable
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.state import State
from unify.lake.lake import Lake
from unify.language.parser import expected_next
from unify.queue.queue import Queue
from unify.shell.completer import find_completions


def least_cpu_s(work: Callable[[], object]) -> float:
    """Return the shortest of five rounds, in seconds of processor time."""
    seconds = []
    for _ in range(5):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def test_the_time_per_connection_is_the_same_with_fifty(tmp_path: Path) -> None:
    seconds = []
    for connections in (1, 50):
        settings = create_home_with_connections(tmp_path / str(connections), connections)
        with Lake(settings) as lake, Queue(settings.queue) as queue:
            state = State(lake, queue, ConnectionCatalog(settings, {}, print))
            assert len(list(state.table_states())) == connections * 100
            seconds.append(least_cpu_s(lambda: list(state.table_states())) / connections)  # noqa: B023

    assert seconds[1] <= 1.5 * seconds[0]


def test_completion_offers_all_five_thousand_tables(tmp_path: Path) -> None:
    settings = create_home_with_connections(tmp_path / "home", 50)
    with Lake(settings) as lake, Queue(settings.queue) as queue:
        names = State(lake, queue, ConnectionCatalog(settings, {}, print)).names()

    found = find_completions("select * from c49.table_99", "", names, expected_next)

    assert [offer.text for offer in found] == ["table_99"]
    assert (
        find_completions("select thg9", " from c7.table_99", names, expected_next)[0].text == "thing_99_name"
    )
    assert find_completions("select * from tb99", "", names, expected_next)[0].text == "c0.table_99"


def test_fifty_specs_are_read_once_and_cached_for_later_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = create_home_with_connections(tmp_path / "home", 50, adapters=50)
    monkeypatch.setattr(durable, "new_files_since_ns", lambda: 2**62)  # the specs were written long ago
    with Lake(settings) as lake, Queue(settings.queue) as queue:
        assert len(list(State(lake, queue, ConnectionCatalog(settings, {}, print)).table_states())) == 5000
        loader._cached_spec.cache_clear()
        loader._cached_summary.cache_clear()
        monkeypatch.setattr(loader, "load_spec", lambda path: pytest.fail(f"{path} was read again"))
        state = State(lake, queue, ConnectionCatalog(settings, {}, print))

        assert len(list(state.table_states())) == 5000
        assert len(state.names().tables["c49"]) == 100
        assert [found.state for found in state.connection_states()] == ["ok"] * 50


def test_finding_a_spec_lists_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = create_home_with_connections(tmp_path / "home", 3)
    monkeypatch.setattr(loader, "known_specs", lambda _folders: pytest.fail("every spec was looked at"))

    assert len(ConnectionCatalog(settings, {}, print).tables("c2")) == 100
