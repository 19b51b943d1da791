"""``watch SELECT …`` without a target: the changes of a result as lines, until Ctrl-C."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from unify.fs.durable import remove_tree
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Watcher
from unify.interpreter.watching.result_files import ResultFiles
from unify.interpreter.watching.watch_runner import STORED_ROWS
from unify.lake.history.changed_tables import newest_snapshot
from unify.lake.lake import Lake
from unify.language.commands import WatchRows
from unify.text import format_count

LOOK_INTERVAL_S = 0.5  # between two checks whether the lake has changed; one takes 0.1 ms
_MARKS = {"insert": "+", "update": "~", "delete": "-"}


class ShownChanges:
    """Yields a line for each changed row: + inserted, - deleted, ~ updated, and the row as JSON.

    ``wait``  waits for a number of seconds.
    """

    def __init__(self, query: QueryRunner, lake: Lake, watcher: Watcher, cache: Path) -> None:
        self._query = query
        self._lake = lake
        self._watcher = watcher
        self._cache = cache
        self._wait = threading.Event().wait

    def lines(self, command: WatchRows, max_age: MaxAge) -> Iterator[str]:
        """Yield the changes from now on. Raises QueryError for a SELECT that cannot be run or compared."""
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._cache, prefix="watch-"))
        files, version = ResultFiles(self._lake, folder), 1
        try:
            snapshot = newest_snapshot(self._lake)
            rows = self._write(files, command, version, max_age)
            shown = f"{format_count(rows, 'row')} now; changes are shown as they come (Ctrl-C ends)"
            self._watcher.notice(shown)
            waited_s = 0.0
            while True:
                self._wait(LOOK_INTERVAL_S)
                waited_s += LOOK_INTERVAL_S
                is_due = command.every_s is not None and waited_s >= command.every_s
                newest = newest_snapshot(self._lake)
                if not is_due and newest == snapshot:
                    continue
                snapshot, waited_s = newest, 0.0 if is_due else waited_s
                rows = self._write(files, command, version + 1, max_age if is_due else STORED_ROWS)
                counts = files.compare(version, version + 1, command.key)
                version += 1
                if counts.total and (command.condition is None or command.condition.holds(rows)):
                    for batch in files.read_changes(version):
                        yield from (f"{_MARKS[change]} {row}" for change, row in batch)
                files.remove_others({version}, ())
        except KeyboardInterrupt:
            return
        finally:
            remove_tree(folder)

    def _write(self, files: ResultFiles, command: WatchRows, version: int, max_age: MaxAge) -> int:
        bound, _ = self._query.prepare(command.source, max_age)
        rows = files.write(bound, version)
        files.check(version, command.key)
        return rows
