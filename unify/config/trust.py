"""Which configuration files may use secrets: they decide where secrets are sent.

A connections.yaml that is found in the current folder may have come with a cloned repository, or belong to
another user. It is used once its user has agreed (``unify trust``, or a question at a terminal), as git's
``safe.directory`` and direnv do. A file that is named (--connections, UNIFY_CONNECTIONS) or is in the home
folder needs no question, nor does the sample beside the program.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from unify.config.connections import load_connections
from unify.config.secrets import parse_reference
from unify.config.settings import Settings, create_private_folder
from unify.errors import ConfigError
from unify.fs.durable import atomic_write, read_regular_file
from unify.fs.locks import FileLock

TRUSTED_FILE = "trusted"  # in the root of the home folder: owner and path of each file, which end with NUL
_PROGRAM_FOLDER = Path(__file__).resolve().parents[2]  # whoever can write here can change the program


def require_trusted(settings: Settings) -> None:
    """Raise ConfigError if the connections file was found in the current folder and it is not trusted."""
    if problem := find_problem(settings):
        path = settings.connections
        raise ConfigError(
            f"{path}: {problem}. To use it, type `unify trust` in this folder, or name it with "
            f"--connections {path}"
        )


def find_problem(settings: Settings) -> str:
    """Return why the connections file must not be used without a question; "" if it may."""
    path = settings.connections
    if not settings.connections_found or path.resolve().parent == _PROGRAM_FOLDER:
        return ""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""  # reading it says why
    if f"{owner} {path}" in _read_trusted(settings):
        return ""
    if not _is_own(owner):
        return f"this file belongs to the user {_user_name(owner)}, who could redirect your secrets"
    reads = ", ".join(dict.fromkeys(_references(path)))
    return f"this file is new in this folder, and it reads {reads}" if reads else ""


def describe_use(path: Path) -> list[str]:
    """Return a line for each connection that uses a reference: its adapter, addresses and references."""
    lines = []
    for connection in load_connections(path).by_name.values():
        values = connection.options.values()
        reads = [value for value in values if _is_reference(value)]
        if reads:
            addresses = [value for value in values if "://" in value]
            to = "".join(f", {address}" for address in addresses)
            lines.append(f"{connection.name}: adapter {connection.adapter}{to}, reads {', '.join(reads)}")
    return lines


def trust(settings: Settings, path: Path) -> None:
    """Record that ``path`` may be used, as long as its owner stays the same. Raises StoreError."""
    create_private_folder(settings.root)
    with FileLock(settings.root / f"{TRUSTED_FILE}.lock", "trust").hold(10.0):
        lines = [line for line in _read_trusted(settings) if line.partition(" ")[2] != str(path)]
        text = "".join(f"{line}\0" for line in [*lines, f"{path.stat().st_uid} {path}"])
        atomic_write(settings.root / TRUSTED_FILE, os.fsencode(text))


def require_private_spec(path: Path) -> None:
    """Raise ConfigError if another user can change a spec, which says where secrets are sent."""
    try:
        file, folder = path.stat(), path.resolve().parent.stat()
    except OSError:
        return  # reading it says why
    fault = remedy = ""
    if not _is_own(file.st_uid):
        fault, remedy = f"belongs to the user {_user_name(file.st_uid)}", f"chown {_user_name(os.geteuid())}"
    elif file.st_mode & stat.S_IWOTH:
        fault, remedy = "can be changed by every user", "chmod o-w"
    elif folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        fault, remedy = "is in a folder that every user can change", "chmod o-w"
        path = path.parent
    if fault:
        raise ConfigError(
            f"{path}: this spec {fault}, who could redirect your secrets; run {remedy} {path}, or copy it"
        )


def _is_own(owner: int) -> bool:
    """Whether files of this user are as trustworthy as one's own: root's are, and those of who ran sudo."""
    sudo = os.environ.get("SUDO_UID", "")
    return owner in (0, os.geteuid()) or (os.geteuid() == 0 and sudo.isdigit() and owner == int(sudo))


def _user_name(owner: int) -> str:
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def _references(path: Path) -> Iterator[str]:
    for connection in load_connections(path).by_name.values():
        yield from filter(_is_reference, connection.options.values())


def _is_reference(value: str) -> bool:
    try:
        return parse_reference(value) is not None
    except ValueError:
        return False


def _read_trusted(settings: Settings) -> list[str]:
    try:
        return os.fsdecode(read_regular_file(settings.root / TRUSTED_FILE)).split("\0")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror})") from error
