"""Promises are tested with the command as a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import UnifyCommand


@pytest.fixture
def unify(home: Path) -> UnifyCommand:
    """The command as a process, in a home of its own."""
    return UnifyCommand(home)
