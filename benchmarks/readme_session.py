"""``make session``: the session that README shows, typed into the product and copied from its screen.

Live lines, which are gone when the answer is there, stand where they were, as they were last.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.support.command import clean_environment
from tests.support.terminal import ENTER, Terminal, run_on_terminal

README = Path(__file__).parent.parent / "README.md"
PROMPT = "unify> "
STATEMENTS = (
    "select number, title, user_login from github.pulls order by number desc limit 8;",
    "select owner, repo, count(*) as pulls, count(merged_at) as merged\n"
    "from github.pulls group by all order by pulls desc limit 3;",
    "select titel from github.pulls;",
)
_BLOCK_PATTERN = re.compile(r"```\nunify> .*?\n```", re.DOTALL)
_TIME_PATTERN = re.compile(r"\d+:\d\d:\d\d|stored (?:just now|\d+ \w+ ago)|\d+(?:\.\d+)? m?s\b|publishing")
_PROGRESS_LINE = "   Loading table: "


def record_session(folder: Path) -> str:
    """A session in a home below ``folder``, as it looks on a terminal of 100 columns."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    environment = {**clean_environment(home), "TERM": "xterm-256color", "PAGER": ""}
    command = [sys.executable, "-m", "unify", "demo"]
    with run_on_terminal(command, environment, home, columns=100, lines=100) as terminal:
        terminal.wait_for_text(PROMPT.strip())
        parts = [_run_statement(terminal, statement) for statement in STATEMENTS]
        terminal.type("exit" + ENTER)
        terminal.wait_for_end()
    return "\n".join(parts)


def readme_block(text: str) -> str:
    """The session that ``text``, a README, shows."""
    found = _BLOCK_PATTERN.search(text)
    assert found is not None, "README shows a session between ``` lines that begins with the prompt"
    return found[0].removeprefix("```\n").removesuffix("\n```")


def mask_times(session: str) -> str:
    """A session without what is different each time; progress may be seen sooner or later."""
    lines = [line for line in session.splitlines() if not line.startswith(_PROGRESS_LINE)]
    return _TIME_PATTERN.sub("…", "\n".join(lines))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="u-") as folder:
        session = record_session(Path(folder))
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(readme_block(text), session), encoding="utf-8")


def _run_statement(terminal: Terminal, statement: str) -> str:
    """Type one statement, and wait for the prompt below its answer; gives what stands between them."""
    live: dict[str, str] = {}
    before = terminal.screen.count(PROMPT.strip())

    def answered() -> bool:
        live.update(
            (line.split()[2], line)
            for line in terminal.screen.splitlines()
            if line.startswith(_PROGRESS_LINE)
        )
        return terminal.screen.count(PROMPT.strip()) > before

    terminal.type(statement.replace("\n", ENTER) + ENTER)
    terminal.wait_until(answered, "the next prompt")
    shown = terminal.screen.split(PROMPT.strip())[-2].strip("\n").splitlines()
    typed = statement.count("\n") + 1
    return "\n".join([PROMPT + shown[0].strip(), *shown[1:typed], *live.values(), *shown[typed:]])


if __name__ == "__main__":
    main()
