"""Settings: paths and limits of one home, read once and passed down as a frozen object."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from msgspec import Struct

from unify.errors import StoreError

MAX_SOCKET_PATH_BYTES = 100  # sockaddr_un allows 107 bytes, socket names included
DEFAULT_TENANT = "default"
DEFAULT_WORKER_MEMORY_BYTES = 2 * 1024**3
DEFAULT_HISTORY_RETENTION_S = 7 * 86_400.0


class Settings(Struct, frozen=True):
    """The home folder of one tenant, its configuration files and limits.

    ``connections`` may be missing: SQL works without connections.
    ``specs`` are folders searched in order before the bundled rest_specs.
    The last five are the daemon's; a running daemon keeps those it was started with.
    """

    home: Path
    connections: Path
    specs: tuple[Path, ...] = ()
    connections_found: bool = False  # in the current folder, and not named; see ``config.trust``
    tenant: str = DEFAULT_TENANT
    workers: int = 4  # concurrent loads; they mostly wait for the network
    worker_memory_bytes: int = (
        DEFAULT_WORKER_MEMORY_BYTES  # limit of one load; loads of any size need about 300 MB
    )
    idle_timeout_s: float | None = None  # after which an idle daemon stops; None: never
    history_retention_s: float = (
        DEFAULT_HISTORY_RETENTION_S  # reach of ``at (timestamp => …)`` and ``changes``
    )
    script_timeout_s: float = 6 * 3600.0  # limit of a scheduled script; a first load may take hours

    @property
    def root(self) -> Path:
        """The folder of ``--home``, which contains the homes of tenants."""
        return self.home if self.tenant == DEFAULT_TENANT else self.home.parents[1]

    @property
    def catalog_url(self) -> str:
        """The URL DuckLake attaches. Only this property knows that the catalog is a SQLite file."""
        return f"ducklake:sqlite:{self.lake / 'catalog.sqlite'}"

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def data_path(self) -> Path:
        return self.lake / "files"

    @property
    def lake_lock(self) -> Path:
        return self.lake / "lake.lock"

    @property
    def queue(self) -> Path:
        return self.home / "queue.db"

    @property
    def request_log(self) -> Path:
        return self.home / "requests.jsonl"

    @property
    def notifications(self) -> Path:
        return self.home / "notify.yaml"

    @property
    def writes(self) -> Path:
        """The planned and sent writes."""
        return self.home / "writes.db"

    @property
    def activity(self) -> Path:
        """What clients and agents have run."""
        return self.home / "activity.db"

    @property
    def staging(self) -> Path:
        return self.home / "staging"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def notebooks(self) -> Path:
        """Executed copies of notebooks."""
        return self.home / "notebooks"

    @property
    def daemon_lock(self) -> Path:
        return self.home / "daemon.lock"

    @property
    def shell_history(self) -> Path:
        return self.home / "history"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def token_folder(self) -> Path:
        """The folder of stored tokens. Not a cache: some tokens need a new sign-in."""
        return self.home / "tokens"

    @property
    def socket_folder(self) -> Path:
        """The folder of the daemon's sockets: in home, or in the temp folder if that path is too long.

        Then a link in home says where. The name in the temp folder is random: nobody can be there first.
        """
        here = self.home / "run"
        if not self._needs_short_sockets or not here.is_symlink():
            return here
        target = here.readlink()
        return target if _is_own_folder(target) else here

    @property
    def _needs_short_sockets(self) -> bool:
        return len(os.fsencode(self.home / "run")) > MAX_SOCKET_PATH_BYTES - len("/commands.sock")

    def create_folders(self) -> None:
        """Create the folders with mode 0700, whatever the umask."""
        folders = (
            self.home,
            self.lake,
            self.data_path,
            self.staging,
            self.logs,
            self.cache,
        )
        for folder in folders:
            create_private_folder(folder)
        if self._needs_short_sockets:
            self._create_linked_socket_folder()
        else:
            create_private_folder(self.socket_folder)

    def _create_linked_socket_folder(self) -> None:
        """Create the folder in the temp folder unless it exists. The lock keeps processes from making two."""
        from tempfile import mkdtemp

        from unify.fs.locks import FileLock

        with FileLock(self.home / "run.lock", "sockets").hold(10.0):
            link = self.home / "run"
            if self.socket_folder != link:
                return
            try:
                new = self.home / f"run.{os.getpid()}"
                new.symlink_to(mkdtemp(prefix="unify-", dir="/tmp"))
                if link.is_dir() and not link.is_symlink():
                    link.rmdir()
                new.replace(link)
            except OSError as error:
                raise StoreError(
                    f"{self.home}: its path is too long for a socket, and no folder can be created in /tmp "
                    f"({error.strerror}); choose a shorter path with --home"
                ) from error


def _is_own_folder(path: Path) -> bool:
    """Whether ``path`` is a folder of this user that no other one can enter; links are not followed."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def create_private_folder(folder: Path) -> None:
    """Create ``folder`` with mode 0700. Raises StoreError naming it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid != os.getuid():
            raise StoreError(f"{folder}: belongs to another user; choose another folder with --home")
        if status.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be created ({error.strerror}); choose another folder with --home"
        ) from error
