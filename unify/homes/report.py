"""What a check of a home found, and what heals it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from unify.model import TableName

# Called with what is done, the bytes done so far and all of them.
Progress = Callable[[str, int, int], None]


class Repair(StrEnum):
    """What ``--repair`` does about a finding."""

    NONE = ""  # only a person can decide
    RELOAD = "reload"  # request a reload of the table
    STAGING = "staging"  # remove staged rows that no load needs
    MODE = "mode"  # restore modes
    QUEUE = "queue"  # set the damaged queue aside, and restore its schedules


class Finding(Struct, frozen=True):
    """One fault of a home. ``subject`` is a table, or a part of the home such as ``queue``.

    ``remedy``  what a person can do.
    ``table``   the table to reload.
    ``paths``   entries of the folder ``path`` that the finding is about.
    """

    subject: str
    path: Path
    fault: str
    remedy: str
    repair: Repair = Repair.NONE
    table: TableName | None = None
    paths: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{self.subject}: {self.path}: {self.fault}; {self.remedy}"


class HomeReport(Struct, frozen=True):
    """The result of a check.

    ``tables``, ``files``, ``bytes``  of the lake: tables, and data files with their size.
    ``notices``  what could not be checked, and why.
    """

    home: Path
    findings: tuple[Finding, ...] = ()
    tables: int = 0
    files: int = 0
    bytes: int = 0
    notices: tuple[str, ...] = ()


def show_no_progress(_doing: str, _done: int, _total: int) -> None:
    """The Progress of a caller without a terminal."""
