"""A home that the tests of a module share, with a connection to an API that can be written."""

from __future__ import annotations

import pytest

from tests.support.command import UnifyCommand
from tests.support.crm import Crm, make_crm
from tests.support.fault_server import FaultServer


@pytest.fixture
def crm(shared_unify: UnifyCommand, api: FaultServer) -> Crm:
    return make_crm(shared_unify, api)
