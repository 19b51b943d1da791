"""The person in front, as far as signing in somewhere takes one."""

from __future__ import annotations

from typing import Protocol


class Person(Protocol):
    """Somebody who reads what is said, and has a browser, here or elsewhere."""

    def tell(self, text: str) -> None:
        """Say one line, whatever else is kept quiet."""

    def browse(self, address: str) -> None:
        """Open the address in a browser, if there is one here; returns at once."""
