"""Runs a notebook in a kernel of its own, as ``run 'report.ipynb'`` does."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from unify.errors import FileError, Interrupted, QueryError, UsageError
from unify.notebooks.copies import keep_copy, write_html
from unify.notebooks.document import (
    Value,
    cell_place,
    describe_cell_error,
    inject_parameters,
    read_notebook,
)
from unify.text import format_count

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode

_PACKAGES = frozenset(("ipykernel", "IPython", "jupyter_client", "nbclient", "nbconvert", "nbformat"))


class NotebookRequest(Struct, frozen=True):
    """A notebook to run. All paths are absolute.

    ``values``       its parameters.
    ``html``         the page to write; None: none.
    ``copies``       the folder in which executed copies are kept.
    ``environment``  of the kernel, besides that of this process: the home and the connections.
    """

    path: Path
    copies: Path
    values: Mapping[str, Value] = {}
    html: Path | None = None
    environment: Mapping[str, str] = {}


def run_notebook(request: NotebookRequest) -> str:
    """Run all cells, keep the executed copy, write the page, and return what was done.

    The copy and the page are written after an error too: they show it.
    Raises FileError, UsageError; QueryError: a cell failed, with its number; Interrupted.
    """
    try:
        import nbclient  # noqa: F401 - whether the extra is installed
        import nbconvert  # noqa: F401
    except ModuleNotFoundError as error:
        raise _missing_package(error) from error
    started_at, started_s = datetime.now(UTC), time.monotonic()
    notebook = read_notebook(request.path)
    inject_parameters(notebook, request.values, request.path)
    with tempfile.TemporaryDirectory(prefix="unify-kernel-", ignore_cleanup_errors=True) as folder:
        client = _make_client(notebook, request, Path(folder))
        try:
            failure = _KernelRun(client, request).wait()
        finally:
            copy = keep_copy(notebook, request.copies, request.path.stem, started_at)
    if request.html is not None:
        write_html(notebook, request.html, request.path.stem)
    if failure:
        raise QueryError(f"{request.path}: {failure}\nexecuted copy: {copy}")
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    written = request.html or copy
    seconds = time.monotonic() - started_s
    return f"{request.path.name}: {format_count(cells, 'cell')} run in {seconds:.1f} s, written to {written}"


def _make_client(notebook: NotebookNode, request: NotebookRequest, folder: Path) -> NotebookClient:
    """Return the client of a kernel, which listens on sockets in ``folder`` and on no port.

    Raises FileError if the kernel is not installed.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from nbclient import NotebookClient
    from traitlets.config import Config

    name = notebook.metadata.get("kernelspec", {}).get("name", "python3")
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel as error:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        raise FileError(
            f"{request.path}: its kernel {name} is not installed (installed: {known}); "
            "python3 comes with pip install 'unify-sql[jupyter]'"
        ) from error
    return NotebookClient(
        notebook,
        timeout=None,
        kernel_name=name,
        resources={"metadata": {"path": os.fspath(request.path.parent)}},
        config=Config(
            KernelManager={"transport": "ipc", "connection_file": os.fspath(folder / "kernel.json")}
        ),
    )


class _KernelRun:
    """A run in a thread with an event loop of its own: nbclient would replace the handlers of signals."""

    def __init__(self, client: NotebookClient, request: NotebookRequest) -> None:
        self._client = client
        self._environment = {**os.environ, **request.environment}
        self._position = 0  # of the cell that runs
        self._failure = ""
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="notebook", daemon=True)
        client.on_cell_start = self._note_cell

    def wait(self) -> str:
        """Return the error of a cell, "" without one. Raises Interrupted, QueryError."""
        self._thread.start()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join()
            raise Interrupted("interrupted; the kernel of the notebook has ended") from None
        if self._error is not None:
            raise self._error
        return self._failure

    def _note_cell(self, cell: NotebookNode, cell_index: int) -> None:
        del cell
        self._position = cell_index

    def _cancel(self) -> None:
        self._client.shutdown_kernel = "immediate"
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        try:
            self._task = self._loop.create_task(self._client.async_execute(env=self._environment))
            self._loop.run_until_complete(self._task)
        except CellExecutionError as error:
            self._failure = describe_cell_error(self._client.nb, self._position, error)
        except DeadKernelError:
            place = cell_place(self._client.nb, self._position)
            self._failure = f"{place}: the kernel has ended by itself (out of memory?)"
        except asyncio.CancelledError:
            self._failure = "interrupted"
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
        finally:
            self._loop.close()


def _missing_package(error: ModuleNotFoundError) -> Exception:
    if (error.name or "").partition(".")[0] not in _PACKAGES:
        return error
    return UsageError(
        f"notebooks need the packages nbclient, nbconvert and ipykernel ({error.name} is missing): "
        "pip install 'unify-sql[jupyter]'"
    )
