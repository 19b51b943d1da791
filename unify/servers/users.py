"""Users of the servers: names, roles, hashes of tokens and passwords, in ``users.json`` of a home (0600)."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import StoreError, UnknownName, UsageError
from unify.fs.durable import atomic_write, read_regular_file
from unify.fs.locks import FileLock
from unify.interpreter.restriction import Restriction
from unify.servers.passwords import MIN_PASSWORD_CHARS, ScramVerifier, make_verifier
from unify.servers.tokens import UNKNOWN_NAME_HASH, TokenHash, create_token, split_token
from unify.text import did_you_mean

FORMAT = 1
LOCK_TIMEOUT_S = 10.0
MAX_REMEMBERED_TOKENS = 1_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class Role(StrEnum):
    """What a user may do. Each role includes those before it."""

    READER = "reader"  # read stored rows and metrics
    LOADER = "loader"  # cause loads and refreshes
    WRITER = "writer"  # write to systems


class User(Struct, frozen=True):
    """A user. ``token`` is the hash of the token, which is stored nowhere.

    ``schemas``   those that can be read, in lower case; none: all.
    ``is_owner``  of the home: signed in by ``unify ui``, and in no file.
    ``password``  for PostgreSQL clients: the token, or another one; None: added by an older version.
    """

    name: str
    role: Role
    created_at: datetime
    token: TokenHash
    schemas: tuple[str, ...] = ()
    is_owner: bool = False
    password: ScramVerifier | None = None

    def restriction(self) -> Restriction:
        """What the statements of the user may do."""
        schemas = frozenset(self.schemas) if self.schemas else None
        return Restriction(self.role is not Role.READER, schemas, self.is_owner)


class _UsersFile(Struct, frozen=True):
    format: int
    users: list[User]


class UserStore:
    """The users of one home. Each call sees the changes of other processes. Threads may share it.

    All methods raise StoreError if the file cannot be read, or if other users of the machine can access it:
    then nobody is let in.
    """

    def __init__(self, settings: Settings) -> None:
        self.path: Path = settings.home / "users.json"
        self._file_lock = FileLock(self.path.with_name("users.lock"), "users")
        self._lock = threading.Lock()
        self._version: tuple[int, ...] | None = None
        self._users: Mapping[str, User] = {}
        self._digest_key = secrets.token_bytes(32)
        self._verified: dict[bytes, User] = {}

    def list_users(self) -> Sequence[User]:
        """Return the users by name."""
        with self._lock:
            return sorted(self._current_users().values(), key=lambda user: user.name)

    def add_user(
        self,
        name: str,
        role: Role,
        now: datetime | None = None,
        schemas: Sequence[str] = (),
        password: str | None = None,
    ) -> str:
        """Add a user, and return the token, which cannot be read again. Raises UsageError.

        ``password``  for PostgreSQL clients; None: the token.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"user {name}: a name has at most 32 lower-case letters, digits, - and _, and starts with a "
                "letter or digit"
            )
        if password is not None:
            _check_password(password)
        token, hashed = create_token(name)
        verifier = make_verifier(password or token)
        with self._file_lock.hold(LOCK_TIMEOUT_S), self._lock:
            users = dict(self._current_users())
            if name in users:
                raise UsageError(f"user {name} exists; for a new token, remove the user first")
            readable = tuple(schema.lower() for schema in schemas)
            moment = now or datetime.now(UTC)
            users[name] = User(name, role, moment, hashed, readable, password=verifier)
            self._write(users)
        return token

    def remove_user(self, name: str) -> None:
        """Remove a user; the token is not valid any more. Raises UnknownName."""
        with self._file_lock.hold(LOCK_TIMEOUT_S), self._lock:
            users = dict(self._current_users())
            if users.pop(name, None) is None:
                raise UnknownName(f"there is no user {name}{did_you_mean(name, users)} (unify user list)")
            self._write(users)

    def verify(self, token: str) -> User | None:
        """Return the user of a token; None if it is not valid. Takes about 10 ms for one not seen before."""
        with self._lock:
            users = self._current_users()
            parts = split_token(token)
            if parts is None:
                return None
            digest = hmac.digest(self._digest_key, token.encode(), hashlib.sha256)
            if (known := self._verified.get(digest)) is not None:
                return known
            name, secret = parts
            user = users.get(name)
            matches = (user.token if user is not None else UNKNOWN_NAME_HASH).matches(secret)
            if user is None or not matches:
                return None
            if len(self._verified) < MAX_REMEMBERED_TOKENS:
                self._verified[digest] = user
            return user

    def find_user(self, name: str) -> User | None:
        """Return a user whose password another one verifies."""
        with self._lock:
            return self._current_users().get(name)

    def _current_users(self) -> Mapping[str, User]:
        """Return the users by name, read again if the file has changed."""
        version = self._read_version()
        if version != self._version:
            self._users = {} if version is None else {user.name: user for user in self._read()}
            self._version = version
            self._verified.clear()
        return self._users

    def _read_version(self) -> tuple[int, ...] | None:
        """Identify the content of the file; None if there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read ({error.strerror})") from error
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise StoreError(
                f"{self.path}: other users of this machine can access it; nobody is let in until only the "
                f"user of the server can: chmod 600 {self.path}"
            )
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def _read(self) -> Sequence[User]:
        try:
            found = msgspec.json.decode(read_regular_file(self.path), type=_UsersFile)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read ({error.strerror})") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path}: damaged; remove it and add the users again") from error
        if found.format != FORMAT:
            raise StoreError(f"{self.path}: written by a newer version of Unify; update this one")
        return found.users

    def _write(self, users: Mapping[str, User]) -> None:
        content = msgspec.json.encode(_UsersFile(FORMAT, [*users.values()]))
        try:
            atomic_write(self.path, msgspec.json.format(content, indent=2))
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written ({error.strerror})") from error


def _check_password(password: str) -> None:
    if len(password) < MIN_PASSWORD_CHARS or not (password.isascii() and password.isprintable()):
        raise UsageError(
            f"a password has at least {MIN_PASSWORD_CHARS} characters, all of them printable ASCII; without "
            "--password the token is the password"
        )
