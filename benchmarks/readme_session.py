"""``make session``: types a session into the demo and writes its screen to docs/session.svg for README.

Progress lines, which are erased when a load ends, are shown as they were last.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.terminal_svg import Cell, render_svg
from tests.support.command import clean_environment
from tests.support.terminal import ENTER, Terminal, run_on_terminal

CHECKOUT = Path(__file__).parent.parent
PICTURE = CHECKOUT / "docs" / "session.svg"
PROMPT = "unify> "
STATEMENTS = (
    "select number, title, user_login from github.pulls order by number desc limit 5;",
    "select owner, repo, count(*) as pulls, count(merged_at) as merged\n"
    "from github.pulls group by all order by pulls desc limit 3;",
    "create chart from (select repo, count(*) as pulls from github.pulls\n"
    "group by all order by pulls desc limit 5) as hbar_chart where x = repo and y = pulls",
    "select titel from github.pulls;",
)
_TIME_PATTERN = re.compile(r"\d+:\d\d:\d\d|stored (?:just now|\d+ \w+ ago)|\d+(?:\.\d+)? m?s\b|publishing")
_PROGRESS_LINE = "   Loading table: "
_COLUMNS = 92


def record_session(folder: Path) -> list[list[Cell]]:
    """Run the session in a home below ``folder`` and return the lines of its terminal."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    environment = {**clean_environment(home), "TERM": "xterm-256color", "PAGER": ""}
    command = [sys.executable, "-m", "unify", "demo"]
    progress: list[list[Cell]] = []
    with run_on_terminal(command, environment, home, columns=_COLUMNS, lines=100) as terminal:
        terminal.expect_text(PROMPT.strip())
        for statement in STATEMENTS:
            progress += _run_statement(terminal, statement)
        terminal.type("exit" + ENTER)
        terminal.wait_for_end()
        lines = _cells(terminal)
    first, *prompts = (number for number, line in enumerate(lines) if _text(line).startswith(PROMPT))
    return [*lines[first : first + 1], *progress, *lines[first + 1 : prompts[-1]]]


def session_text(lines: Sequence[Sequence[Cell]]) -> str:
    """Return the text of recorded lines."""
    return "\n".join(map(_text, lines))


def picture_text(svg: str) -> str:
    """Return the text of the session that a picture shows."""
    description = ElementTree.fromstring(svg).find("{http://www.w3.org/2000/svg}desc")
    assert description is not None
    return description.text or ""


def mask_times(session: str) -> str:
    """Remove times and progress, which differ between recordings."""
    lines = [line for line in session.splitlines() if not line.startswith(_PROGRESS_LINE)]
    return _TIME_PATTERN.sub("…", "\n".join(lines))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="u-") as folder:
        lines = record_session(Path(folder))
    svg = render_svg(lines, "A session with unify demo", session_text(lines))
    PICTURE.write_text(svg, encoding="utf-8")


def _run_statement(terminal: Terminal, statement: str) -> list[list[Cell]]:
    """Type one statement, wait for the next prompt, and return the progress lines shown meanwhile."""
    progress: dict[str, list[Cell]] = {}
    before = terminal.screen.count(PROMPT.strip())

    def is_done() -> bool:
        for line in _cells(terminal):
            if (text := _text(line)).startswith(_PROGRESS_LINE):
                progress[text.split()[2]] = line
        return terminal.screen.count(PROMPT.strip()) > before

    terminal.type(statement.replace("\n", ENTER) + ENTER)
    terminal.wait_until(is_done, "the next prompt")
    return list(progress.values())


def _cells(terminal: Terminal) -> list[list[Cell]]:
    """Return the lines of the screen without trailing blanks."""
    lines = []
    for row in range(terminal.lines):
        cells = [
            Cell(char.data, "brightblack" if char.italics else char.fg, char.bold)
            for char in terminal.row(row)
        ]
        while cells and not cells[-1].text.strip():
            cells.pop()
        lines.append(cells)
    return lines


def _text(line: Sequence[Cell]) -> str:
    return "".join(cell.text for cell in line)


if __name__ == "__main__":
    main()
