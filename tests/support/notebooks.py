"""Notebooks as files."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


def make_notebook(*cells: str, parameters: str = "") -> NotebookNode:
    """Return a notebook with a title, a cell tagged ``parameters`` if given, and code cells."""
    tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
    notebook: NotebookNode = new_notebook(
        cells=[new_markdown_cell("# Report"), *tagged, *(new_code_cell(source) for source in cells)]
    )
    return notebook


def write_notebook(path: Path, *cells: str, parameters: str = "") -> Path:
    nbformat.write(make_notebook(*cells, parameters=parameters), path)
    return path


def outputs(path: Path) -> list[list[str]]:
    """Return the texts of the outputs of each code cell of an executed notebook."""
    notebook = nbformat.read(path, 4)
    return [
        [one.get("text") or one.get("data", {}).get("text/plain") or one["evalue"] for one in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
