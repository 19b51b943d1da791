"""The parsed command line."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from unify.render.formats.options import Format, OutputOptions

Task = Literal[
    "shell",
    "demo",
    "check",
    "spec check",
    "spec try",
    "spec test",
    "spec import",
    "daemon run",
    "daemon start",
    "daemon stop",
    "daemon status",
    "serve",
    "ui",
    "mcp",
    "user add",
    "user list",
    "user remove",
    "lake check",
    "backup",
    "restore",
    "trust",
    "completion",
]


ALL_OPERATIONS = "all"
CANCEL_WITHIN_S = 2.0  # between the Ctrl-C that stops waiting and the Ctrl-C that cancels the load


class Step(Struct, frozen=True):
    """One ``-c`` or ``-f``: the statements themselves, or the path of a file ("-" is stdin)."""

    kind: Literal["statements", "file"]
    text: str


class Invocation(Struct, frozen=True):
    """The parsed command line. None: not given; the environment or a default applies.

    ``words``    the arguments of a command: connections to check, spec files.
    ``options``  the options of ``spec try``, in place of those of a connection.
    ``http``, ``postgres``  the addresses of ``serve``; ``cert`` and ``key`` are files.
    ``role``     that of ``user add``; ``password``: it asks for one.
    ``name``, ``auth``, ``tables``, ``from_format``, ``report`` and ``live`` are those of ``spec import``.
    ``pages``    the number of pages that ``spec try`` fetches.
    ``schemas``  that a user or an agent can read; ``bytes``, ``seconds`` and ``calls`` limit it.
    ``write``    the operation of ``spec try --write``, or ALL_OPERATIONS; ``rows`` are its rows.
    """

    task: Task = "shell"
    words: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    format: Format | None = None
    output: str | None = None
    header: bool = True
    null: str | None = None
    max_rows: int | None = None
    quiet: bool = False
    echo: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    keep_going: bool = False
    strict: bool = False
    yes: bool = False
    max_writes: int | None = None
    max_deletes: int | None = None
    loads: bool = False
    deep: bool = False
    repair: bool = False
    force: bool = False
    with_tokens: bool = False
    with_connections: bool | None = None
    http: str | None = None
    postgres: str | None = None
    cert: str | None = None
    key: str | None = None
    open_metrics: bool = False
    schemas: tuple[str, ...] = ()
    bytes: int | None = None
    seconds: float | None = None
    calls: int | None = None
    allow_writes: str | None = None
    role: str | None = None
    password: bool = False
    home: str | None = None
    connections: str | None = None
    specs: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    pages: int | None = None
    write: str | None = None
    name: str | None = None
    auth: str | None = None
    tables: tuple[str, ...] = ()
    from_format: str | None = None
    report: str | None = None
    live: bool = False
    rows: str | None = None
    tenant: str | None = None
    max_age: str | None = None
    wait: bool = True
    wait_limit_s: float | None = None
    debug: bool = False

    @property
    def reads_stdin(self) -> bool:
        """Whether a script comes from standard input, or the statements of a prompt."""
        return not self.steps or any(
            step.kind == "file" and step.text in ("-", "/dev/stdin") for step in self.steps
        )

    def output_options(self) -> OutputOptions:
        return OutputOptions(self.output, self.format, self.header, self.null, self.max_rows)
