"""A home folder with a running shell and a warm daemon, connected to the benchmark's API."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.measure import Measured
from benchmarks.server import run_server
from benchmarks.tables import BenchmarkTable
from unify.cli import args, bootstrap
from unify.config.settings import Settings
from unify.interpreter.results import Rows
from unify.model import LoaderStatus
from unify.redaction import Redactor
from unify.shell.script_runner import ShellSession
from unify.status.launch import ensure_daemon, stop_daemon

CONCURRENCY = 4  # parallel page requests: the default of a spec

_SPEC = """\
name: bench
base_url: "{{base_url}}"
options: {{base_url: {{description: Where the benchmark's API listens}}}}
paging: {{type: page, page_param: page, size_param: size, size: {size}, pages_path: pages}}
limits: {{concurrency: {hands}}}
tables:
"""
_TABLE = """\
  - name: {name}
    request: GET /{served}
    rows: items
    key: id
{more}"""


class SilentWatcher:
    """A watcher without a user."""

    def notice(self, text: str) -> None:
        print(f"  ({text})", file=sys.stderr)

    @property
    def redactor(self) -> Redactor:
        return Redactor()

    def show_progress(self, statuses: Sequence[LoaderStatus]) -> None: ...
    def end_progress(self, reported_jobs: Collection[int] = ()) -> None: ...

    def ask_user(self, question: str, *, secret: bool = False) -> str | None:  # noqa: ARG002
        return None

    def user_prompt(self) -> None:
        return None


class BenchmarkHome:
    """The home of a measurement; ``address`` is that of the API."""

    def __init__(self, settings: Settings, address: str, session: ShellSession) -> None:
        self.settings = settings
        self.address = address
        self._session = session

    def run_statement(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement and return its rows."""
        result = self._session.run(statement)
        return [row for batch in result.batches for row in batch] if isinstance(result, Rows) else []

    def time_statement(self, statement: str) -> float:
        """Return the seconds until the last row of the result."""
        began = time.perf_counter()
        self.run_statement(statement)
        return time.perf_counter() - began

    def measure_statement(self, statement: str) -> Measured:
        """Return elapsed time and processor time of shell, daemon and workers together."""
        cpu_began = self._cpu_s()
        seconds = self.time_statement(statement)
        cpu_s = None if cpu_began is None else (self._cpu_s() or 0.0) - cpu_began
        return Measured(seconds, cpu_s)

    def data_files(self, table: str) -> list[Path]:
        """Return the current Parquet files of a table."""
        found = self.run_statement(
            f"select data_file from ducklake_list_files('lake', '{table}', schema => 'bench')"
        )
        return [Path(str(name)) for (name,) in found]

    def reset_peak_memory(self) -> None:
        """Reset the peak memory of every worker."""
        for process in self._worker_processes():
            (process / "clear_refs").write_text("5")

    def worker_peak_mb(self) -> float | None:
        """Return the highest peak memory of a worker; None if the system does not report it."""
        peaks = [_process_peak_kb(process) for process in self._worker_processes()]
        return max(peaks) / 1024 if peaks else None

    def _cpu_s(self) -> float | None:
        """Return the processor time of every process; None if the system does not report it."""
        used = daemon_cpu_s(self.settings)
        return None if used is None else sum(used) + time.process_time()

    def _worker_processes(self) -> list[Path]:
        daemon = ensure_daemon(self.settings).pid
        processes = [path for path in Path("/proc").glob("[0-9]*") if path.is_dir()]
        return [process for process in processes if _parent_pid(process) == daemon]


@contextmanager
def benchmark_home(
    folder: Path,
    tables: Sequence[BenchmarkTable],
    extra_tables: Mapping[str, tuple[str, str]] | None = None,
    concurrency: int = CONCURRENCY,
) -> Iterator[BenchmarkHome]:
    """Yield a home whose daemon has run a load.

    ``extra_tables``  further tables: name → the table of the API they read, and lines of their spec.
    """
    settings = Settings(folder / "home", folder / "connections.yaml", specs=(folder / "specs",))
    settings.create_folders()
    warm = BenchmarkTable("warm", "small", 1, 1)
    with run_server([*tables, warm]) as address:
        write_bench_spec(settings, [*tables, warm], address, extra_tables or {}, concurrency)
        try:
            with closing(
                bootstrap.open_interpreter(settings, SilentWatcher(), args.parse_arguments([]), {})
            ) as session:
                made = BenchmarkHome(settings, address, session)
                made.run_statement("load table bench.warm")
                yield made
        finally:
            stop_daemon(settings)


def daemon_cpu_s(settings: Settings) -> tuple[float, float] | None:
    """Return the processor time of the daemon and of its workers; None if the system does not report it."""
    daemon = ensure_daemon(settings).pid
    processes = [path for path in Path("/proc").glob("[0-9]*") if path.is_dir()]
    workers = [process for process in processes if _parent_pid(process) == daemon]
    if not workers:
        return None
    return _process_cpu_s(Path("/proc") / str(daemon)), sum(map(_process_cpu_s, workers))


def write_bench_spec(
    settings: Settings,
    tables: Sequence[BenchmarkTable],
    address: str,
    extra_tables: Mapping[str, tuple[str, str]] | None = None,
    concurrency: int = CONCURRENCY,
) -> None:
    """Write the spec of the benchmark's API at ``address``, and the connection ``bench``."""
    [folder] = settings.specs
    folder.mkdir(exist_ok=True)
    size = max(table.page_rows for table in tables)
    text = _SPEC.format(size=size, hands=concurrency)
    for table in tables:
        text += _TABLE.format(name=table.name, served=table.name, more="")
    for name, (served, lines) in (extra_tables or {}).items():
        text += _TABLE.format(name=name, served=served, more=lines)
    (folder / "bench.yaml").write_text(text, encoding="utf-8")
    settings.connections.write_text(
        f"bench:\n  adapter: bench\n  options: {{base_url: '{address}'}}\n", encoding="utf-8"
    )
    settings.connections.chmod(0o600)


def _parent_pid(process: Path) -> int:
    try:
        stat = (process / "stat").read_text()
    except OSError:  # the process has ended
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _process_cpu_s(process: Path) -> float:
    words = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _process_peak_kb(process: Path) -> int:
    status = (process / "status").read_text()
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) if found else 0
