"""The adapter to the fault server, as in the tests of adapters."""

from tests.adapters.conftest import make_adapter

__all__ = ["make_adapter"]
