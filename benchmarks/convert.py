"""The time from JSON text to staged Parquet, against ``json.loads`` of the same rows.

``python -m benchmarks.convert`` adds rows per second, processor time and the memory of a separate process.
Pages have 100 rows; the time includes splitting their bodies into rows.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.measure import Figure, best_s
from unify.adapters.spec.table_keys import ColumnDef
from unify.convert.selection import ColumnRules
from unify.convert.stage import RowStage

PAGE_ROWS = 100
SHAPES: Mapping[str, ColumnRules] = {
    "small": ColumnRules(),
    "small, cursor": ColumnRules(cursor="updated_at"),
    "small, 3 columns": ColumnRules(only=("id", "title", "user_login")),
    "small, decimal(18,4)": ColumnRules(columns=(ColumnDef("score", "decimal(18,4)"),)),
    "large": ColumnRules(),
    "large, 30 columns": ColumnRules(only=("id", "name", "group_0")),
}
_row_decoder = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class StageRun:
    """One staging of a file of rows."""

    rows: int
    seconds: float
    cpu_s: float


def measure(folder: Path) -> Iterator[Figure]:
    """Stage 100,000 small and 10,000 large objects, with all and with three columns."""
    files = {
        "small": _write_pages(folder / "small", 100_000),
        "large": _write_pages(folder / "large", 10_000),
    }
    yardsticks = {name: best_s(lambda path=path: _parse_json(path), 2) for name, path in files.items()}  # type: ignore[misc]
    for name, shape in SHAPES.items():
        kind = name.split(",")[0]
        seconds = min(stage_file(files[kind], folder / "stage", shape).seconds for _ in range(3))
        yield Figure(f"rows into Parquet: {name}", seconds, yardsticks[kind])


def stage_file(file: Path, folder: Path, shape: ColumnRules) -> StageRun:
    """Stage the rows of a file in a temporary folder."""
    folder.mkdir()
    began, cpu_began = time.perf_counter(), time.process_time()
    with RowStage(folder, shape) as rowstage:
        for body in _read_pages(file):
            rowstage.write(_row_decoder.decode(body))
        sealed = rowstage.finish()
    run = StageRun(sealed.rows, time.perf_counter() - began, time.process_time() - cpu_began)
    shutil.rmtree(folder)
    return run


def small_row(number: int) -> dict[str, object]:
    """An issue of about 600 bytes: nested objects, a list of objects, dates, nulls."""
    return {
        "id": 10**6 + number,
        "node_id": f"MDU6SXNzdWU{number:08d}==",
        "number": number,
        "title": f"The loader says {number} where it should say nothing at all",
        "state": "open" if number % 3 else "closed",
        "locked": False,
        "user": {
            "login": f"user{number % 500}",
            "id": number % 500,
            "type": "User",
            "site_admin": False,
            "html_url": f"https://example.com/user{number % 500}",
        },
        "labels": [{"id": n, "name": "bug", "color": "f29513", "default": True} for n in range(number % 3)],
        "milestone": {"id": 3, "title": "v1", "due_on": "2024-05-01T00:00:00Z"} if number % 4 == 0 else None,
        "comments": number % 7,
        "score": number / 8,
        "created_at": f"2024-03-{number % 28 + 1:02d}T10:{number % 60:02d}:00Z",
        "updated_at": f"2024-04-{number % 28 + 1:02d}T10:{number % 60:02d}:30Z",
        "closed_at": None,
        "html_url": f"https://example.com/issues/{number}",
    }


def large_row(number: int) -> dict[str, object]:
    """An object of 17 KB with 340 leaves in twelve groups."""
    row: dict[str, object] = {"id": number, "name": f"object {number}", "tags": ["a", "b", "c"]}
    for group in range(12):
        leaves = (
            number * group,
            f"text of a common length {number} " + "x" * 55,
            number / 3 + group,
            bool(number % 2),
            f"2024-03-01T10:{number % 60:02d}:00Z",
            f"https://api.example.com/things/{number}/{group}/children",
            None if number % 3 else "abc",
        )
        row[f"group_{group}"] = {f"field_{group}_{place}": leaves[place % 7] for place in range(28)}
    row["description"] = "y" * max(0, 17_000 - len(json.dumps(row)))
    return row


def _write_pages(path: Path, rows: int) -> Path:
    """Write a file with one page on each line."""
    make = small_row if path.name == "small" else large_row
    with path.open("wb") as file:
        for start in range(0, rows, PAGE_ROWS):
            page = [make(number) for number in range(start, start + PAGE_ROWS)]
            file.write(json.dumps(page, separators=(",", ":")).encode() + b"\n")
    return path


def _read_pages(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        yield from lines


def _parse_json(file: Path) -> None:
    for body in _read_pages(file):
        json.loads(body)


def _run_in_process(file: Path, name: str) -> None:
    """Stage once in a separate process and print time and memory."""
    words = [sys.executable, "-m", "benchmarks.convert", str(file), name]
    print(subprocess.run(words, check=True, capture_output=True, text=True).stdout, end="")


def _peak_mb() -> float:
    """Return the peak memory of this process; on Linux, getrusage includes that of the parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    if len(sys.argv) == 3:
        path, name = Path(sys.argv[1]), sys.argv[2]
        run = stage_file(path, path.parent / "stage", SHAPES[name])
        speed = f"{run.rows / run.seconds:>9,.0f} rows/s {run.cpu_s:>6.2f} s of CPU"
        print(f"{name:<24} {speed} {_peak_mb():>6.0f} MB at most")
        return
    with tempfile.TemporaryDirectory(prefix="unify-bench-") as name:
        for figure in measure(Path(name)):
            print(figure, flush=True)
        for shape in SHAPES:
            _run_in_process(Path(name) / shape.split(",")[0], shape)


if __name__ == "__main__":
    main()
