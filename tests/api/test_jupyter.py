"""The magics of notebooks, in an IPython of this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output
from traitlets.config import Config

from tests.support.command import InProcessCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop
from unify.api import jupyter
from unify.api.jupyter import CellError

SPEC = SPEC_WITHOUT_TOKEN + "  - {name: orders, request: GET /orders, key: id}\n"


class Notebook:
    """Runs cells; ``notes`` are the notes below the last one."""

    def __init__(self) -> None:
        config = Config(HistoryManager={"enabled": False})
        InteractiveShell.clear_instance()
        self.shell = InteractiveShell.instance(config=config)
        self.notes: list[str] = []
        self.run("%load_ext unify")

    def run(self, cell: str) -> object:
        """Return the result of a cell. Raises what the cell raises."""
        with capture_output() as captured:
            outcome = self.shell.run_cell(cell, store_history=False)
        self.notes = [one.data["text/plain"] for one in captured.outputs if isinstance(one, RichOutput)]
        outcome.raise_error()
        return outcome.result


@pytest.fixture(scope="module")
def opened(module_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNIFY_HOME", str(module_home))
        patch.setenv("UNIFY_CONNECTIONS", str(module_home / "connections.yaml"))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        notebook = Notebook()
        notebook.run("%unify select 1")  # opens the connection, in this environment
        yield notebook


def test_a_line_gives_a_frame(opened: Notebook) -> None:
    frame = opened.run("%unify select range as n from range(3)")
    assert list(frame["n"]) == [0, 1, 2]  # type: ignore[index]
    assert opened.run("%unify create or replace table city as select 1 as id") is None
    assert opened.notes == ["1 row written"]


def test_a_cell_assigns_a_frame(opened: Notebook) -> None:
    assert opened.run("%%unify found <<\ncreate or replace table t as select 1 as a;\nfrom t") is None
    assert opened.notes == ["found: 1 row, 1 column"]
    assert opened.run("list(found['a'])") == [1]
    opened.run("%unify other << select 2 as b")
    assert opened.run("int(other['b'][0])") == 2


def test_variables_are_bound_and_never_inserted(opened: Notebook) -> None:
    opened.run("name = \"it's\"; low = 1; x = '2'")
    frame = opened.run("%unify select :name as name, range as n from range(3) where range >= :low")
    assert list(frame["name"]) == ["it's"] * 2  # type: ignore[index]
    assert opened.run("%unify select [1, 2, 3][low:2] as part from (select 1 as low)") is not None
    opened.run("%unify $kept = 5")
    kept = opened.run("%unify select $kept as n, '{x}' as text")
    assert (kept["n"][0], kept["text"][0]) == (5, "{x}")  # type: ignore[index]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%unify select * from nosuch", "table nosuch does not exist"),
        ("%unify", "there is no statement here"),
        ("%unify a << create or replace table u as select 1 as a", "a <<: the statement has no rows"),
        ("%unify run 'x.ipynb'", "scripts and notebooks are run by the shell"),
        ("%%unify\nselect 1;\nselekt 2", "syntax error"),
    ],
)
def test_an_error_is_a_message_without_a_traceback(opened: Notebook, cell: str, message: str) -> None:
    with pytest.raises(CellError, match=message) as caught:
        opened.run(cell)
    assert caught.value._render_traceback_() == caught.value.message.splitlines()
    assert caught.value.__cause__ is None


@pytest.mark.process
@pytest.mark.socket
def test_a_table_is_loaded_with_progress_and_its_age(
    home: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = InProcessCommand(home)
    connect_shop(command, api, SPEC)
    for name in ("UNIFY_HOME", "UNIFY_SPECS"):
        monkeypatch.setenv(name, command.environment[name])
    monkeypatch.setenv("IPYTHONDIR", str(home / "ipython"))
    monkeypatch.chdir(home)
    monkeypatch.setattr(jupyter, "MIN_PROGRESS_INTERVAL_S", 0.0)
    api.serve("/orders", MockResponse.json([{"id": 1}, {"id": 2}]))
    notebook = Notebook()
    notebook.run("%unify orders << from shop.orders")
    assert notebook.notes[0].startswith("loading shop.orders: ")
    frame = notebook.run("%unify from shop.orders")
    assert notebook.notes[0].startswith("stored ")
    assert frame.attrs["unify_note"].startswith("stored ")  # type: ignore[attr-defined]
