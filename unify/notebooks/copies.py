"""The executed copies that are kept in the home folder, and pages of HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unify.config.settings import create_private_folder
from unify.errors import FileError
from unify.fs.durable import atomic_write

if TYPE_CHECKING:
    from nbformat import NotebookNode

MAX_COPIES = 20  # of one notebook; each has the notebook's outputs
_OTHER_CHARACTERS = re.compile(r"[^\w.-]+")


def keep_copy(notebook: NotebookNode, folder: Path, name: str, now: datetime) -> Path:
    """Write the executed notebook to ``folder/NAME/TIME.ipynb``, remove the oldest, and return the path."""
    import nbformat

    place = folder / (_OTHER_CHARACTERS.sub("_", name).strip(".") or "notebook")
    create_private_folder(folder)
    create_private_folder(place)
    path = place / f"{now.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%f}Z.ipynb"
    with _write_errors(path):
        atomic_write(path, nbformat.writes(notebook).encode("utf-8"))
        for old in sorted(place.glob("*.ipynb"))[:-MAX_COPIES]:
            old.unlink(missing_ok=True)
    return path


def write_html(notebook: NotebookNode, path: Path, title: str) -> None:
    """Write the notebook with its outputs as a page of HTML that needs no other file. Raises FileError."""
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter(template_name="lab", embed_images=True).from_notebook_node(
        notebook, {"metadata": {"name": title}}
    )
    temporary = path.with_name(f".{path.name}.new")
    with _write_errors(path):
        temporary.write_text(text, "utf-8")  # with the modes of a file of the user, for a web server
        temporary.replace(path)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror}") from error
