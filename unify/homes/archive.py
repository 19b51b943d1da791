"""The archive of a home: a ZIP file whose last member lists the others with sizes and SHA-256 checksums.

manifest.json             ``BackupManifest``
lake/catalog.sqlite       the catalog as of one commit
lake/identity.json, lake/ready, lake/files/…
schedules.json            schedules of tables and scripts, and pauses, as the queue saves them
variables/…, preferences, connections.yaml, notify.yaml, tokens/…
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from unify.errors import FileError
from unify.homes.report import Progress
from unify.lake.attachment.attach import LAKE_SCHEMA_VERSION
from unify.lake.integrity.checksums import Checksum
from unify.version import VERSION

FORMAT = 1
MANIFEST_MEMBER = "manifest.json"
CATALOG_MEMBER = "lake/catalog.sqlite"
SCHEDULES_MEMBER = "schedules.json"
WRITES_MEMBER = "writes.db"
CONFIGURATION_MEMBERS = ("connections.yaml", "notify.yaml")  # they decide where secrets are sent
MAX_MANIFEST_BYTES = 512_000_000  # some million members
CHUNK_BYTES = 1_000_000

# What zipfile raises for an archive that is damaged, encrypted or compressed in another way.
_DAMAGES = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError)
_FILES = frozenset(
    (
        *(CATALOG_MEMBER, "lake/checksums", "lake/identity.json", "lake/ready", SCHEDULES_MEMBER),
        *(WRITES_MEMBER, "preferences", *CONFIGURATION_MEMBERS),
    )
)
_FOLDERS = (("lake", "files"), ("variables",), ("tokens",))


class ArchiveMember(Struct, frozen=True):
    """A file of the archive: its name, size and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


class BackupManifest(Struct, frozen=True):
    """What an archive holds. ``snapshot`` is the number of the lake's last commit."""

    format: int
    version: str
    created_at: datetime
    home: str
    lake_schema: int
    snapshot: int
    tables: int
    members: tuple[ArchiveMember, ...]

    @property
    def size(self) -> int:
        return sum(member.size for member in self.members)


class _Versions(Struct, frozen=True):
    """The part of a manifest that every version can read."""

    format: int
    version: str
    lake_schema: int = 0


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, BackupManifest]]:
    """Open an archive of this or an older version, and check the names of its members.

    Raises FileError.
    """
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            manifest = _read_manifest(path, archive)
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error
        except _DAMAGES as error:
            raise FileError(f"{path}: it is no backup of Unify, or it is truncated ({error})") from error
        yield archive, manifest


def read_member(
    path: Path, archive: zipfile.ZipFile, member: ArchiveMember, target: IO[bytes] | None = None
) -> None:
    """Read a member and compare size and checksum; write it to ``target``. Raises FileError naming it."""
    digest, size = hashlib.sha256(), 0
    for chunk in _read_chunks(path, archive, member.name):
        size += len(chunk)
        if size > member.size:
            break
        digest.update(chunk)
        if target is not None:
            target.write(chunk)
    if size != member.size or digest.hexdigest() != member.sha256:
        raise FileError(f"{path}: {member.name} is damaged: its SHA-256 is not that of the manifest")


def _read_chunks(path: Path, archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    try:
        with archive.open(name) as source:
            while chunk := source.read(CHUNK_BYTES):
                yield chunk
    except _DAMAGES as error:
        raise FileError(f"{path}: {name} is damaged ({error})") from error


def verify_archive(path: Path, progress: Progress) -> BackupManifest:
    """Read every member back and compare sizes and checksums. Raises FileError."""
    with open_archive(path) as (archive, manifest):
        done = 0
        for member in manifest.members:
            progress("verifying the backup", done, manifest.size)
            read_member(path, archive, member)
            done += member.size
    return manifest


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> BackupManifest:
    try:
        about = archive.getinfo(MANIFEST_MEMBER)
    except KeyError as error:
        raise FileError(f"{path}: it is no backup of Unify: it has no {MANIFEST_MEMBER}") from error
    if about.file_size > MAX_MANIFEST_BYTES:
        raise FileError(f"{path}: its {MANIFEST_MEMBER} is too large")
    data = archive.read(MANIFEST_MEMBER)
    try:
        versions = msgspec.json.decode(data, type=_Versions)
        if _is_newer(versions):
            raise FileError(
                f"{path}: it was made by a newer version of Unify ({versions.version}; this is {VERSION}); "
                "update Unify"
            )
        manifest = msgspec.json.decode(data, type=BackupManifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: its {MANIFEST_MEMBER} is damaged ({error})") from error
    _check_names(path, archive, manifest)
    return manifest


def _is_newer(versions: _Versions) -> bool:
    return (
        versions.format > FORMAT
        or versions.lake_schema > LAKE_SCHEMA_VERSION
        or _version_key(versions.version) > _version_key(VERSION)
    )


def _version_key(version: str) -> tuple[int, ...]:
    """Return the numbers of a version: 0.10.2 is newer than 0.9."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _check_names(path: Path, archive: zipfile.ZipFile, manifest: BackupManifest) -> None:
    """Raise FileError unless the archive has the members of its manifest, and only names of a home."""
    listed = [member.name for member in manifest.members]
    found = [name for name in archive.namelist() if name != MANIFEST_MEMBER]
    for name in (*found, *listed):
        if not is_allowed_name(name):
            raise FileError(f"{path}: {name!r} is not the name of a file in a home")
    if sorted(listed) != sorted(found) or len(set(listed)) < len(listed):
        odd = sorted(set(listed) ^ set(found)) or sorted(listed)
        raise FileError(f"{path}: its members are not those of its {MANIFEST_MEMBER} (such as {odd[0]})")


def is_allowed_name(name: str) -> bool:
    """Whether a member may be written into a home: no absolute path, and nothing outside of known folders."""
    parts = tuple(name.split("/"))
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        return False
    return name in _FILES or any(
        parts[: len(folder)] == folder and len(parts) > len(folder) for folder in _FOLDERS
    )


def encode_manifest(manifest: BackupManifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)


class ArchiveWriter:
    """Writes members and, at the end, their manifest."""

    def __init__(self, file: IO[bytes]) -> None:
        self.members: list[ArchiveMember] = []
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True)

    def add(self, name: str, source: IO[bytes], *, compress: bool = True) -> Checksum:
        """Add a member; return what its file had. Parquet files are compressed already."""
        about = zipfile.ZipInfo(name)
        about.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        about.external_attr = 0o100600 << 16  # a private file, for programs that unpack the archive
        digest, size = hashlib.sha256(), 0
        with self._archive.open(about, "w", force_zip64=True) as target:
            while chunk := source.read(CHUNK_BYTES):
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.members.append(ArchiveMember(name, size, digest.hexdigest()))
        return Checksum(about.CRC, size)

    def finish(self, about: Mapping[str, object]) -> BackupManifest:
        """Write the manifest and the directory of the archive."""
        manifest = BackupManifest(**about, members=tuple(self.members))  # type: ignore[arg-type]
        self._archive.writestr(MANIFEST_MEMBER, encode_manifest(manifest))
        self._archive.close()
        return manifest

    def close(self) -> None:
        """Close the archive, also if it was not finished."""
        self._archive.close()
