"""Where imported rows come from: a file, several by a glob, or an address that is fetched first."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from unify.errors import FileError
from unify.interpreter.fileformats import FileFormat, format_of, table_name
from unify.settings import private_folder

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_MOST_FILES = 10_000
_DOWNLOAD_BYTES = 1_000_000_000  # held in memory while it arrives
_DOWNLOAD_S = 3600.0  # for the whole file; silence ends it much sooner
_TYPES = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}


@dataclass(frozen=True, slots=True)
class Found:
    """Files of one format, in the order of their names. ``table`` is what they suggest as a name."""

    paths: tuple[Path, ...]
    format: FileFormat
    table: str


@contextmanager
def found(place: str, cache: Path) -> Iterator[Found]:
    """The files that ``place`` means; what was fetched is gone when the block ends.

    Raises  FileError where there is none, or of several formats; SourceError from an address.
    """
    if not _ADDRESS.match(place):
        paths = _local(place)
        yield Found(paths, _common_format(place, paths), table_name(_base_name(place, paths)))
        return
    private_folder(cache)
    with TemporaryDirectory(prefix="import-", dir=cache) as folder:
        path = _fetched(place, Path(folder))
        yield Found((path,), format_of(path.name), table_name(path.name))


def _local(place: str) -> tuple[Path, ...]:
    path = Path(place).expanduser()
    if path.is_file():
        return (path.absolute(),)
    if path.is_dir():
        raise FileError(f"{place} is a folder; {path.name}/*.csv imports the files in it")
    matches = sorted(match for match in glob.iglob(str(path), recursive=True) if Path(match).is_file())
    if not matches:
        many = glob.has_magic(place)
        raise FileError(f"{place}: {'no file matches' if many else 'there is no such file'}")
    if len(matches) > _MOST_FILES:
        raise FileError(f"{place}: {len(matches):,} files match, more than {_MOST_FILES:,}")
    return tuple(Path(match).absolute() for match in matches)


def _common_format(place: str, paths: Sequence[Path]) -> FileFormat:
    formats = {format_of(path.name) for path in paths}
    if len(formats) > 1:
        raise FileError(f"{place}: matches files of several formats ({', '.join(sorted(formats))})")
    return formats.pop()


def _base_name(place: str, paths: Sequence[Path]) -> str:
    """What names the table: the file; of a glob its fixed part, or the folder the files are in."""
    if len(paths) == 1:
        return paths[0].name
    fixed = re.split(r"[*?\[]", Path(place).name)[0].strip("_-. ")
    return fixed or paths[0].parent.name


def _fetched(address: str, folder: Path) -> Path:
    """The file at an address, whole, through the door that all requests take. No credentials go along."""
    from unify.adapters.messages import Request, origin_of
    from unify.adapters.route import Bounds, Route
    from unify.adapters.transport import Transport

    bounds = Bounds(page_s=_DOWNLOAD_S, body_bytes=_DOWNLOAD_BYTES)
    route = Route(origin_of(address), credentials="the address: no credentials are sent with an import")
    with closing(Transport(route, bounds=bounds)) as transport:
        answer = transport.fetch(Request("GET", address, headers={"Accept": "*/*"}))
    path = folder / _file_name(address, answer.headers.get("content-type", ""))
    path.write_bytes(answer.body)
    return path


def _file_name(address: str, content_type: str) -> str:
    """The last part of the address, with the suffix of what was sent where it has none of ours."""
    last = PurePosixPath(unquote(urlsplit(address).path)).name or "download"
    try:
        format_of(last)
    except FileError:
        suffix = _TYPES.get(content_type.partition(";")[0].strip().lower())
        if suffix is None:
            raise
        return f"{last}{suffix}"
    return last
