"""A folder of an SFTP server as a store, through paramiko. Imported when such a connection is used.

The server must be known: by the option ``host_key``, or by a known_hosts file.
"""

from __future__ import annotations

import base64
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from threading import RLock
from typing import Literal

import paramiko
from msgspec import Struct

from unify.adapters.files.store import CHUNK_BYTES, FileChanged, FileStore, StoredFile
from unify.errors import ConfigError, FileError, NotFound, SourceError, Unauthorized, Unreachable

_TIMEOUT_S = 30.0


class SFTPAccount(Struct, frozen=True):
    """Where and as whom to sign in. ``host_key`` is ``TYPE BASE64``, as ssh-keyscan prints it."""

    host: str
    port: int
    user: str
    password: str = ""
    key_file: str = ""
    passphrase: str = ""
    host_key: str = ""
    known_hosts: str = ""


class SFTPStore(FileStore):
    """Files below a folder. One thread at a time uses the connection."""

    def __init__(self, account: SFTPAccount, folder: str) -> None:
        self._account = account
        self._folder = PurePosixPath(folder or ".")
        self._lock = RLock()
        self._ssh: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None
        self.root = f"sftp://{account.host}:{account.port}/{folder.lstrip('/')}".rstrip("/")

    def list_files(self, folder: str = "") -> Iterator[StoredFile]:
        try:
            with self._session(folder) as sftp:
                entries = sftp.listdir_attr(self._full(folder))
        except NotFound:
            if not folder:
                raise
            return
        for entry in sorted(entries, key=lambda one: one.filename):
            path = f"{folder}{entry.filename}"
            if stat.S_ISDIR(entry.st_mode or 0):
                yield from self.list_files(f"{path}/")
            elif (found := self._regular(path, entry)) is not None:
                yield found

    def find_file(self, path: str) -> StoredFile | None:
        try:
            with self._session(path) as sftp:
                found = sftp.stat(self._full(path))
        except NotFound:
            return None
        return _stored(path, found) if stat.S_ISREG(found.st_mode or 0) else None

    def read_start(self, path: str, size: int) -> bytes:
        with self._session(path) as sftp, sftp.open(self._full(path), "rb") as file:
            return file.read(size)

    def download(self, file: StoredFile, target: Path) -> None:
        with self._session(file.path) as sftp, target.open("xb") as out:
            with sftp.open(self._full(file.path), "rb") as source:
                source.prefetch(file.size)
                shutil.copyfileobj(source, out, CHUNK_BYTES)
            now = _stored(file.path, sftp.stat(self._full(file.path)))
        if now.version != file.version or target.stat().st_size != file.size:
            raise FileChanged(f"{self.root}/{file.path}: the file changed while it was read")

    def upload(self, source: Path, path: str, replaces: StoredFile | Literal["any"] | None) -> None:
        with self._session(path) as sftp:
            self._make_folders(sftp, path)
            temporary = self._temporary(path)
            try:
                with source.open("rb") as local, sftp.open(temporary, "wbx") as remote:
                    remote.set_pipelined(True)
                    shutil.copyfileobj(local, remote, CHUNK_BYTES)
                self._publish(sftp, temporary, path, replaces)
            except BaseException:
                with suppress(OSError):  # it was renamed, or the connection is lost
                    sftp.remove(temporary)
                raise

    def copy(self, path: str, target: str, *, overwrite: bool) -> None:
        if self.find_file(path) is None:
            raise NotFound(f"{self.root}/{path}: no such file")
        with self._session(target) as sftp:
            self._make_folders(sftp, target)
            temporary = self._temporary(target)
            try:
                with sftp.open(self._full(path), "rb") as old, sftp.open(temporary, "wbx") as new:
                    old.prefetch()
                    new.set_pipelined(True)
                    shutil.copyfileobj(old, new, CHUNK_BYTES)
                self._publish(sftp, temporary, target, "any" if overwrite else None)
            except BaseException:
                with suppress(OSError):  # it was renamed, or the connection is lost
                    sftp.remove(temporary)
                raise

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            with suppress(NotFound), self._session(path) as sftp:
                sftp.remove(self._full(path))

    def describe(self) -> str:
        with self._session("") as sftp:
            sftp.listdir(self._full(""))
        return f"{self._account.user} in {self.root}"

    def close(self) -> None:
        with self._lock:
            if self._ssh is not None:
                self._ssh.close()
            self._ssh = self._sftp = None

    def _regular(self, path: str, entry: paramiko.SFTPAttributes) -> StoredFile | None:
        """Return a file, also behind a link. A link to a folder may lead in a circle: it is left out."""
        if stat.S_ISREG(entry.st_mode or 0):
            return _stored(path, entry)
        return self.find_file(path) if stat.S_ISLNK(entry.st_mode or 0) else None

    def _full(self, path: str) -> str:
        return str(self._folder / path)

    def _temporary(self, path: str) -> str:
        return str(PurePosixPath(self._full(path)).with_name(f".{secrets.token_hex(6)}-upload"))

    def _publish(
        self,
        sftp: paramiko.SFTPClient,
        temporary: str,
        path: str,
        replaces: StoredFile | Literal["any"] | None,
    ) -> None:
        """Rename a complete file to its final name."""
        now = self.find_file(path)
        if replaces is None and now is not None:
            raise FileError(f"{self.root}/{path} exists already; end with overwrite or append")
        if isinstance(replaces, StoredFile) and (now is None or now.version != replaces.version):
            raise FileChanged(f"{self.root}/{path}: another program changed the file; run it again")
        if now is None:
            sftp.rename(temporary, self._full(path))
        else:
            sftp.posix_rename(temporary, self._full(path))

    def _make_folders(self, sftp: paramiko.SFTPClient, path: str) -> None:
        folder = self._folder
        for name in path.split("/")[:-1]:
            folder /= name
            try:
                sftp.stat(str(folder))
            except FileNotFoundError:
                sftp.mkdir(str(folder))

    @contextmanager
    def _session(self, path: str) -> Iterator[paramiko.SFTPClient]:
        where = f"{self.root}/{path}".rstrip("/")
        with self._lock:
            try:
                yield self._connected()
            except FileNotFoundError as error:
                raise NotFound(f"{where}: no such file or folder") from error
            except (EOFError, paramiko.SSHException) as error:
                self.close()
                raise Unreachable(f"{where}: the connection was lost ({error})") from error
            except OSError as error:
                raise SourceError(f"{where}: {error.strerror or error}") from error

    def _connected(self) -> paramiko.SFTPClient:
        if self._sftp is None:
            self._ssh = self._connect()
            self._sftp = self._ssh.open_sftp()
            channel = self._sftp.get_channel()
            if channel is not None:
                channel.settimeout(_TIMEOUT_S)
        return self._sftp

    def _connect(self) -> paramiko.SSHClient:
        account = self._account
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self._trust_host(client)
        try:
            client.connect(
                account.host,
                account.port,
                account.user,
                account.password or None,
                key_filename=account.key_file or None,
                passphrase=account.passphrase or None,
                timeout=_TIMEOUT_S,
                allow_agent=False,
                look_for_keys=False,
            )
        except (paramiko.AuthenticationException, paramiko.PasswordRequiredException) as error:
            raise Unauthorized(
                f"{self.root}: the server refused {account.user}; check the password or key"
            ) from error
        except paramiko.BadHostKeyException as error:
            raise SourceError(
                f"{self.root}: the server has another key than host_key or known_hosts say"
            ) from error
        except paramiko.SSHException as error:
            raise SourceError(
                f"{self.root}: {error}; give its key as host_key (ssh-keyscan prints it)"
            ) from error
        except OSError as error:
            raise Unreachable(f"{self.root}: no connection ({error.strerror or error})") from error
        return client

    def _trust_host(self, client: paramiko.SSHClient) -> None:
        account = self._account
        if not account.host_key:
            known = Path(account.known_hosts or "~/.ssh/known_hosts").expanduser()
            if known.is_file():
                client.load_host_keys(str(known))
            return
        kind, _, text = account.host_key.partition(" ")
        try:
            key = paramiko.PKey.from_type_string(kind, base64.b64decode(text.split(" ")[0]))
        except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError) as error:
            raise ConfigError(
                f"{self.root}: host_key is not TYPE BASE64, as ssh-keyscan prints it"
            ) from error
        name = (
            account.host if account.port == paramiko.config.SSH_PORT else f"[{account.host}]:{account.port}"
        )
        client.get_host_keys().add(name, kind, key)


def _stored(path: str, found: paramiko.SFTPAttributes) -> StoredFile:
    at = datetime.fromtimestamp(found.st_mtime, UTC) if found.st_mtime is not None else None
    return StoredFile(path, found.st_size or 0, at)
