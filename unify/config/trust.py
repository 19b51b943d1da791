"""Which configuration files may use secrets: they decide where secrets are sent.

A connections.yaml that is found in the current folder may have come with a cloned repository, or belong to
another user. It is used once its user has agreed to its content (``unify trust``, or a question at a
terminal), as with direnv: after a change, which may have come with a pull, the question comes again. The
daemon asks the same before each load and script. ``connect`` and ``disconnect`` keep the agreement. A file
that is named (--connections, UNIFY_CONNECTIONS) or is in the home folder needs no question, nor does the
sample beside the program. Specs are always named; their owners and modes are checked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from unify.config.connections import load_connections
from unify.config.permissions import OWNERS_VARIABLE, is_own, user_name, writers
from unify.config.secrets import parse_reference
from unify.config.settings import Settings, create_private_folder
from unify.errors import ConfigError
from unify.fs.durable import atomic_write, read_regular_file
from unify.fs.locks import FileLock
from unify.model import ConfigPaths

TRUSTED_FILE = "trusted"  # in the root of the home folder: owner, digest and path of each file, then NUL
_PROGRAM_FOLDER = Path(__file__).resolve().parents[2]  # whoever can write here can change the program


class _TrustedFile(Struct, frozen=True):
    """A file that may be used, as long as its owner and content are these."""

    owner: str
    digest: str
    path: str


def require_trusted(settings: Settings) -> None:
    """Raise ConfigError if the connections file was found in the current folder and it is not trusted."""
    if problem := find_problem(settings):
        path = settings.connections
        raise ConfigError(
            f"{path}: {problem}. To use it, type `unify trust` in this folder, or name it with "
            f"--connections {path}"
        )


def require_trusted_origin(settings: Settings, origin: ConfigPaths) -> None:
    """Raise ConfigError if the file of a job was found in a folder and has changed since it was trusted."""
    path = Path(origin.connections)
    if origin.found and (problem := _find_problem(settings, path)):
        raise ConfigError(f"{path}: {problem}. To use it, type `unify trust` in {path.parent}")


def find_problem(settings: Settings) -> str:
    """Return why the connections file must not be used without a question; "" if it may."""
    return _find_problem(settings, settings.connections) if settings.connections_found else ""


def _find_problem(settings: Settings, path: Path) -> str:
    if path.resolve().parent == _PROGRAM_FOLDER:
        return ""
    try:
        owner = path.stat().st_uid
        known = next((file for file in _read_trusted(settings) if file.path == str(path)), None)
        if known is not None and known.owner == str(owner) and known.digest == _digest(path):
            return ""
    except OSError:
        return ""  # reading it says why
    if not is_own(owner):
        return f"this file belongs to the user {user_name(owner)}, who could redirect your secrets"
    reads = ", ".join(dict.fromkeys(_references(path)))
    state = "has changed since it was trusted" if known is not None else "is new in this folder"
    return f"this file {state}, and it reads {reads}" if reads else ""


@contextmanager
def keep_trust(settings: Settings) -> Iterator[None]:
    """Trust the connections file after the block, which changes it, if it may be used before."""
    may_be_used = settings.connections_found and not find_problem(settings)
    yield
    if may_be_used and find_problem(settings):
        trust(settings, settings.connections)


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
    """Record that ``path`` may be used, as long as owner and content stay the same. Raises StoreError."""
    create_private_folder(settings.root)
    with FileLock(settings.root / f"{TRUSTED_FILE}.lock", "trust").hold(10.0):
        others = [file for file in _read_trusted(settings) if file.path != str(path)]
        files = [*others, _TrustedFile(str(path.stat().st_uid), _digest(path), str(path))]
        text = "".join(f"{file.owner} {file.digest} {file.path}\0" for file in files)
        atomic_write(settings.root / TRUSTED_FILE, os.fsencode(text))


def require_private_spec(path: Path) -> None:
    """Raise ConfigError if another user can change a spec, which says where secrets are sent."""
    try:
        file, folder = path.stat(), path.resolve().parent.stat()
    except OSError:
        return  # reading it says why
    fault = remedy = ""
    if not is_own(file.st_uid):
        owner = user_name(file.st_uid)
        fault = f"belongs to the user {owner}, who could redirect your secrets"
        remedy = f"run chown {user_name(os.geteuid())} {path}, copy it, or set {OWNERS_VARIABLE}={owner}"
    elif found := writers(file):
        fault = f"can be changed by {found}, who could redirect your secrets"
        remedy = f"run chmod go-w {path}"
    elif found := writers(folder):
        fault = f"is in a folder that {found} can change, who could redirect your secrets"
        remedy = f"run chmod go-w {path.parent}"
    if fault:
        raise ConfigError(f"{path}: this spec {fault}; {remedy}")


def _references(path: Path) -> Iterator[str]:
    for connection in load_connections(path).by_name.values():
        yield from filter(_is_reference, connection.options.values())


def _is_reference(value: str) -> bool:
    try:
        return parse_reference(value) is not None
    except ValueError:
        return False


def _read_trusted(settings: Settings) -> list[_TrustedFile]:
    try:
        text = os.fsdecode(read_regular_file(settings.root / TRUSTED_FILE))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror})") from error
    lines = (line.split(" ", 2) for line in text.split("\0"))
    return [_TrustedFile(*line) for line in lines if len(line) == 3]


def _digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(read_regular_file(path)).hexdigest()
