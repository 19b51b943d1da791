"""LoadNotes: what the ledger says of a load beside its counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from unify.convert.stage import StageResult
from unify.model import DETECTED_PAGING_PREFIX
from unify.text import format_count

MAX_PAGING_NOTES = 3  # detected paging styles in the reason; parents may differ


GONE_STATUS = 410  # of a row of ``for_each`` that is deleted for good; 404 may be a missing permission


class LoadNotes:
    """Collects the notes of a load. Called from any thread of the adapter.

    ``rows_location``  where the adapter found the rows in the responses.
    ``deletions``      keys of rows that the API has deleted: texts by column.
    ``gone_scopes``    rows of ``for_each`` that the API has deleted.
    ``resumed``        what an earlier attempt has read: ``9,999 of 10,000 parents``.
    """

    def __init__(self) -> None:
        self.rows_location = ""
        self.resumed = ""
        self.deletions: list[Mapping[str, str]] = []
        self.gone_scopes: dict[str, None] = {}
        self._lock = threading.Lock()
        self._skipped_by_status: Counter[int] = Counter()
        self._detected_paging: dict[str, None] = {}
        self._adapter_notes: dict[str, None] = {}
        self._stage_notes: list[str] = []

    def add_skipped_request(self, status: int) -> None:
        with self._lock:
            self._skipped_by_status[status] += 1

    def add_deletions(self, keys: Sequence[Mapping[str, str]]) -> None:
        self.deletions += keys

    def add_gone_scope(self, scope: str) -> None:
        self.gone_scopes[scope] = None

    def add_detected_paging(self, paging: str) -> None:
        with self._lock:
            self._detected_paging[paging] = None

    def add_note(self, text: str) -> None:
        with self._lock:
            self._adapter_notes[text] = None

    def set_rows_location(self, location: str) -> None:
        self.rows_location = location

    def add_stage_result(self, staged: StageResult, cursor: str) -> None:
        """Add what the conversion says of the rows."""
        if staged.rows_without_cursor:
            self._stage_notes.append(
                f"{format_count(staged.rows_without_cursor, 'row')} without a usable {cursor}"
            )
        if staged.rows_in_future:
            self._stage_notes.append(
                f"{format_count(staged.rows_in_future, 'row')} with {cursor} in the future (up to "
                f"{staged.latest_future_cursor}), which later loads do not use as their start; "
                "set incremental.allow_future: true to use them"
            )
        self._stage_notes += staged.notes

    def texts(self) -> tuple[str, ...]:
        """Return the notes; skipped requests first, by frequency: ``2 requests skipped (status 404)``."""
        with self._lock:
            skipped = [
                f"{format_count(number, 'request')} skipped (status {status})"
                for status, number in self._skipped_by_status.most_common()
            ]
            paging = [
                f"{DETECTED_PAGING_PREFIX}: {text}" for text in list(self._detected_paging)[:MAX_PAGING_NOTES]
            ]
            resumed = [f"resumed after {self.resumed}"] if self.resumed else []
            return (*skipped, *self._stage_notes, *paging, *self._adapter_notes, *resumed)
