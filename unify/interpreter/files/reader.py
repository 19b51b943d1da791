"""Resolves the location of an import: a file, a glob, a pipe (copied), or a URL (downloaded)."""

from __future__ import annotations

import glob
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from unify.config.settings import create_private_folder
from unify.engine import errors
from unify.engine.files.formats import (
    SNIFFED_BYTES,
    FileFormat,
    detect_content_format,
    detect_format,
    suggest_table_name,
)
from unify.engine.files.scan import FileScan, build_file_query
from unify.engine.sources import OPEN_FILES
from unify.errors import FileError, QueryError, UnifyError
from unify.fs.paths import absolute_path, expand_home
from unify.lake.lake import Lake


def build_import_query(lake: Lake, paths: Sequence[Path], format: FileFormat) -> str:
    """Return the SELECT that reads files of one format. Raises QueryError if it cannot read them."""
    return build_file_query(lake.connection, FileScan(tuple(map(_escape_glob, paths)), format)).sql


@contextmanager
def translate_file_errors(lake: Lake, file_name: str) -> Iterator[None]:
    """Translate DuckDB's errors to FileError, with the file's name and without the generated SQL."""
    from unify.engine import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _file_error(errors.translate_statement_error(error, lake.path), file_name) from error
    except QueryError as error:
        raise _file_error(error, file_name) from error


def _file_error(error: UnifyError, file_name: str) -> UnifyError:
    if not isinstance(error, QueryError):
        return error
    return FileError(f"{file_name}: {error.message.splitlines()[0]}")


def _escape_glob(path: Path) -> str:
    """Escape glob characters, which DuckDB would expand."""
    return glob.escape(os.fspath(path))


_URL = re.compile(r"https?://", re.IGNORECASE)
_MAX_FILES = 10_000
_MAX_DOWNLOAD_BYTES = 1_000_000_000  # held in memory
_DOWNLOAD_TIMEOUT_S = 3600.0  # for the whole file; the read timeout is shorter
_SUFFIX_BY_CONTENT_TYPE = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """Files of one format, sorted by name; ``table`` is the default table name."""

    paths: tuple[Path, ...]
    format: FileFormat
    table: str


@contextmanager
def open_source_files(location: str, cache_folder: Path) -> Iterator[SourceFiles]:
    """Resolve ``location``; a downloaded file is deleted when the block ends.

    Raises FileError without a file or for several formats; SourceError from a URL.
    """
    is_url = _URL.match(location) is not None
    if not is_url and not is_stream(location):
        paths = find_local_files(location)
        yield SourceFiles(
            paths, common_format(location, paths), suggest_table_name(_name_for_table(location, paths))
        )
        return
    create_private_folder(cache_folder)
    with TemporaryDirectory(prefix="import-", dir=cache_folder) as folder:
        path = (_download if is_url else _copy_stream)(location, Path(folder))
        yield SourceFiles((path,), detect_format(path.name), suggest_table_name(path.name))


def is_stream(location: str) -> bool:
    """Whether a location is a pipe, or a name of an open file such as /dev/stdin: read once, to its end."""
    if _URL.match(location) is not None:
        return False
    try:
        mode = expand_home(location).stat().st_mode
    except (OSError, ValueError):
        return False
    is_open_file = location.startswith(OPEN_FILES) and not stat.S_ISDIR(mode)
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or is_open_file


def _copy_stream(location: str, folder: Path) -> Path:
    """Copy a stream to a file; without a known suffix, add that of the content. Raises FileError."""
    copied = folder / "stream"
    try:
        with expand_home(location).open("rb") as source, copied.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except OSError as error:
        raise FileError(f"{location}: cannot be read: {error.strerror}") from error
    if not copied.stat().st_size:
        raise FileError(f"{location}: no data")
    name = Path(location).name
    try:
        detect_format(name)
    except FileError:
        with copied.open("rb") as file:
            name = f"{name}.{detect_content_format(file.read(SNIFFED_BYTES))}"
    return copied.rename(folder / name)


def find_local_files(location: str) -> tuple[Path, ...]:
    path = expand_home(location)
    if path.is_file():
        return (absolute_path(path),)
    if path.is_dir():
        raise FileError(f"{location} is a folder; {path.name}/*.csv imports the files in it")
    matches = sorted(match for match in glob.iglob(str(path), recursive=True) if Path(match).is_file())
    if not matches:
        missing = "no file matches" if glob.has_magic(location) else "no such file"
        reason = "is a device, not a file or a pipe" if path.exists() else missing
        raise FileError(f"{location}: {reason}")
    if len(matches) > _MAX_FILES:
        raise FileError(f"{location}: {len(matches):,} files match, more than {_MAX_FILES:,}")
    return tuple(absolute_path(match) for match in matches)


def common_format(location: str, paths: Sequence[Path]) -> FileFormat:
    formats = {detect_format(path.name) for path in paths}
    if len(formats) > 1:
        raise FileError(f"{location}: matches files of several formats ({', '.join(sorted(formats))})")
    return formats.pop()


def _name_for_table(location: str, paths: Sequence[Path]) -> str:
    """Return the file name, or for a glob its fixed prefix or the folder, to name the table."""
    if len(paths) == 1:
        return paths[0].name
    fixed = re.split(r"[*?\[]", Path(location).name)[0].strip("_-. ")
    return fixed or paths[0].parent.name


_MAX_DOWNLOAD_NAME_CHARS = 60  # 240 bytes at most; a file's name has up to 255


def _download(url: str, folder: Path) -> Path:
    """Download a file with the HTTP client of the adapters, without credentials."""
    from unify.adapters.http.client import HttpClient
    from unify.adapters.http.messages import ClientOptions, Request, Timeouts, origin_of

    timeouts = Timeouts(total_s=_DOWNLOAD_TIMEOUT_S, max_body_bytes=_MAX_DOWNLOAD_BYTES)
    options = ClientOptions(origin_of(url), credentials_hint="the URL; import sends no credentials")
    with closing(HttpClient(options, timeouts=timeouts)) as client:
        response = client.fetch(Request("GET", url, headers={"Accept": "*/*"}))
    path = folder / _download_name(url, response.headers.get("content-type", ""))
    path.write_bytes(response.body)
    return path


def _download_name(url: str, content_type: str) -> str:
    """Return the last part of the URL's path; without a known suffix, add that of the content type."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name.replace("\0", "_") or "download"
    name = name[-_MAX_DOWNLOAD_NAME_CHARS:]  # its end has the suffix
    try:
        detect_format(name)
    except FileError:
        suffix = _SUFFIX_BY_CONTENT_TYPE.get(content_type.partition(";")[0].strip().lower())
        if suffix is None:
            raise
        return f"{name}{suffix}"
    return name
