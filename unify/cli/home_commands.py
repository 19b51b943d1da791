"""``unify lake check``, ``unify backup`` and ``unify restore``: whole homes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unify.config.settings import Settings
from unify.config.trust import describe_use
from unify.errors import ConfigError
from unify.fs.paths import absolute_path
from unify.homes.archive import BackupManifest
from unify.homes.backup import BackupOptions, write_backup
from unify.homes.check import check_home
from unify.homes.repair import repair_home
from unify.homes.report import HomeReport, Progress
from unify.homes.restore import restore_home
from unify.render.formats.layout import truncate_text
from unify.render.messages import Messages
from unify.render.stdout import print_line
from unify.render.terminal import confirm, is_interactive, terminal_size
from unify.shell.invocation import Invocation
from unify.text import format_count

PROGRESS_INTERVAL_S = 0.2
EXIT_FINDINGS = 1


def run_home_task(invocation: Invocation, settings: Settings, messages: Messages) -> int:
    """Run one of the three commands and return the exit status. Raises FileError, StoreError."""
    if invocation.task != "restore" and not settings.home.is_dir():
        raise ConfigError(f"{settings.home}: there is no such home folder; name another with --home")
    match invocation.task:
        case "backup":
            return _back_up(invocation, settings, messages)
        case "restore":
            return _restore(invocation, settings, messages)
        case _:
            return _check(invocation, settings, messages)


def _check(invocation: Invocation, settings: Settings, messages: Messages) -> int:
    """Print what is wrong with the home, repair it if asked, and return 1 if a fault is left."""
    with _show_progress(messages) as progress:
        report = check_home(settings, deep=invocation.deep, progress=progress)
    _print_report(report)
    if invocation.repair and report.findings:
        for line in repair_home(settings, report):
            print_line(f"repair: {line}")
        with _show_progress(messages) as progress:
            report = check_home(settings, deep=invocation.deep, progress=progress)
        print_line(f"after the repair: {_count_faults(report)}")
    return EXIT_FINDINGS if report.findings else 0


def _print_report(report: HomeReport) -> None:
    """Print a line for each finding, and a summary."""
    for text in (*report.findings, *report.notices):
        print_line(str(text))
    size = f"{report.bytes / 1e6:,.1f} MB"
    counts = f"{format_count(report.tables, 'table')}, {format_count(report.files, 'data file')} ({size})"
    print_line(f"{report.home}: {counts}: {_count_faults(report)}")


def _count_faults(report: HomeReport) -> str:
    return format_count(len(report.findings), "fault") if report.findings else "no faults"


@contextmanager
def _show_progress(messages: Messages) -> Iterator[Progress]:
    """Show progress in one line of the terminal; nothing elsewhere or with -q."""
    is_shown = messages.stream.isatty() and not messages.quiet
    shown_at = -PROGRESS_INTERVAL_S

    def show(doing: str, done: int, total: int) -> None:
        nonlocal shown_at
        if is_shown and time.monotonic() - shown_at >= PROGRESS_INTERVAL_S:
            shown_at = time.monotonic()
            width, _ = terminal_size(messages.stream)
            text = truncate_text(f"{doing}: {done / 1e6:,.1f} of {total / 1e6:,.1f} MB", width - 1)
            messages.write_raw(f"\r{text}\x1b[K")

    try:
        yield show
    finally:
        if shown_at >= 0:
            messages.write_raw("\r\x1b[K")


def _back_up(invocation: Invocation, settings: Settings, messages: Messages) -> int:
    """Write a backup and print what it holds."""
    [path] = invocation.words
    with_connections = invocation.with_connections is not False
    options = BackupOptions(invocation.force, invocation.with_tokens, with_connections)
    with _show_progress(messages) as progress:
        result = write_backup(settings, absolute_path(path), options, progress)
    for notice in result.notices:
        messages.notice(notice)
    print_line(f"{result.path}: {_contents(result.manifest)}, verified")
    return 0


def _restore(invocation: Invocation, settings: Settings, messages: Messages) -> int:
    """Restore a backup, check the home, and return 1 if a fault is found."""
    [path] = invocation.words

    def use_configuration(files: Sequence[Path]) -> bool:
        if invocation.with_connections is not None:
            return invocation.with_connections
        return is_interactive() and confirm(messages, _configuration_question(files))

    with _show_progress(messages) as progress:
        outcome = restore_home(
            settings,
            absolute_path(path),
            force=invocation.force,
            use_configuration=use_configuration,
            progress=progress,
        )
    manifest = outcome.manifest
    print_line(
        f"{settings.home}: restored {_contents(manifest)}, as of {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    if outcome.aside is not None:
        print_line(f"the home that was there is now {outcome.aside}")
    for file in outcome.used:
        print_line(f"{file}: restored from the archive; it decides where secrets are sent")
    for file in outcome.unused:
        print_line(
            f"{file}: restored, but not used: {file.stem} decides where secrets are sent. Read it and rename "
            "it, or restore with --with-connections"
        )
    for notice in outcome.notices:
        print_line(notice)
    with _show_progress(messages) as progress:
        report = check_home(settings, progress=progress)
    _print_report(report)
    return EXIT_FINDINGS if report.findings else 0


def _configuration_question(files: Sequence[Path]) -> str:
    """Say what the connections of an archive read and where they send it, and ask whether to use them."""
    lines = ["The archive has configuration files, which decide where secrets are sent:"]
    for file in files:
        lines.append(f"  {file.stem}")
        if file.stem == "connections.yaml":
            lines += [f"    {line}" for line in _connections_lines(file)]
    return "\n".join([*lines, "Use them? Otherwise they are restored under other names."])


def _connections_lines(file: Path) -> Sequence[str]:
    try:
        return describe_use(file)
    except ConfigError as error:
        return error.message.splitlines()


def _contents(manifest: BackupManifest) -> str:
    files = format_count(len(manifest.members), "file")
    return f"{format_count(manifest.tables, 'table')} in {files} ({manifest.size / 1e6:,.1f} MB)"
