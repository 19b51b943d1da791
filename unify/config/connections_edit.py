"""Editing connections.yaml: add or remove one connection and change nothing else.

The file is edited as text, so comments, order and spelling stay. The new text is parsed and compared
before it replaces the file.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from unify.config import yaml
from unify.config.connections import Connection, Connections, load_connections
from unify.config.secrets import parse_reference
from unify.config.yaml import MappingNode
from unify.errors import ConfigError, UnknownName
from unify.fs.locks import acquire_flock
from unify.text import did_you_mean

LOCK_TIMEOUT_S = 10.0  # an edit takes milliseconds
_NEW_FILE_MODE = 0o600  # of a new file; an existing one keeps its mode


def add_connection(path: Path, name: str, adapter: str, options: Mapping[str, str]) -> Connection:
    """Append a connection to ``path``; create the file if necessary.

    Raises:
        ConfigError: the name is taken or not allowed, or the file has an unusual form. It is not changed.
    """
    with _exclusive(path):
        return _rewrite(path, _append_entry(_read_text(path), name, adapter, options)).by_name[name]


def preview_connection(path: Path, name: str, adapter: str, options: Mapping[str, str]) -> Connection:
    """Return the connection as ``add_connection`` would write it, without writing. Raises the same."""
    return _validate(path, _append_entry(_read_text(path), name, adapter, options)).by_name[name]


def remove_connection(path: Path, name: str) -> str:
    """Remove a connection; return its name as written. Raises UnknownName or ConfigError."""
    with _exclusive(path):
        return _remove_entry(path, name)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Keep other processes from editing the file: each would undo what another one wrote.

    The folder is locked, because the file is replaced, and a lock file would be left in the user's folder.
    """
    folder = path.resolve().parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    if not acquire_flock(descriptor, timeout_s=LOCK_TIMEOUT_S):
        raise ConfigError(f"{path}: another process is changing it; try again")
    try:
        yield
    finally:
        os.close(descriptor)


def _remove_entry(path: Path, name: str) -> str:
    text = _read_text(path)
    root = yaml.parse_yaml(text.encode(), str(path)).root
    entries = list(root.entries.values()) if isinstance(root, MappingNode) else []
    entry = next((entry for entry in entries if entry.key.lower() == name.lower()), None)
    if entry is None:
        known = [entry.key for entry in entries]
        raise UnknownName(
            f"no connection {name} in {path}{did_you_mean(name, known)} (show connections lists them)"
        )
    lines = text.splitlines(keepends=True)
    end = _entry_end(lines, entry.line)
    _rewrite(path, "".join([*lines[: entry.line - 1], *lines[end:]]), removed=entry.key)
    return entry.key


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _append_entry(text: str, name: str, adapter: str, options: Mapping[str, str]) -> str:
    between = "" if not text.strip() else "\n" if text.endswith("\n") else "\n\n"
    lines = [f"{name}:", f"  adapter: {adapter}"]
    if options:
        lines += [
            "  options:",
            *(f"    {option}: {_yaml_scalar(value)}" for option, value in options.items()),
        ]
    return text + between + "\n".join(lines) + "\n"


def _yaml_scalar(value: str) -> str:
    """Return a value as YAML: a reference unquoted, anything else in quotes."""
    try:
        plain = parse_reference(value) is not None and value.isprintable() and " " not in value
    except ValueError:
        plain = False
    return value if plain else json.dumps(value, ensure_ascii=False)


def _entry_end(lines: list[str], start: int) -> int:
    """Return the end line of the entry that starts on line ``start``.

    Blank lines and comments after it belong to the next entry.
    """
    end = start
    for number, line in enumerate(lines[start:], start + 1):
        if line.strip() and not line[0].isspace():
            break
        if line.strip():
            end = number
    return end


def _rewrite(path: Path, text: str, removed: str | None = None) -> Connections:
    """Replace the file with ``text`` after validation."""
    found = _validate(path, text, removed)
    target = path.resolve()
    temporary = _write_temporary(target, text)
    try:
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    return found


def _validate(path: Path, text: str, removed: str | None = None) -> Connections:
    """Return the connections of ``text`` if all other connections equal those of the file."""
    before = load_connections(path)
    target = path.resolve()
    temporary = _write_temporary(target, text)
    try:
        after = load_connections(temporary)
    except ConfigError as error:
        raise ConfigError(_with_original_path(error.message, temporary, path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    new = [name for name in after.errors if name not in before.errors]
    if new:
        raise ConfigError(_with_original_path(after.errors[new[0]].message, temporary, path))
    kept = {name: _comparable(known) for name, known in before.by_name.items() if name != removed}
    if not kept.items() <= {name: _comparable(known) for name, known in after.by_name.items()}.items():
        raise ConfigError(f"{path}: cannot be edited automatically because of its form; edit it by hand")
    there = {name: replace(known, path=str(path)) for name, known in after.by_name.items()}
    return replace(after, by_name=there)


def _comparable(connection: Connection) -> tuple[object, ...]:
    refresh = dict(connection.refresh), dict(connection.shrink)
    return connection.adapter, dict(connection.options), refresh, dict(connection.limits)


def _with_original_path(message: str, temporary: Path, path: Path) -> str:
    return message.replace(str(temporary), str(path))


def _write_temporary(target: Path, text: str) -> Path:
    """Write ``text`` to a synced temporary file beside the target, with the target's mode."""
    path = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else _NEW_FILE_MODE
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from error
    return path
