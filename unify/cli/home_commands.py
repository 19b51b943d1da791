"""``unify lake check``, ``unify backup`` and ``unify restore``: whole homes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from unify.config.settings import Settings
from unify.errors import ConfigError
from unify.homes.check import check_home
from unify.homes.repair import repair_home
from unify.homes.report import HomeReport, Progress
from unify.render.formats.layout import truncate_text
from unify.render.messages import Messages
from unify.render.terminal import terminal_size
from unify.shell.invocation import Invocation
from unify.text import escape_text, format_count

PROGRESS_INTERVAL_S = 0.2
EXIT_FINDINGS = 1


def check_lake(invocation: Invocation, settings: Settings, messages: Messages) -> int:
    """Print what is wrong with the home, repair it if asked, and return 1 if a fault is left."""
    if not settings.home.is_dir():
        raise ConfigError(f"{settings.home}: there is no such home folder; name another with --home")
    with show_progress(messages) as progress:
        report = check_home(settings, deep=invocation.deep, progress=progress)
    print_report(report)
    if invocation.repair and report.findings:
        for line in repair_home(settings, report):
            _print_line(f"repair: {line}")
        with show_progress(messages) as progress:
            report = check_home(settings, deep=invocation.deep, progress=progress)
        _print_line(f"after the repair: {_count_faults(report)}")
    return EXIT_FINDINGS if report.findings else 0


def print_report(report: HomeReport) -> None:
    """Print a line for each finding, and a summary."""
    for text in (*report.findings, *report.notices):
        _print_line(str(text))
    size = f"{report.bytes / 1e6:,.1f} MB"
    counts = f"{format_count(report.tables, 'table')}, {format_count(report.files, 'data file')} ({size})"
    _print_line(f"{report.home}: {counts}: {_count_faults(report)}")


def _count_faults(report: HomeReport) -> str:
    return format_count(len(report.findings), "fault") if report.findings else "no faults"


@contextmanager
def show_progress(messages: Messages) -> Iterator[Progress]:
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


def _print_line(line: str) -> None:
    sys.stdout.write(escape_text(line) + "\n")
