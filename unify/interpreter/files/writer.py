"""Writes files atomically, without overwriting unless requested."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from unify.errors import FileError
from unify.fs.durable import FileAttributes, private_umask
from unify.fs.temporary_files import removed_at_termination

WriteMode = str | None  # "overwrite", "append", or None: the file must not be there
_OVERWRITE_OR_APPEND = "overwrite or append"


@contextmanager
def replace_file(target: Path, mode: WriteMode, allowed_modes: str = _OVERWRITE_OR_APPEND) -> Iterator[Path]:
    """Yield a temporary path beside ``target``, which replaces it unless the block raises.

    The new file has mode and owner of the one that it replaces; of a symbolic link the target is replaced.

    ``allowed_modes``  keywords for existing files, for the message.
    Raises FileError if ``target`` exists and ``mode`` is None, checked before and after the block.
    """
    check_target(target, mode, allowed_modes)
    target = target.resolve()
    attributes = FileAttributes.of(target)
    # with the suffixes of the target: DuckDB chooses the compression by them
    temporary = target.with_name(f".{secrets.token_hex(6)}-{target.name}")
    try:
        with removed_at_termination(temporary), private_umask():
            yield temporary
        attributes.apply(temporary)
        _sync_file(temporary)
        if mode is None:
            _create_target(temporary, target, allowed_modes)
        else:
            temporary.replace(target)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_target(target: Path, mode: WriteMode, allowed_modes: str = _OVERWRITE_OR_APPEND) -> None:
    if target.is_dir():
        raise FileError(f"{target} is a folder")
    if not target.parent.is_dir():
        raise FileError(f"{target}: folder {target.parent} does not exist")
    if target.exists() and not target.is_file():
        raise FileError(f"{target} is a pipe or a device; write to it with -o, or with copy … to")
    if mode is None and os.path.lexists(target):
        raise FileError(f"{target} exists already; end with {allowed_modes}")


def join_text_files(old: Path, new: Path, header: Sequence[str] | None, delimiter: str = ",") -> None:
    """Insert the lines of ``old`` before those of ``new``. Raises FileError if the columns differ.

    ``header``  the expected column names in the first line of ``old``; None: not checked.
    """
    if header is not None and old.stat().st_size:
        with old.open(encoding="utf-8-sig", newline="") as file:
            existing = next(csv.reader(file, delimiter=delimiter), [])
        if existing != list(header):
            raise FileError(f"{old.name} has other columns: {', '.join(existing)}")
    joined = new.with_name(new.name + ".joined")
    try:
        with joined.open("wb") as target:
            _append_lines(old, target)
            _append_lines(new, target)
        joined.replace(new)
    finally:
        joined.unlink(missing_ok=True)


def join_json_arrays(old: Path, new: Path) -> None:
    """Insert the elements of one JSON array before those of another. Raises FileError for other JSON."""
    before = old.read_bytes().strip()
    added = new.read_bytes().strip()
    if not (before.startswith(b"[") and before.endswith(b"]")):
        raise FileError(f"{old.name} is not a JSON array; cannot append to it")
    first, second = before[1:-1].strip(), added[1:-1].strip()
    between = b",\n\t" if first and second else b""
    new.write_bytes(b"[\n\t" + first + between + second + b"\n]\n")


def _append_lines(source: Path, target: BinaryIO) -> None:
    import shutil

    with source.open("rb") as file:
        shutil.copyfileobj(file, target, 1 << 20)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                target.write(b"\n")


def _create_target(temporary: Path, target: Path, allowed_modes: str) -> None:
    """Rename the temporary file; raises FileError if ``target`` was created meanwhile."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise FileError(f"{target} exists already; end with {allowed_modes}") from None
    except OSError:  # a file system without hard links
        check_target(target, None, allowed_modes)
        temporary.replace(target)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
