"""``unify restore``: a home from an archive, verified before it is put in place by one rename."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import FileError, StoreError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.fs.failpoints import failpoint
from unify.fs.locks import acquire_flock
from unify.homes.archive import (
    CONFIGURATION_MEMBERS,
    SCHEDULES_MEMBER,
    BackupManifest,
    open_archive,
    read_member,
)
from unify.homes.report import Progress, show_no_progress
from unify.queue.queue import Queue
from unify.status.launch import is_daemon_running

RESTORING_SUFFIX = ".restoring"
UNUSED_SUFFIX = ".restored"  # of connections.yaml and notify.yaml that nobody has agreed to
TENANTS_FOLDER = "tenants"  # homes of their own


class RestoreOutcome(Struct, frozen=True):
    """``aside``: where the home that was there before is now. ``notices``: of the queue.

    ``used``, ``unused``  configuration files of the archive: in place, or beside their name.
    """

    manifest: BackupManifest
    used: tuple[Path, ...] = ()
    unused: tuple[Path, ...] = ()
    aside: Path | None = None
    notices: tuple[str, ...] = ()


def restore_home(
    settings: Settings,
    path: Path,
    *,
    force: bool = False,
    use_configuration: Callable[[Sequence[Path]], bool] = lambda _files: False,
    progress: Progress = show_no_progress,
) -> RestoreOutcome:
    """Unpack the archive beside the home, verify it, and rename it to the home.

    ``force``              move a home that is there aside; nothing of it is deleted.
    ``use_configuration``  whether connections.yaml and notify.yaml of the archive are used: they decide where
                           secrets are sent. Those that are not used get the suffix ``.restored``. Files that
                           equal those of the home that is there are used without a question.
    Raises:
        FileError: the archive is damaged, of a newer version, or no archive of a home.
        StoreError: the home is in use, or not empty.
    """
    home = settings.home.resolve()
    _require_free(settings, home, force=force)
    with private_umask(), open_archive(path) as (archive, manifest), _restoring_folder(home) as folder:
        _require_space(folder, manifest)
        done = 0
        for member in manifest.members:
            progress("restoring", done, manifest.size)
            suffix = UNUSED_SUFFIX if member.name in CONFIGURATION_MEMBERS else ""
            target = folder / f"{member.name}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            with open(os.open(target, flags, 0o600), "wb") as file:
                read_member(path, archive, member, file)
                file.flush()
                os.fsync(file.fileno())
            done += member.size
        used, unused = _choose_configuration(folder, home, use_configuration)
        notices = _create_queue(folder)
        _sync_folders(folder)
        _require_free(settings, home, force=force)
        failpoint("restore.before_rename")
        aside = _put_in_place(folder, home)
    return RestoreOutcome(
        manifest,
        tuple(home / name for name in used),
        tuple(home / f"{name}{UNUSED_SUFFIX}" for name in unused),
        aside,
        tuple(notices),
    )


def _require_free(settings: Settings, home: Path, *, force: bool) -> None:
    if is_daemon_running(settings):
        raise StoreError(
            f"{home}: its daemon is running; stop it with unify daemon stop --home {home}, and try again"
        )
    if not home.exists() or force:
        return
    if not home.is_dir():
        raise StoreError(f"{home}: it is not a folder; choose another with --home")
    if any((home / "lake").glob("*")):
        raise StoreError(
            f"{home}: there is a home with a lake; restore to another folder with --home, or move this one "
            "aside with --force"
        )
    if entries := sorted(entry.name for entry in home.iterdir()):
        names = ", ".join(entries[:3]) + (" …" if len(entries) > 3 else "")
        raise StoreError(
            f"{home}: the folder is not empty ({names}); restore to another with --home, or move this one "
            "aside with --force"
        )


def _require_space(folder: Path, manifest: BackupManifest) -> None:
    available = shutil.disk_usage(folder).free
    if available < manifest.size:
        raise StoreError(
            f"{folder.parent}: the disk has {available / 1e6:,.0f} MB free, and the backup needs "
            f"{manifest.size / 1e6:,.0f} MB"
        )


@contextmanager
def _restoring_folder(home: Path) -> Iterator[Path]:
    """Create an empty folder beside the home. What a killed process left in it is removed."""
    folder = home.with_name(home.name + RESTORING_SUFFIX)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be created ({error.strerror})") from error
    if not acquire_flock(descriptor, timeout_s=0):  # which has closed it
        raise StoreError(f"{home}: another process is restoring this home")
    try:
        if not _is_at(folder, descriptor):
            raise StoreError(f"{home}: another process has just restored this home")
        os.fchmod(descriptor, 0o700)
        for entry in folder.iterdir():
            _remove(entry)
        yield folder
    except OSError as error:
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise FileError(f"{error.filename or folder}: cannot be restored ({reason})") from error
    finally:
        if _is_at(folder, descriptor):  # an error came before the rename
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _is_at(folder: Path, descriptor: int) -> bool:
    return folder.exists() and os.path.samestat(folder.stat(), os.fstat(descriptor))


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _choose_configuration(
    folder: Path, home: Path, use_configuration: Callable[[Sequence[Path]], bool]
) -> tuple[Sequence[str], Sequence[str]]:
    """Give the configuration files that are used their names; return these, and those not used."""
    restored = {name: folder / f"{name}{UNUSED_SUFFIX}" for name in CONFIGURATION_MEMBERS}
    restored = {name: file for name, file in restored.items() if file.exists()}
    new = [name for name, file in restored.items() if not _has_same_content(file, home / name)]
    unused = new if new and not use_configuration([restored[name] for name in new]) else []
    used = [name for name in restored if name not in unused]
    for name in used:
        restored[name].rename(folder / name)
    return used, unused


def _has_same_content(file: Path, other: Path) -> bool:
    try:
        return durable.read_regular_file(other) == file.read_bytes()
    except OSError:
        return False


def _create_queue(folder: Path) -> list[str]:
    """Create the queue with the schedules of the archive."""
    notices: list[str] = []
    if (folder / SCHEDULES_MEMBER).exists():
        with Queue(folder / "queue.db", notices.append) as queue:
            queue.schedules()
    return [notice.rpartition(f"{SCHEDULES_MEMBER}: ")[2] for notice in notices]


def _sync_folders(folder: Path) -> None:
    for place, _, _ in os.walk(folder):
        durable.fsync_path(Path(place))


def _put_in_place(folder: Path, home: Path) -> Path | None:
    """Rename ``folder`` to ``home``; return where the folder that was there is now."""
    aside = None
    if home.exists() and any(home.iterdir()):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = home.with_name(f"{home.name}.before-restore-{stamp}")
        _rename(home, aside)
    try:
        _rename(folder, home)
    except BaseException:
        if aside is not None:
            aside.rename(home)
        raise
    if aside is not None and (aside / TENANTS_FOLDER).exists():
        (aside / TENANTS_FOLDER).rename(home / TENANTS_FOLDER)
    durable.fsync_path(home.parent)
    return aside


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise StoreError(
                f"{source}: it is a mount point and cannot be renamed; restore to a folder in it with --home"
            ) from error
        raise
