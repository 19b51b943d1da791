"""Notebooks as files: reading, parameters, the place of an error, copies."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError

from tests.support.notebooks import make_notebook, write_notebook
from unify.errors import FileError, UsageError
from unify.notebooks.copies import MAX_COPIES, keep_copy, write_html
from unify.notebooks.document import describe_cell_error, inject_parameters, read_notebook

PATH = Path("report.ipynb")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"select 1", "not a Jupyter notebook"),
        (b"{}", "not a Jupyter notebook"),
        (b"[1]", "not a Jupyter notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}', "not a Jupyter notebook"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_notebook_is_an_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "report.ipynb"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"^{path}: {reason}"):
        read_notebook(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nosuch\.ipynb: cannot be read: No such file"):
        read_notebook(tmp_path / "nosuch.ipynb")


def test_parameters_follow_the_cell_of_default_values(tmp_path: Path) -> None:
    notebook = read_notebook(write_notebook(tmp_path / "a.ipynb", "print(x)", parameters="x = 1"))
    inject_parameters(notebook, {"x": "it's", "y": 2.5, "z": None, "ok": True}, PATH)
    sources = [cell.source for cell in notebook.cells]
    assert sources == ["# Report", "x = 1", 'x = "it\'s"\ny = 2.5\nz = None\nok = True', "print(x)"]


def test_parameters_come_first_without_such_a_cell() -> None:
    notebook = make_notebook("print(x)")
    inject_parameters(notebook, {"x": 1}, PATH)
    assert notebook.cells[0].source == "x = 1"


def test_a_parameter_needs_a_name_of_python_and_a_notebook_in_python() -> None:
    with pytest.raises(UsageError, match=r"report\.ipynb: class cannot be a parameter"):
        inject_parameters(make_notebook(), {"class": 1}, PATH)
    notebook = make_notebook()
    notebook.metadata.kernelspec = {"name": "ir", "display_name": "R", "language": "R"}
    with pytest.raises(UsageError, match="this one is in R"):
        inject_parameters(notebook, {"x": 1}, PATH)


@pytest.mark.parametrize(
    ("position", "traceback", "name", "expected"),
    [
        (2, "\x1b[36mCell\x1b[39m In[7], line 3\n", "NameError", "cell 2, line 3: NameError: bad"),
        (3, "nothing", "KeyError", "cell 3: KeyError: bad"),
        (0, "In[1], line 1", "TypeError", "the cell of parameters, line 1: TypeError: bad"),
        (2, "", "CellError", "cell 2: bad"),
    ],
)
def test_an_error_names_the_cell_of_the_file(position: int, traceback: str, name: str, expected: str) -> None:
    notebook = make_notebook("a", "b")
    inject_parameters(notebook, {"x": 1}, PATH)
    error = CellExecutionError(traceback, name, "bad")
    assert describe_cell_error(notebook, position, error) == expected


def test_copies_are_private_and_the_oldest_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    kept = [
        keep_copy(make_notebook("1"), folder, "a/b", NOON + timedelta(seconds=second))
        for second in range(MAX_COPIES + 2)
    ]
    assert sorted((folder / "a_b").iterdir()) == kept[2:]
    assert stat.S_IMODE(kept[-1].stat().st_mode) == 0o600
    assert kept[-1].name == "2026-03-01T12-00-21.000000Z.ipynb"


def test_a_page_needs_a_folder(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_html(make_notebook("1"), page, "report")
    assert "<title>report</title>" in page.read_text("utf-8")
    with pytest.raises(FileError, match=r"nosuch/report\.html: cannot be written: No such file"):
        write_html(make_notebook("1"), tmp_path / "nosuch" / "report.html", "report")
