"""Sessions of the page that ``unify ui`` opens: the owner of the home signs in without a password.

The address of the page contains a ticket, which is valid once and for a short time; the page exchanges it
for a token. Both are random, live in the memory of the server only, and are kept as hashes.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from unify.servers.tokens import SECRET_BYTES, UNKNOWN_NAME_HASH
from unify.servers.users import Role, User

TICKET_LIFETIME_S = 600.0
SESSION_LIFETIME_S = 12 * 3600.0
MAX_SESSIONS = 100
TOKEN_PREFIX = "session."
OWNER = User("owner", Role.WRITER, datetime.fromtimestamp(0, UTC), UNKNOWN_NAME_HASH, is_owner=True)


class OwnerSessions:
    """Tickets, and the tokens of sessions. Threads may share it. ``now_s`` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._tickets: dict[bytes, float] = {}  # with the end of each
        self._sessions: dict[bytes, float] = {}

    def create_ticket(self) -> str:
        """Return a ticket that ``exchange`` takes once."""
        return self._add(self._tickets, TICKET_LIFETIME_S)

    def exchange(self, ticket: str) -> str | None:
        """Return the token of a new session; None if the ticket is not valid any more."""
        with self._lock:
            ends_s = self._tickets.pop(_digest(ticket), None)
        if ends_s is None or ends_s < self._now_s():
            return None
        return TOKEN_PREFIX + self._add(self._sessions, SESSION_LIFETIME_S)

    def verify(self, token: str) -> User | None:
        """Return the user of a session's token; None if it is not valid."""
        if not token.startswith(TOKEN_PREFIX):
            return None
        with self._lock:
            ends_s = self._sessions.get(_digest(token.removeprefix(TOKEN_PREFIX)))
        return OWNER if ends_s is not None and ends_s >= self._now_s() else None

    def _add(self, entries: dict[bytes, float], lifetime_s: float) -> str:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        now_s = self._now_s()
        with self._lock:
            for ended in [key for key, ends_s in entries.items() if ends_s < now_s]:
                del entries[ended]
            while len(entries) >= MAX_SESSIONS:
                del entries[next(iter(entries))]
            entries[_digest(secret)] = now_s + lifetime_s
        return secret


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
