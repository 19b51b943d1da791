"""Fifty connections of a hundred tables are as quick to list and to complete as one, each for itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores import fresh_home
from unify.adapters import outline, specfile
from unify.interpreter.sources import Sources
from unify.interpreter.state import State
from unify.language.parser import following
from unify.settings import Settings
from unify.shell.completing import offers
from unify.store import durable
from unify.store.lake import Lake
from unify.store.queue import Queue

TABLES = "base_url: http://127.0.0.1:9\ntables:\n" + "".join(
    f"  - {{name: table_{number}, description: Things of kind {number}, request: GET /things/{number},\n"
    f"     columns: {{id: bigint, thing_{number}_name: varchar}}}}\n"
    for number in range(100)
)


def _spec(number: int) -> str:
    return f"name: many{number}\n{TABLES}"


def connected(folder: Path, connections: int, adapters: int = 1) -> Settings:
    """A home with so many connections, each of one of the adapters, which have a hundred tables each."""
    folder.mkdir()
    for number in range(adapters):
        (folder / f"many{number}.yaml").write_text(_spec(number), encoding="utf-8")
    home = fresh_home(folder)
    home.connections.write_text(
        "".join(f"c{number}:\n  adapter: many{number % adapters}\n" for number in range(connections)),
        encoding="utf-8",
    )
    home.connections.chmod(0o600)
    return Settings(home.home, home.connections, specs=(folder,))


def taken_by(work: Callable[[], object]) -> float:
    """The least of some rounds, in seconds of this process alone."""
    seconds = []
    for _ in range(5):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def test_a_connection_costs_no_more_among_fifty(tmp_path: Path) -> None:
    seconds = []
    for connections in (1, 50):
        settings = connected(tmp_path / str(connections), connections)
        with Lake(settings) as lake, Queue(settings.queue) as queue:
            state = State(lake, queue, Sources(settings, {}, print))
            assert len(list(state.tables())) == connections * 100
            seconds.append(taken_by(lambda: list(state.tables())) / connections)  # noqa: B023

    assert seconds[1] <= 1.5 * seconds[0]


def test_completion_knows_all_five_thousand_tables(tmp_path: Path) -> None:
    settings = connected(tmp_path / "home", 50)
    with Lake(settings) as lake, Queue(settings.queue) as queue:
        names = State(lake, queue, Sources(settings, {}, print)).names()

    found = offers("select * from c49.table_99", "", names, following)

    assert [offer.text for offer in found] == ["table_99"]
    assert offers("select thg9", " from c7.table_99", names, following)[0].text == "thing_99_name"
    assert offers("select * from tb99", "", names, following)[0].text == "c0.table_99"


def test_fifty_specs_are_read_once_and_by_no_later_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = connected(tmp_path / "home", 50, adapters=50)
    monkeypatch.setattr(durable, "now_ns", lambda: 2**62)  # the specs were written long ago
    with Lake(settings) as lake, Queue(settings.queue) as queue:
        assert len(list(State(lake, queue, Sources(settings, {}, print)).tables())) == 5000
        outline._spec.cache_clear()
        outline._outline.cache_clear()
        monkeypatch.setattr(outline, "load_spec", lambda path: pytest.fail(f"{path} was read again"))
        state = State(lake, queue, Sources(settings, {}, print))

        assert len(list(state.tables())) == 5000
        assert len(state.names().tables["c49"]) == 100
        assert [found.state for found in state.connections()] == ["ok"] * 50


def test_finding_a_spec_reads_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = connected(tmp_path / "home", 3)
    monkeypatch.setattr(specfile, "known_specs", lambda _folders: pytest.fail("every spec was looked at"))

    assert len(Sources(settings, {}, print).tables("c2")) == 100
