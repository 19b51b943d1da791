"""Where things are and how much of everything there may be: read once, handed down frozen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from unify.errors import StoreError

MAX_SOCKET_PATH_BYTES = 100  # bytes; the kernel's sockaddr_un allows 107, the socket names need the rest
DEFAULT_TENANT = "default"
DEFAULT_HISTORY_RETENTION_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The home folder of one tenant, the configuration in force, and the limits.

    ``connections`` need not exist: a shell without connections still runs SQL.
    ``specs`` are folders read in order before the bundled rest_specs.
    The last five are the daemon's; one that runs keeps those it was started with.
    """

    home: Path
    connections: Path
    specs: tuple[Path, ...] = ()
    tenant: str = DEFAULT_TENANT
    workers: int = 4  # loads side by side; they mostly wait for the network
    worker_memory_bytes: int = 2 * 1024**3  # what one load may hold; one of any size needs some 300 MB
    idle_timeout_s: float | None = None  # how long a daemon without work stays; None: until it is stopped
    history_retention_s: float = (
        DEFAULT_HISTORY_RETENTION_S  # how far back ``at (timestamp => …)`` and ``changes`` reach
    )
    script_timeout_s: float = (
        6 * 3600.0
    )  # how long a scheduled script may run; a first load takes hours at most

    @property
    def root(self) -> Path:
        """What ``--home`` names: a tenant's home is a folder in it."""
        return self.home if self.tenant == DEFAULT_TENANT else self.home.parents[1]

    @property
    def catalog_url(self) -> str:
        """What DuckLake attaches: the only place that knows the catalog is a SQLite file."""
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
    def staging(self) -> Path:
        return self.home / "staging"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

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
        """Where tokens that APIs have given are kept; no cache: some cannot be had again without a person."""
        return self.home / "tokens"

    @property
    def socket_folder(self) -> Path:
        """The folder of the daemon's sockets: under home, or the temp folder where that path is too long."""
        here = self.home / "run"
        if len(os.fsencode(here)) <= MAX_SOCKET_PATH_BYTES - len("/commands.sock"):
            return here
        import hashlib  # 7 ms, for a home whose path is long

        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path("/tmp") / f"unify-{os.getuid()}-{digest}"

    def create_folders(self) -> None:
        """Make the folders, readable by nobody else (mode 0700, whatever the umask)."""
        folders = (
            self.home,
            self.lake,
            self.data_path,
            self.staging,
            self.logs,
            self.cache,
            self.socket_folder,
        )
        for folder in folders:
            create_private_folder(folder)


def create_private_folder(folder: Path) -> None:
    """Make ``folder`` with mode 0700. Raises StoreError naming it if that cannot be done."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid != os.getuid():
            raise StoreError(f"{folder}: belongs to another user; choose another folder with --home")
        if status.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder with --home"
        ) from error
