"""Tokens that outlive a process: fetched once, shared by all workers, and a replaced refresh token not lost.

They are kept in the operating system's password store where the package ``keyring`` is installed and works,
else in a file that nobody else can read, in a folder of the same kind. A lock file beside it lets one process
at a time fetch a token. Which of the two it is, the file says, so that processes that see different password
stores never use up each other's refresh token.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from unify.config.settings import create_private_folder
from unify.errors import StoreError
from unify.fs.durable import atomic_write
from unify.fs.locks import FileLock

KEYRING_SERVICE = "unify-tokens"  # under which the password store has them
LOCK_TIMEOUT_S = 150.0  # longer than another process needs to fetch a token; see route.Bounds


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token. ``good_until`` is in seconds since 1970, None until it is refused.

    ``refresh_token`` is "" where the server gave none that is not in connections.yaml.
    """

    token: str = field(repr=False)
    good_until: float | None = None
    refresh_token: str = field(default="", repr=False)

    def is_valid(self, now: float) -> bool:
        return self.good_until is None or now < self.good_until


@dataclass(frozen=True, slots=True)
class _TokenFile:
    """What the file holds: the token, or that the password store has it."""

    kept: CachedToken | None = None
    keyring: bool = False


class TokenCache:
    """Keeps one token, or, as here, none: its process remembers it alone."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """No other process fetches the token in the block."""
        yield

    def read(self) -> CachedToken | None:
        return None

    def write(self, cached: CachedToken) -> None:
        """Keep it from now on. Raises StoreError."""

    def delete(self) -> None:
        """Keep it no longer. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class TokenCacheFolder:
    """Where the tokens of one connection are kept."""

    folder: Path
    connection: str

    def open_cache(self, *identity: str) -> TokenCache:
        """The place of the token that ``identity`` leads to: server, client and what it proves itself by.

        Another refresh token in connections.yaml is another place. Its name tells nothing of what it was
        made from.
        """
        proof = hashlib.scrypt(
            "\0".join(identity).encode(), salt=self.connection.encode(), n=2**13, r=8, p=1, dklen=12
        )
        return FileTokenCache(self.folder, f"{self.connection}-{proof.hex()}")


class FileTokenCache(TokenCache):
    """Keeps one token for all processes that are given the same folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._path = folder / f"{name}.json"
        self._lock = FileLock(folder / f"{name}.lock", "fetch a token")

    @contextmanager
    def lock(self) -> Iterator[None]:
        create_private_folder(self._path.parent)
        with self._lock.hold(LOCK_TIMEOUT_S):
            yield

    def read(self) -> CachedToken | None:
        try:
            note = msgspec.json.decode(self._path.read_bytes(), type=_TokenFile)
            if note.keyring:
                return self._read_keyring()
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise StoreError(f"{self._path}: is damaged ({error}); remove it and sign in again") from error
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be read ({error.strerror})") from error
        return note.kept

    def write(self, cached: CachedToken) -> None:
        in_keyring = self._write_keyring(cached)
        note = _TokenFile(None, keyring=True) if in_keyring else _TokenFile(cached)
        try:
            atomic_write(self._path, msgspec.json.encode(note))
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written ({error.strerror})") from error

    def delete(self) -> None:
        keyring = _import_keyring()
        if keyring is not None and self._path.exists() and not self._is_in_file():
            with suppress(Exception):  # each has errors of its own; without the file it is unused
                keyring.delete_password(KEYRING_SERVICE, self._name)
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be removed ({error.strerror})") from error

    def _read_keyring(self) -> CachedToken | None:
        keyring = _import_keyring()
        if keyring is None:
            raise StoreError(
                f"{self._path}: the token is in this system's password store, and the package keyring, which "
                "reads that, is not installed; pip install keyring, or remove the file and sign in again"
            )
        try:
            text = keyring.get_password(KEYRING_SERVICE, self._name)
        except Exception as error:  # each password store has errors of its own
            raise StoreError(
                f"this system's password store does not answer ({type(error).__name__})"
            ) from error
        return None if text is None else msgspec.json.decode(text, type=CachedToken)

    def _write_keyring(self, cached: CachedToken) -> bool:
        """Whether the password store has taken it; what began in the file stays there."""
        keyring = _import_keyring()
        if keyring is None or self._is_in_file():
            return False
        try:
            keyring.set_password(KEYRING_SERVICE, self._name, msgspec.json.encode(cached).decode())
        except Exception:  # noqa: BLE001 - each has errors of its own; the file takes what it does not
            return False
        return True

    def _is_in_file(self) -> bool:
        return (
            self._path.exists() and not msgspec.json.decode(self._path.read_bytes(), type=_TokenFile).keyring
        )


def _import_keyring() -> Any:
    """The package keyring; None where it is not installed."""
    try:
        return importlib.import_module("keyring")
    except ImportError:
        return None
