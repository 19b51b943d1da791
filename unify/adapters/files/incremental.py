"""Which files a load reads: all of them, or with ``incremental: files`` those that are new or changed.

The state of a table is the version of each file whose rows are stored, by path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from unify.adapters.files.reading import FILE_COLUMN
from unify.adapters.files.store import StoredFile
from unify.adapters.relation import SourceLoadRequest
from unify.adapters.spec.table_keys import RefreshStrategy
from unify.model import Action
from unify.text import format_count


class FileChanges(Struct, frozen=True):
    """What a load reads. ``removed``: the files whose stored rows are deleted first."""

    files: tuple[StoredFile, ...]
    strategy: RefreshStrategy
    key: tuple[str, ...] = ()
    cursors: Mapping[str, str] = {}
    removed: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def plan_changes(files: Sequence[StoredFile], request: SourceLoadRequest) -> FileChanges:
    """Compare the files with the state of earlier loads."""
    settings = request.settings
    versions = {file.path: file.version for file in files}
    if not settings.by_files:
        return FileChanges(tuple(files), settings.strategy or "reload", settings.key)
    if request.action is Action.RELOAD or not request.cursors or not request.stored_columns:
        return FileChanges(tuple(files), "reload", settings.key, versions)
    return _plan_refresh(files, versions, request)


def _plan_refresh(
    files: Sequence[StoredFile], versions: Mapping[str, str], request: SourceLoadRequest
) -> FileChanges:
    settings, known = request.settings, request.cursors
    changed = tuple(file for file in files if known.get(file.path) != file.version)
    vanished = [path for path in known if path not in versions]
    replaced = [file.path for file in changed if file.path in known]
    drops = settings.strategy == "merge_delete"
    kept = {} if drops else {path: known[path] for path in vanished}
    notes = [f"{format_count(len(changed), 'file')} of {len(files):,} new or changed"]
    if vanished:
        notes.append(f"{format_count(len(vanished), 'file')} gone: rows {'deleted' if drops else 'kept'}")
    return FileChanges(
        changed,
        "merge" if settings.key else "append",
        settings.key,
        {**kept, **versions},
        tuple({FILE_COLUMN: path} for path in [*replaced, *(vanished if drops else ())]),
        tuple(notes),
    )
