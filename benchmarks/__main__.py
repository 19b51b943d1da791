"""``make bench``: every measurement, one line each."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import convert, loading, starting


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="unify-bench-") as name:
        for number, measure in enumerate((starting.measure, convert.measure, loading.measure)):
            folder = Path(name) / str(number)
            folder.mkdir()
            for figure in measure(folder):
                print(figure, flush=True)


if __name__ == "__main__":
    main()
