"""The promises are checked from outside: the command is a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import UnifyCommand


@pytest.fixture
def unify(home: Path) -> UnifyCommand:
    """The command in a home of its own, as a process."""
    return UnifyCommand(home)
