"""Fifty connections of a hundred tables are as quick to list and to complete as one, each for itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stores import fresh_home
from unify.adapters import specfile
from unify.interpreter.sources import Sources
from unify.interpreter.state import State
from unify.language.parser import following
from unify.settings import Settings
from unify.shell.completing import offers
from unify.store.lake import Lake
from unify.store.queue import Queue

SPEC = "name: many\nbase_url: http://127.0.0.1:9\ntables:\n" + "".join(
    f"  - {{name: table_{number}, description: Things of kind {number}, request: GET /things/{number},\n"
    f"     columns: {{id: bigint, thing_{number}_name: varchar}}}}\n"
    for number in range(100)
)


def connected(folder: Path, connections: int) -> Settings:
    """A home with so many connections, all of one adapter of a hundred tables."""
    folder.mkdir()
    (folder / "many.yaml").write_text(SPEC, encoding="utf-8")
    home = fresh_home(folder)
    home.connections.write_text(
        "".join(f"c{number}:\n  adapter: many\n" for number in range(connections)), encoding="utf-8"
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


def test_finding_a_spec_reads_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = connected(tmp_path / "home", 3)
    monkeypatch.setattr(specfile, "known_specs", lambda _folders: pytest.fail("every spec was looked at"))

    assert len(Sources(settings, {}, print).tables("c2")) == 100
