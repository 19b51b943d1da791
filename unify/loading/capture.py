"""What a process writes, kept within bounds: its beginning and its end, however much lies between."""

from __future__ import annotations


class Capture:
    """Keeps ``half`` bytes of the beginning and as many of the end of what it is fed."""

    def __init__(self, half: int) -> None:
        self._half = half
        self._first = bytearray()
        self._last = bytearray()
        self._fed = 0

    def feed(self, data: bytes) -> None:
        self._fed += len(data)
        room = self._half - len(self._first)
        self._first += data[:room]
        self._last += data[room:] if room > 0 else data
        if len(self._last) > 2 * self._half:
            del self._last[: -self._half]

    @property
    def text(self) -> str:
        """As UTF-8; where something is left out, whole lines are, and a line in their place says how much."""
        first, last = bytes(self._first), bytes(self._last[-self._half :])
        if len(first) + len(last) < self._fed:
            first = first[: first.rfind(b"\n") + 1]  # no half of anything, a secret's least of all
            last = last[last.find(b"\n") + 1 or len(last) :]
            left_out = self._fed - len(first) - len(last)
            first += f"… {left_out:,} bytes are left out …\n".encode()
        return (first + last).decode("utf-8", errors="replace")
