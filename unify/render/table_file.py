"""``-o FILE.parquet`` and ``-o FILE.xlsx``: the rows of one SELECT with their types."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import NoReturn

from unify.errors import UnifyError, UsageError
from unify.fs.durable import FileAttributes
from unify.fs.temporary_files import (
    keep_at_termination,
    lock_temporary,
    remove_at_termination,
    remove_leftovers,
    temporary_path,
)
from unify.render.formats.options import OutputOptions
from unify.render.output import Output


class TableFileOutput(Output):
    """``export`` writes the rows into a temporary folder beside FILE; close() replaces FILE.

    ``save_each_result``  for the prompt: the rows replace FILE when their statement ends.
    """

    def __init__(self, path: Path, options: OutputOptions, *, save_each_result: bool = False) -> None:
        super().__init__(io.StringIO(), "csv", options, colour=False)
        self.path = path
        self.save_each_result = save_each_result
        self._has_select = False
        self._folder: Path | None = None  # where the rows are until close()
        self._descriptor = -1  # of the folder, which is locked

    def rewrite_statement(self, text: str) -> str:
        """Return the ``export`` statement of a SELECT. Raises UsageError for a second SELECT."""
        from unify.engine.connection import quote_literal
        from unify.language.statements import is_command
        from unify.language.tokenizer import is_select

        if is_command(text) or not is_select(text):
            return text
        if self._has_select:
            raise UsageError(f"{self.name} holds the rows of one SELECT; this is the second SELECT")
        self._has_select = True
        target = self.path if self.save_each_result else self._make_folder() / self.path.name
        return f"export (\n{text}\n) to {quote_literal(os.fspath(target))} overwrite"

    def rewrite_message(self, text: str) -> str:
        """Keep the message until close(), which replaces FILE."""
        if self._folder is None:
            return text
        self.closing_message = text.replace(str(self._folder), str(self.path.parent))
        return ""

    def close(self) -> None:
        """Replace FILE with the file that ``export`` has written, if any. Raises UnifyError."""
        if self._folder is None:
            return
        written = self._folder / self.path.name
        try:
            if written.exists():
                FileAttributes.of(self.path).apply(written)
                written.replace(self.path)
        except OSError as error:
            raise UnifyError(f"{self.name}: cannot be written: {error.strerror}") from error
        finally:
            self.discard()

    def discard(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(self._descriptor)
            keep_at_termination(folder)

    def _make_folder(self) -> Path:
        remove_leftovers(self.path.parent)
        self._folder = temporary_path(self.path)
        remove_at_termination(self._folder)
        self._folder.mkdir(mode=0o700)
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        lock_temporary(self._descriptor)
        return self._folder

    def _translate_write_errors(self) -> NoReturn:
        raise UsageError(f"{self.name} holds the rows of a SELECT only")


def open_table_file(path: Path, options: OutputOptions, *, save_each_result: bool) -> TableFileOutput:
    """Raises UsageError for each condition that would otherwise fail after the query."""
    if options.format is not None:
        raise UsageError(f"-o {options.path}: the suffix selects the format; remove --format")
    if options.max_rows is not None:
        raise UsageError(f"-o {options.path}: --max-rows is not supported here; use LIMIT in the SELECT")
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise UsageError(f"-o {options.path}: cannot be written: folder {path.parent} does not exist")
    if path.exists() and not path.is_file():
        raise UsageError(f"-o {options.path}: Parquet and Excel files are written to regular files only")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UsageError(f"-o {options.path}: cannot be written: Permission denied")
    from importlib.util import find_spec

    if path.suffix.lower() == ".xlsx" and find_spec("openpyxl") is None:
        raise UsageError(
            f"-o {options.path}: Excel files need the package openpyxl: pip install 'unify-sql[excel]'"
        )
    return TableFileOutput(path, options, save_each_result=save_each_result)
