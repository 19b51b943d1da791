"""A home, and servers of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.served_home import ServedHome, serve_home
from unify.config.settings import Settings


@pytest.fixture
def served(settings: Settings) -> Iterator[ServedHome]:
    """A server of a home with an empty lake, without users."""
    with serve_home(settings) as running:
        yield running
