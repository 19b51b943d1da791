"""The command line: what may be asked, and what was.

Options may stand before or after a subcommand. Statements (``-c``) and files (``-f``) run in the order
they were given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unify.render.formats.options import Format, OutputOptions

Task = Literal[
    "shell",
    "demo",
    "check",
    "spec check",
    "spec try",
    "spec test",
    "daemon run",
    "daemon start",
    "daemon stop",
    "daemon status",
    "completion",
]


CANCEL_WITHIN_S = 2.0  # of the Ctrl-C that stopped waiting; interfaces.md, "Statements"


@dataclass(frozen=True, slots=True)
class Step:
    """One ``-c`` or ``-f``: the statements themselves, or the path of a file ("-" is stdin)."""

    kind: Literal["statements", "file"]
    text: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the command line asks for. None: not said, so environment or default decide.

    ``words``    what follows the subcommand: connections to check, spec files.
    ``options``  what a connection would supply to the spec that is tried.
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
    home: str | None = None
    connections: str | None = None
    specs: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    tenant: str | None = None
    max_age: str | None = None
    wait: bool = True
    debug: bool = False

    def output_options(self) -> OutputOptions:
        return OutputOptions(self.output, self.format, self.header, self.null, self.max_rows)
