"""Sends the changes of a watch: to an address, a file, a mail, a table.

A delivery is sent at least once, in order: what follows waits until it was sent, or has failed for a day.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from unify.adapters.http.webhook import post_signed
from unify.engine.connection import quote_literal
from unify.errors import FileError, UnifyError
from unify.fs.failpoints import failpoint
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.watching.result_files import CHANGE, ResultFiles
from unify.interpreter.webhook_secrets import resolve_secret
from unify.language.commands import ExportMail, ExportRows
from unify.model import TableName, WatchTarget
from unify.queue.queue import Queue
from unify.queue.watches import ChangeCounts, Delivery, DeliveryState, Watch
from unify.redaction import Redactor
from unify.text import format_count

GIVE_UP_AFTER = timedelta(days=1)
# Before the second and later attempts; the last one repeats.
TAIL_BYTES = 65_536  # read at once of the end of a file
RETRY_WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
SendRows = Callable[[ExportRows], object]
SendMail = Callable[[ExportMail], object]


class Deliverer:
    """Sends the deliveries of watches.

    ``send_rows``  appends rows to a table of a database or store.
    ``send_mail``  sends rows as a mail.
    """

    def __init__(
        self,
        queue: Queue,
        connections: ConnectionCatalog,
        home: Path,
        *,
        send_rows: SendRows,
        send_mail: SendMail,
        get_redactor: Callable[[], Redactor],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queue = queue
        self._connections = connections
        self._home = home
        self._send_rows = send_rows
        self._send_mail = send_mail
        self._get_redactor = get_redactor
        self._now = now

    def deliver(self, watch: Watch, files: ResultFiles) -> Sequence[Delivery]:
        """Send what is pending and due; return what was sent.

        The first delivery that fails is tried again later, by the daemon; then its error is raised.
        """
        sent: list[Delivery] = []
        for delivery in self._queue.watches.pending(watch):
            if delivery.next_at is not None and delivery.next_at > self._now():
                self._queue.scripts.trigger(watch.tenant, watch.script_name, delivery.next_at)
                break
            try:
                self._send(watch, delivery, files)
            except UnifyError as error:
                if self._record_failure(watch, delivery, self._get_redactor().redact(error.message)):
                    continue
                raise
            failpoint("watch.sent")
            self._queue.watches.end_delivery(watch, delivery, DeliveryState.DELIVERED, self._now())
            sent.append(delivery)
        return sent

    def _record_failure(self, watch: Watch, delivery: Delivery, error: str) -> bool:
        """Record a failed attempt; return whether the delivery is given up."""
        now = self._now()
        is_last = delivery.attempts >= len(RETRY_WAITS)  # a computer may have been off for the day
        if is_last and now - delivery.created_at >= GIVE_UP_AFTER:
            self._queue.watches.end_delivery(watch, delivery, DeliveryState.DEAD, now, error=error)
            return True
        next_at = now + RETRY_WAITS[min(delivery.attempts, len(RETRY_WAITS) - 1)]
        self._queue.watches.end_delivery(
            watch, delivery, DeliveryState.PENDING, now, next_at=next_at, error=error
        )
        self._queue.scripts.trigger(watch.tenant, watch.script_name, next_at)
        return False

    def _send(self, watch: Watch, delivery: Delivery, files: ResultFiles) -> None:
        target = watch.definition.target
        match target.kind:
            case "address":
                self._post(watch, target, delivery, files)
            case "file":
                _append(Path(watch.definition.folder) / target.place, watch, delivery, files)
            case "mail":
                subject = f"{watch.name}: {changes_text(delivery.counts)}"
                self._send_mail(
                    ExportMail(_changes_sql(watch, delivery, files), target.place, target.to, subject, "html")
                )
            case "table":
                self._send_rows(
                    ExportRows(_changes_sql(watch, delivery, files), split_place(target.place), "append")
                )

    def _post(self, watch: Watch, target: WatchTarget, delivery: Delivery, files: ResultFiles) -> None:
        secret = resolve_secret(target.secret, self._connections.environment, self._home)
        id = f"{watch.name}/{delivery.sequence}"
        for part, batch in enumerate(files.read_changes(delivery.version), 1):
            now = self._now()
            changes = [{"change": change, "row": msgspec.Raw(row.encode())} for change, row in batch]
            body = {
                "type": "watch.changed",
                "timestamp": now.isoformat(),
                "data": {**_outline(watch, delivery), "part": part, "changes": changes},
            }
            part_id = id if part == 1 else f"{id}.{part}"
            post_signed(target.place, msgspec.json.encode(body), id=part_id, secret=secret, now=now)


def changes_text(counts: ChangeCounts) -> str:
    """``2 rows inserted, 1 deleted``; "no change"."""
    verbs = (("inserted", counts.inserted), ("updated", counts.updated), ("deleted", counts.deleted))
    changed = [(verb, count) for verb, count in verbs if count]
    if not changed:
        return "no change"
    (verb, count), *others = changed
    return ", ".join([f"{format_count(count, 'row')} {verb}", *(f"{more:,} {done}" for done, more in others)])


def split_place(place: str) -> TableName:
    """The table of a target: ``shop.sales.out`` is ``sales.out`` of ``shop``."""
    connection, _, table = place.partition(".")
    return TableName(connection, table)


def _outline(watch: Watch, delivery: Delivery) -> dict[str, object]:
    counts = delivery.counts
    outline: dict[str, object] = {
        "watch": watch.name,
        "sequence": delivery.sequence,
        "inserted": counts.inserted,
        "updated": counts.updated,
        "deleted": counts.deleted,
    }
    return {**outline, "note": counts.note} if counts.note else outline


def _changes_sql(watch: Watch, delivery: Delivery, files: ResultFiles) -> str:
    """SQL of the changes; ``_delivery`` tells a repeated delivery."""
    id = quote_literal(f"{watch.name}/{delivery.sequence}")
    path = quote_literal(str(files.changes(delivery.version)))
    return f"SELECT {id} AS _delivery, * FROM read_parquet({path}) ORDER BY {CHANGE}"


def _append(path: Path, watch: Watch, delivery: Delivery, files: ResultFiles) -> None:
    """Append a line of JSON for each change, and make them durable."""
    head = {"watch": watch.name, "sequence": delivery.sequence}
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "ab") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # another watch may append to it
                _end_last_line(descriptor, msgspec.json.encode(head).removesuffix(b"}") + b",")
            for batch in files.read_changes(delivery.version):
                for change, row in batch:
                    line = {**head, "change": change, "row": msgspec.Raw(row.encode())}
                    file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror})") from error


def _end_last_line(descriptor: int, head: bytes) -> None:
    """Remove a line that an attempt of this delivery left incomplete; end any other with a newline."""
    size = os.fstat(descriptor).st_size
    tail = b""
    while size > len(tail) and b"\n" not in tail:
        start = max(0, size - len(tail) - TAIL_BYTES)
        tail = os.pread(descriptor, size - len(tail) - start, start) + tail
    last = tail.rpartition(b"\n")[2]
    if last and (last.startswith(head) or head.startswith(last)):
        os.ftruncate(descriptor, size - len(last))
    elif last:
        os.write(descriptor, b"\n")
