"""Repairs of what a check found. Nothing that can be read is lost, and no data file is deleted."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from unify.config import trust
from unify.config.settings import Settings
from unify.errors import DaemonUnreachable, UnifyError
from unify.homes.report import Finding, HomeReport, Repair
from unify.model import Action, ConfigPaths, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.status.client import StatusClient
from unify.status.launch import is_daemon_running


def repair_home(settings: Settings, report: HomeReport) -> Iterator[str]:
    """Repair what ``--repair`` repairs; yield a sentence for each thing done or not possible."""
    done: set[object] = set()
    for finding in report.findings:
        key = finding.table if finding.repair is Repair.RELOAD else finding.path
        if finding.repair is not Repair.NONE and (finding.repair, key) not in done:
            done.add((finding.repair, key))
            try:
                yield _REPAIRS[finding.repair](settings, finding)
            except (OSError, UnifyError) as error:
                yield f"{finding.path}: not repaired: {error}"


def _restore_modes(_settings: Settings, finding: Finding) -> str:
    """Take access from other users."""
    for path in finding.paths:
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.lstat().st_mode) & 0o700)
    return f"{finding.path}: other users have no access any more"


def _remove_staging(settings: Settings, finding: Finding) -> str:
    assert finding.path.parent == settings.staging
    if finding.path.is_dir() and not finding.path.is_symlink():
        shutil.rmtree(finding.path)
    else:
        finding.path.unlink()
    return f"{finding.path}: removed"


def _request_reload(settings: Settings, finding: Finding) -> str:
    table = finding.table
    assert table is not None
    if problem := trust.find_problem(settings):
        return f"{table}: no reload was requested ({settings.connections}: {problem})"
    text = f"{table}: reload requested as job {_enqueue_reload(settings, table)}"
    if not is_daemon_running(settings):
        return f"{text}; the daemon runs it when it is started (unify daemon start)"
    with StatusClient(settings.socket_folder) as client, suppress(DaemonUnreachable):
        client.poll_queue()  # it would find the job later
    return text


def _enqueue_reload(settings: Settings, table: TableName) -> int:
    origin = ConfigPaths(
        os.path.abspath(settings.connections),
        tuple(os.path.abspath(folder) for folder in settings.specs),
        settings.connections_found,
    )
    with Queue(settings.queue) as queue:
        return queue.enqueue(NewJob(settings.tenant, Action.RELOAD, table, origin)).id


def _replace_queue(settings: Settings, _finding: Finding) -> str:
    """Open the queue, which sets a damaged file aside and restores the schedules."""
    notices: list[str] = []
    with Queue(settings.queue, notices.append) as queue:
        queue.schedules()
    return "; ".join(notices) or f"{settings.queue}: it can be read again"


_REPAIRS: dict[Repair, Callable[[Settings, Finding], str]] = {
    Repair.MODE: _restore_modes,
    Repair.STAGING: _remove_staging,
    Repair.RELOAD: _request_reload,
    Repair.QUEUE: _replace_queue,
}
