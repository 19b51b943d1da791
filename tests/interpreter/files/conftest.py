from __future__ import annotations

from tests.adapters.files.conftest import seaweedfs

__all__ = ["seaweedfs"]  # a fixture
