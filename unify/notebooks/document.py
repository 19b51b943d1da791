"""Notebooks as files: read, given parameters, and the cell of an error."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unify.errors import FileError, UsageError

if TYPE_CHECKING:
    from nbclient.exceptions import CellExecutionError
    from nbformat import NotebookNode

PARAMETERS_TAG = "parameters"  # of the cell with default values, as papermill has it
INJECTED_TAG = "injected-parameters"
MAX_ERROR_CHARS = 2000
OWN_ERROR = "CellError"  # of the magic %unify: its message is one of Unify
_ERROR_LINE = re.compile(
    r"(?:Cell )?In\[\d+\], line (\d+)|File <[^>]*>, line (\d+)|^\s*----> (\d+)", re.MULTILINE
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Value = str | int | float | bool | None


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook of any version of the format. Raises FileError."""
    import nbformat
    from nbformat.reader import NotJSONError

    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 (byte {error.start:,})") from error
    try:
        notebook: NotebookNode = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (NotJSONError, nbformat.ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise FileError(f"{path}: not a Jupyter notebook: {reason}") from error
    return notebook


def inject_parameters(notebook: NotebookNode, values: Mapping[str, Value], path: Path) -> None:
    """Add a cell that assigns ``values``: after the cell tagged ``parameters``, else before all others.

    Raises UsageError: a name is not one of Python, or the notebook is not in Python.
    """
    if not values:
        return
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    if language.lower() != "python":
        raise UsageError(f"{path}: parameters (with) need a notebook in Python; this one is in {language}")
    for name in values:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise UsageError(f"{path}: {name} cannot be a parameter; it is not a name in Python")
    from nbformat.v4 import new_code_cell

    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    cell = new_code_cell(source, metadata={"tags": [INJECTED_TAG]})
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        cell.pop("id", None)
    notebook.cells.insert(_parameters_position(notebook), cell)


def _parameters_position(notebook: NotebookNode) -> int:
    for position, cell in enumerate(notebook.cells):
        if PARAMETERS_TAG in cell.metadata.get("tags", []):
            return position + 1
    return 0


def cell_place(notebook: NotebookNode, position: int) -> str:
    """Return ``cell 3``, counted from 1 as in the file: the injected cell does not count."""
    is_injected = [INJECTED_TAG in cell.metadata.get("tags", []) for cell in notebook.cells[: position + 1]]
    return "the cell of parameters" if is_injected[-1] else f"cell {is_injected.count(False)}"


def describe_cell_error(notebook: NotebookNode, position: int, error: CellExecutionError) -> str:
    """Return ``cell 3, line 2: NameError: name 'x' is not defined``."""
    place, line = cell_place(notebook, position), _error_line(error.traceback)
    where = f"{place}, line {line}" if line else place
    has_name = error.ename != OWN_ERROR or not error.evalue
    reason = ": ".join(filter(None, [error.ename if has_name else "", error.evalue]))
    return f"{where}: {reason[:MAX_ERROR_CHARS]}"


def _error_line(traceback: str) -> str:
    """Return the line in the cell, "" if the traceback does not tell it: its first frame is the cell's."""
    match = _ERROR_LINE.search(_COLOUR.sub("", traceback))
    return next(filter(None, match.groups()), "") if match is not None else ""
