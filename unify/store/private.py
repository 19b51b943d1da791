"""What DuckDB writes into the lake is its owner's alone; what it writes elsewhere heeds the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def private_files() -> Iterator[None]:
    """Files and folders made within the block have mode 0600 and 0700: those of every thread, for so long."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
