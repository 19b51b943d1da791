"""Fixtures for tests of loads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fault_server import FaultServer
from tests.support.loader_shop import LoaderHome
from unify.config.settings import Settings


@pytest.fixture
def loader_home(settings: Settings, api: FaultServer) -> Iterator[LoaderHome]:
    """A home with an empty lake and a connection ``shop`` to ``api``, in which loads run one by one."""
    home = LoaderHome(settings, api)
    yield home
    home.close()
