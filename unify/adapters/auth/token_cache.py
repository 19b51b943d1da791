"""Tokens shared by all processes of a home folder, and kept after they end.

A token is in the system keyring if that works, else in a file with mode 0600; the file says which of the two,
so that processes with different keyrings never use the same refresh token twice. A lock file beside it lets
one process at a time request a token.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from unify.adapters.http.messages import origin_of
from unify.config import keyring
from unify.config.settings import create_private_folder
from unify.errors import StoreError
from unify.fs.durable import atomic_write, read_regular_file
from unify.fs.locks import FileLock

_DIGEST_BYTES = 12
KEYRING_SERVICE = "unify-tokens"
LOCK_TIMEOUT_S = 150.0  # longer than a token request may take; see http.messages.Timeouts


class CachedToken(Struct, frozen=True):
    """A token.

    ``good_until``     seconds since 1970; None: valid until the API refuses it.
    ``refresh_token``  "" if the server issued none.
    """

    token: str
    good_until: float | None = None
    refresh_token: str = ""

    def __repr__(self) -> str:
        """Without the tokens."""
        return f"CachedToken(good_until={self.good_until})"

    def is_valid(self, now: float) -> bool:
        return self.good_until is None or now < self.good_until


class _TokenFile(Struct, frozen=True):
    """The content of a file: the token, or that it is in the keyring."""

    kept: CachedToken | None = None
    keyring: bool = False


class TokenCache:
    """Keeps one token. This class keeps none, for processes that do not share tokens."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Prevent other processes from requesting the token during the block."""
        yield

    def read(self) -> CachedToken | None:
        """Raises StoreError."""
        return None

    def write(self, cached: CachedToken) -> None:
        """Raises StoreError."""

    def delete(self) -> None:
        """Raises StoreError."""


class TokenCacheFolder(Struct, frozen=True):
    """The folder with the tokens of a connection."""

    folder: Path
    connection: str

    def open_cache(self, base_url: str, *identity: str, replaceable: bool = False) -> TokenCache:
        """Return the cache of the token requested with ``identity``: server, client and credentials.

        ``base_url``     of the API to which the token is sent. Another origin selects another file: a token
                         is never sent to an origin for which it was not issued.
        ``replaceable``  the token can be requested again without a user: a damaged file is no error.

        Another refresh token in connections.yaml selects another file. The file name is a hash from which
        ``identity`` cannot be recovered.
        """
        digest = hashlib.scrypt(
            "\0".join((origin_of(base_url), *identity)).encode(),
            salt=self.connection.encode(),
            n=2**13,
            r=8,
            p=1,
            dklen=_DIGEST_BYTES,
        )
        return FileTokenCache(self.folder, f"{self.connection}-{digest.hex()}", replaceable=replaceable)

    def delete_all(self) -> None:
        """Delete every token of the connection, also those of earlier servers and options."""
        name = re.compile(rf"{re.escape(self.connection)}-[0-9a-f]{{{2 * _DIGEST_BYTES}}}")
        for path in self.folder.glob("*.json"):
            if name.fullmatch(path.stem):
                cache = FileTokenCache(self.folder, path.stem, replaceable=True)
                with cache.lock():
                    cache.delete()


class FileTokenCache(TokenCache):
    """Keeps one token in a folder, or in the keyring."""

    def __init__(self, folder: Path, name: str, *, replaceable: bool = False) -> None:
        self._name = name
        self._replaceable = replaceable
        self._path = folder / f"{name}.json"
        self._lock = FileLock(folder / f"{name}.lock", "fetch a token")

    @contextmanager
    def lock(self) -> Iterator[None]:
        create_private_folder(self._path.parent)
        with self._lock.hold(LOCK_TIMEOUT_S):
            yield

    def read(self) -> CachedToken | None:
        file = self._read_file()
        return self._read_keyring() if file.keyring else file.kept

    def write(self, cached: CachedToken) -> None:
        file = _TokenFile(None, keyring=True) if self._write_keyring(cached) else _TokenFile(cached)
        try:
            atomic_write(self._path, msgspec.json.encode(file))
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written ({error.strerror})") from error

    def delete(self) -> None:
        if self._path.exists() and self._read_file().keyring:
            with suppress(keyring.KeyringError):  # without its file, the entry is never read again
                keyring.delete_password(KEYRING_SERVICE, self._name)
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be removed ({error.strerror})") from error

    def _read_file(self) -> _TokenFile:
        try:
            return msgspec.json.decode(read_regular_file(self._path), type=_TokenFile)
        except FileNotFoundError:
            return _TokenFile()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if self._replaceable:
                return _TokenFile()
            raise StoreError(f"{self._path}: is damaged ({error}); remove it and sign in again") from error
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be read ({error.strerror})") from error

    def _read_keyring(self) -> CachedToken | None:
        try:
            text = keyring.get_password(KEYRING_SERVICE, self._name)
        except keyring.KeyringError as error:
            raise StoreError(
                f"{self._path}: the token is in the system keyring, but {error}; "
                "or remove the file and sign in again"
            ) from error
        return None if text is None else msgspec.json.decode(text, type=CachedToken)

    def _write_keyring(self, cached: CachedToken) -> bool:
        """Whether the keyring has stored the token. A token that is in the file stays there."""
        if self._path.exists() and not self._read_file().keyring:
            return False
        try:
            keyring.set_password(KEYRING_SERVICE, self._name, msgspec.json.encode(cached).decode())
        except keyring.KeyringError:
            return False
        return True
