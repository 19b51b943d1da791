"""The prompt: keys through a pipe, screens on a pseudoterminal."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput
from prompt_toolkit.output import DummyOutput

from tests.support.command import UnifyCommand, clean_environment
from tests.support.fake_session import COMPLETION_NAMES, FAKE_SESSION_COMMAND, FakeSession
from tests.support.paths import CHECKOUT
from tests.support.prompt import run_prompt
from tests.support.terminal import (
    ALT_ENTER,
    CTRL_C,
    CTRL_D,
    ENTER,
    Terminal,
    bracketed_paste,
    run_on_terminal,
)
from tests.support.waiting import wait_until
from unify.config.preferences import read_keys
from unify.errors import QueryError
from unify.interpreter.results import CompletionNames
from unify.shell.editor import Editor, InputCleared
from unify.shell.highlight import highlight_lines
from unify.shell.history import PrivateHistory, contains_secret, open_history
from unify.shell.startup import BackgroundSession


@pytest.fixture
def editor(key_input: PipeInput) -> Iterator[Editor]:
    with closing(
        Editor(history=InMemoryHistory(), names=CompletionNames, input=key_input, output=DummyOutput())
    ) as opened:
        yield opened


@pytest.fixture
def terminal(empty_home: Path) -> Iterator[Terminal]:
    """A prompt on a plain DuckDB, on a terminal of 100 columns and 30 lines."""
    with run_prompt(empty_home) as opened:
        yield opened


# --- Enter

RUNS = [
    "select 1;",
    "select ';' as a;",
    "select $$ ; $$;",
    "select (1);",
    "select 1 /* ; */;",
    "select 1; -- done",
    "show tables",
    "SHOW TABLES",
    "help",
    "exit",
    "describe github.pulls",
    "??",
    "",
]
WAITS = [
    "select 1",
    "select ';",
    'select ";',
    "select $$ ;",
    "select (1;",
    "select 1 /* ;",
    "select 1 /* /* */ ;",
    "select 1 -- ;",
    "with a as (select 1)",
]


@pytest.mark.parametrize("text", RUNS)
def test_enter_runs_a_complete_statement(key_input: PipeInput, editor: Editor, text: str) -> None:
    key_input.send_text(text + ENTER)

    assert editor.read() == text


@pytest.mark.parametrize("text", WAITS)
def test_enter_opens_a_new_line_in_an_incomplete_statement(
    key_input: PipeInput, editor: Editor, text: str
) -> None:
    key_input.send_text(text + ENTER + "more" + ALT_ENTER)

    assert editor.read() == f"{text}\nmore"


def test_a_paste_never_runs_by_itself(key_input: PipeInput, editor: Editor) -> None:
    key_input.send_text(bracketed_paste("select 1;\nselect 2;\n"))
    key_input.send_text(" -- looked at" + ENTER)

    assert editor.read() == "select 1;\nselect 2;\n -- looked at"


def test_enter_runs_from_anywhere_in_a_finished_statement(key_input: PipeInput, editor: Editor) -> None:
    key_input.send_text("select 1;" + "\x1b[D" * 4 + ENTER)

    assert editor.read() == "select 1;"


def test_ctrl_c_clears_and_ctrl_d_leaves(key_input: PipeInput, editor: Editor) -> None:
    key_input.send_text("select 1" + CTRL_C)
    with pytest.raises(InputCleared):
        editor.read()
    key_input.send_text(CTRL_D)
    with pytest.raises(EOFError):
        editor.read()


def test_background_work_starts_after_the_prompt_is_painted(key_input: PipeInput) -> None:
    painted: list[str] = []
    editor = Editor(
        history=InMemoryHistory(),
        names=CompletionNames,
        on_paint=lambda: painted.append("once"),
        input=key_input,
        output=DummyOutput(),
    )

    with closing(editor):
        for _ in range(2):
            key_input.send_text("help" + ENTER)
            assert editor.read() == "help"
            editor.discard_accepted()

    assert painted == ["once", "once"]


def test_a_statement_that_did_not_start_is_at_the_next_prompt(key_input: PipeInput, editor: Editor) -> None:
    key_input.send_text("select 1;" + ENTER)
    assert editor.read() == "select 1;"
    key_input.send_text(ENTER)
    assert editor.read() == "select 1;", "nobody said that it has begun"
    editor.discard_accepted()
    key_input.send_text(ENTER)
    assert editor.read() == ""


def test_ctrl_c_while_the_prompt_closes_interrupts_and_keeps_the_statement(key_input: PipeInput) -> None:
    class Interrupting(InMemoryHistory):
        """Raises SIGINT between Enter and the end of the prompt, when the text is added to the history."""

        def store_string(self, string: str) -> None:
            signal.raise_signal(signal.SIGINT)

    with closing(
        Editor(history=Interrupting(), names=CompletionNames, input=key_input, output=DummyOutput())
    ) as editor:
        key_input.send_text("select 1;" + ENTER)
        with pytest.raises(KeyboardInterrupt):
            editor.read()
        key_input.send_text(ENTER)
        assert editor.read() == "select 1;"


def test_an_earlier_sigint_clears_the_next_prompt(key_input: PipeInput, editor: Editor) -> None:
    editor.interrupt()  # as the signal handler does before the prompt opens
    with pytest.raises(InputCleared):
        editor.read()
    key_input.send_text("select 1;" + ENTER)
    assert editor.read() == "select 1;", "it was meant for one prompt"


def test_sigint_clears_the_open_prompt(key_input: PipeInput, editor: Editor) -> None:
    editor.on_paint = lambda: signal.raise_signal(signal.SIGINT)
    with pytest.raises(InputCleared):
        editor.read()


@pytest.mark.process
def test_a_user_without_connections_is_shown_how_to_add_one(empty_home: Path) -> None:
    with run_prompt(empty_home) as terminal:
        terminal.expect_text("Type connect to add one")
    (empty_home / "connections.yaml").touch(mode=0o600)
    with run_prompt(empty_home) as terminal:
        assert "Type connect to add one" not in terminal.screen


def test_vi_keys_move_and_change(key_input: PipeInput) -> None:
    with closing(
        Editor(
            history=InMemoryHistory(), names=CompletionNames, keys="vi", input=key_input, output=DummyOutput()
        )
    ) as editor:
        key_input.send_text("select 2;" + "\x1b" + "0wr3" + ENTER)

        assert editor.read() == "select 3;"


def test_the_selected_keys_are_kept_for_the_next_session(unify: UnifyCommand) -> None:
    with run_on_terminal(
        unify.command, {**unify.environment, "TERM": "xterm-256color"}, unify.home
    ) as terminal:
        terminal.expect_text("F4 vi keys")
        terminal.type("set keys = 'vim'" + ENTER)
        terminal.expect_text("did you mean vi?")
        terminal.type("set keys = 'vi'" + ENTER)
        terminal.expect_text("F4 emacs keys")

    assert read_keys(unify.home) == "vi"
    with run_prompt(unify.home) as terminal:
        terminal.expect_text("F4 emacs keys")


@pytest.mark.parametrize("text", ["", "keys = vim", "nonsense", "keys", "\xff"])
def test_unreadable_preferences_are_ignored(empty_home: Path, text: str) -> None:
    (empty_home / "preferences").write_bytes(text.encode("latin-1"))

    assert read_keys(empty_home) == "emacs"


def test_ctrl_r_finds_earlier_statements(key_input: PipeInput, editor: Editor) -> None:
    for statement in ("select 'first';", "select 'second';"):
        key_input.send_text(statement + ENTER)
        assert editor.read() == statement
        editor.discard_accepted()

    key_input.send_text("\x12" + "firs" + ENTER + ENTER)

    assert editor.read() == "select 'first';"


def test_the_right_arrow_accepts_a_suggestion_of_the_history(terminal: Terminal) -> None:
    terminal.type("select 41 as before;" + ENTER)
    terminal.expect_text("1 row ·")
    terminal.type("select 4")
    terminal.expect_text("select 41 as before;", times=2)
    terminal.type("\x1b[C" + ENTER)
    terminal.expect_text("1 row ·", times=2)


@pytest.mark.process
def test_ctrl_c_while_the_session_opens_loses_no_statement(empty_home: Path) -> None:
    with run_prompt(empty_home, UNIFY_FAKE_SLOW="1") as terminal:
        terminal.type("select 7 as seven;" + ENTER)
        terminal.wait_until(lambda: "Tab completes" not in terminal.screen, "the statement to be read")
        terminal.wait_for_signals()
        terminal.type(CTRL_C)
        terminal.expect_text("unify> select 7 as seven;", times=2)


# --- On a terminal


@pytest.mark.process
def test_a_typical_session_works(empty_home: Path) -> None:
    with run_prompt(empty_home) as terminal:
        terminal.type("select 42 as answer" + ENTER)
        terminal.expect_text("->")
        terminal.type(", null as nothing;" + ENTER)
        terminal.expect_text("1 row ·")
        terminal.type("load;" + ENTER)
        terminal.expect_text("1300")
        terminal.type("fail;" + ENTER)
        terminal.expect_text("401 Bad credentials")
        terminal.type("exit" + ENTER)

        assert terminal.wait_for_end() == 0
        assert "│      42 │    NULL │" in terminal.screen
        assert "Loading table" not in terminal.screen, "what was live is gone"
        assert "a refresh is queued" in terminal.screen


def test_the_prompt_shows_the_missing_input(terminal: Terminal) -> None:
    terminal.type("select (1" + ENTER)
    terminal.expect_text("(>")
    terminal.type(") || 'a" + ENTER)
    terminal.expect_text("'>")
    terminal.type("b' /* x" + ENTER)
    terminal.expect_text("*>")
    terminal.type("*/" + ENTER)
    terminal.expect_text("->")


def test_a_paste_on_a_terminal_waits_for_enter(terminal: Terminal) -> None:
    terminal.type(bracketed_paste("select 1 as a;\nselect 2 as b;"))
    terminal.expect_text("select 2 as b;")
    assert "1 row" not in terminal.screen

    terminal.type(ENTER)
    terminal.expect_text("1 row", times=2)


def test_ctrl_c_stops_waiting_and_a_second_one_cancels(terminal: Terminal) -> None:
    terminal.type("wait;" + ENTER)
    terminal.expect_text("waiting now")
    terminal.type(CTRL_C)
    terminal.expect_text("goes on in the background")
    terminal.expect_text("unify>", times=2)
    terminal.type(CTRL_C)
    terminal.expect_text("is being cancelled")
    terminal.type("select 1 as still_here;" + ENTER)
    terminal.expect_text("1 row")


def test_ctrl_c_stops_a_query_and_the_next_one_runs(unify: UnifyCommand) -> None:
    environment = {**unify.environment, "TERM": "xterm-256color"}
    with run_on_terminal([*unify.command, "--echo"], environment, unify.home) as terminal:
        terminal.expect_text("unify>")
        terminal.type("select 1 as ready;" + ENTER)
        terminal.expect_text("unify>", times=2)
        terminal.type("select count(*) from range(100000) a, range(10000000) b;" + ENTER)
        terminal.expect_text("range(10000000)", times=2)  # typed, and echoed as it runs
        terminal.type(CTRL_C)
        terminal.expect_text("interrupted")
        terminal.expect_text("unify>", times=3)
        terminal.type("select 2 as still_here;" + ENTER)
        terminal.expect_text("1 row", times=2)


def test_an_internal_error_ends_only_the_statement(terminal: Terminal) -> None:
    terminal.type("bug;" + ENTER)
    terminal.expect_text("unexpected error: RuntimeError")
    terminal.type("select 1 as still_here;" + ENTER)
    terminal.expect_text("1 row")
    assert "Traceback" not in terminal.screen


def test_a_wide_result_fits_a_terminal_that_was_made_smaller(terminal: Terminal) -> None:
    terminal.resize(40, 12)
    terminal.type(
        "select range as number, repeat('x', 200) as text, 1 as a, 2 as b, 3 as c from range(500);" + ENTER
    )
    terminal.expect_text("500 rows (4 shown)")

    frame = [line for line in terminal.screen.splitlines() if line.startswith(("┌", "│", "├", "└"))]
    assert {len(line) for line in frame} <= set(range(30, 41))


@pytest.mark.process
@pytest.mark.parametrize("columns", [20, 200])
def test_any_terminal_type_works(empty_home: Path, columns: int) -> None:
    with run_prompt(empty_home, columns=columns) as terminal:
        terminal.type("select 1 as a;" + ENTER)
        terminal.expect_text("1 row")
        terminal.expect_text("unify>", times=2)
        terminal.type_at_prompt(CTRL_D)
        assert terminal.wait_for_end() == 0


@pytest.mark.process
def test_no_color_disables_colours(empty_home: Path) -> None:
    with run_prompt(empty_home, NO_COLOR="1") as terminal:
        terminal.type("select null as a;" + ENTER)
        terminal.expect_text("1 row")
        terminal.type("fail;" + ENTER)
        terminal.expect_text("401")

        assert b"\x1b[3" not in terminal.received.replace(b"\x1b[39", b"")
        assert b"\x1b[2mNULL" not in terminal.received


@pytest.mark.process
def test_a_dumb_terminal_gets_plain_text(empty_home: Path) -> None:
    with run_prompt(empty_home, TERM="dumb") as terminal:
        terminal.type("select 1 as a;" + ENTER)
        terminal.expect_text("1 row")
        terminal.type("load;" + ENTER)
        terminal.expect_text("1300")
        terminal.expect_text("unify>", times=3)
        assert "Loaded github.pulls: 1,300 rows" in terminal.screen
        terminal.type("select" + ENTER + "  2 as b;" + ENTER)
        terminal.expect_text("->")
        terminal.expect_text("│       2 │")
        terminal.type("nothing of this" + ENTER)
        terminal.expect_text("->", times=2)
        terminal.type(CTRL_C)
        terminal.expect_text("-> ^C\nunify>")
        terminal.type(r"\e" + ENTER)
        terminal.expect_text("editing is not available on this terminal (TERM=dumb)\nunify>")
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
        assert b"\x1b" not in terminal.received

    assert "select\n+  2 as b;" in (empty_home / "history").read_text()


@pytest.mark.process
def test_rows_can_go_to_a_file_at_the_prompt(empty_home: Path) -> None:
    with run_prompt(empty_home, "-o", "rows.csv") as terminal:
        terminal.type("select 7 as a;" + ENTER)
        terminal.expect_text("unify>", times=2)
        terminal.type_at_prompt(CTRL_D)
        terminal.wait_for_end()

    assert (empty_home / "rows.csv").read_text() == "a\n7\n"


def test_completion_offers_tables(terminal: Terminal) -> None:
    terminal.type("select 1;" + ENTER)  # the names are known at the next prompt
    terminal.expect_text("1 row")
    terminal.type("select * from jira.is")
    terminal.expect_text("issues")
    terminal.type("\t")
    terminal.expect_text("jira.issues")


@pytest.mark.process
def test_a_session_that_cannot_open_reports_it_and_can_open_later(empty_home: Path) -> None:
    (empty_home / "home").touch()
    with run_prompt(empty_home, home=empty_home / "home" / "x", columns=200) as terminal:
        terminal.expect_text("history is not saved")
        terminal.type("select 1 as a;" + ENTER)
        terminal.expect_text("1 row")


@pytest.mark.process
def test_background_messages_are_shown_above_the_prompt(empty_home: Path) -> None:
    with run_prompt(empty_home, UNIFY_FAKE_NOTICE="a load has ended\x1b[2J") as terminal:
        terminal.expect_text("a load has ended\\e[2J")
        terminal.wait_until(lambda: "\nunify>\n" in terminal.screen, "the prompt below it")
        terminal.type("select 1 as a;" + ENTER)
        terminal.expect_text("1 row")


@pytest.mark.process
def test_a_background_error_is_shown_without_a_traceback(empty_home: Path) -> None:
    with run_prompt(empty_home, UNIFY_FAKE_BUG="1") as terminal:
        terminal.expect_text("unexpected error: RuntimeError: names cannot be read")
        terminal.type("select 1 as a;" + ENTER)
        terminal.expect_text("1 row")
        assert "Traceback" not in terminal.screen


@pytest.mark.process
def test_rows_can_go_into_a_pipe_at_the_prompt(empty_home: Path) -> None:
    with (empty_home / "rows.csv").open("wb") as rows, run_prompt(empty_home, stdout=rows.fileno()) as t:
        t.type("select 7 as a;" + ENTER)
        t.expect_text("unify>", times=2)
        t.type_at_prompt(CTRL_D)
        assert t.wait_for_end() == 0

    assert (empty_home / "rows.csv").read_text() == "a\n7\n"


@pytest.mark.process
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_byte_that_is_not_utf8_is_an_error(empty_home: Path, term: str) -> None:
    with run_prompt(empty_home, TERM=term) as terminal:
        os.write(terminal.master, b"select 'caf\xe9';" + ENTER.encode())
        terminal.expect_text("not UTF-8 (byte 0xe9)")
        terminal.type("select 1 as still_here;" + ENTER)
        terminal.expect_text("1 row")
        assert "unexpected" not in terminal.screen


@pytest.mark.process
def test_ctrl_z_suspends_the_prompt_and_keeps_the_text(empty_home: Path) -> None:
    environment = {**clean_environment(empty_home), "PYTHONPATH": str(CHECKOUT), "TERM": "xterm-256color"}
    with run_on_terminal(["bash", "--norc", "-i"], {**environment, "PS1": "bash> "}, empty_home) as terminal:
        terminal.expect_text("bash>")
        terminal.type(" ".join(FAKE_SESSION_COMMAND) + ENTER)
        terminal.expect_text("unify>")
        terminal.type("select 7 as seven")
        terminal.expect_text("select 7 as seven")
        terminal.type("\x1a")
        terminal.expect_text("Stopped")
        terminal.type("fg" + ENTER)
        terminal.wait_until(
            lambda: "unify> select 7 as seven" in terminal.screen.partition("fg\n")[2], "the text"
        )
        terminal.type(";" + ENTER)
        terminal.expect_text("1 row")


@pytest.mark.process
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_resizing_leaves_no_copies_of_the_prompt(empty_home: Path) -> None:
    environment = {**clean_environment(empty_home), "PYTHONPATH": str(CHECKOUT), "SHELL": "/bin/sh"}
    tmux = ["tmux", "-S", str(empty_home / "tmux"), "-f", "/dev/null"]
    column = 120

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*tmux, *arguments], env=environment, cwd=empty_home, capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def wait_for(text: str) -> None:
        wait_until(lambda: text in run("capture-pane", "-p"))

    def wait_for_repaint(key: str) -> None:
        """Wait until the program has shown a key that was typed after its terminal has the new width."""
        wait_until(lambda: os.get_terminal_size(pane).columns == column)
        run("send-keys", "-l", key)
        wait_for(key)

    run("new-session", "-d", "-x", str(column), "-y", "30", *FAKE_SESSION_COMMAND)
    try:
        wait_for("unify>")
        run("send-keys", "-l", r"select range as n from range(10)\;")
        run("send-keys", "Enter")
        wait_for("10 rows")
        typed = f"select '{'a' * 70}' as first, 2 as second, 3 as third"
        run("send-keys", "-l", typed)
        wait_for("third")
        pane = os.open(run("display-message", "-p", "#{pane_tty}").strip(), os.O_RDWR | os.O_NOCTTY)
        try:
            for column, key in zip((60, 110, 45, 100, 70, 120), "ZYXWVU", strict=True):
                run("resize-window", "-x", str(column), "-y", "30")
                wait_for_repaint(key)
        finally:
            os.close(pane)
        history = run("capture-pane", "-p", "-J", "-S", "-")
    finally:
        run("kill-server")

    # tmux may wrap lines before the program learns of the resize; without erasing there are thirteen copies.
    assert history.count("unify> select 'aaa") <= 2, history


# --- History


@pytest.mark.process
def test_history_is_private_and_without_secrets(empty_home: Path) -> None:
    with run_prompt(empty_home) as terminal:
        terminal.type("select 'kept';" + ENTER)
        terminal.expect_text("1 row")
        terminal.type("create secret s (type s3, secret 'hush');" + ENTER)
        terminal.expect_text("unify>", times=3)
        terminal.type_at_prompt(CTRL_D)
        terminal.wait_for_end()
    with run_prompt(empty_home) as terminal:
        terminal.type("\x1b[A")
        terminal.expect_text("select 'kept';")

    assert stat.S_IMODE((empty_home / "history").stat().st_mode) == 0o600
    assert "hush" not in (empty_home / "history").read_text()


def test_a_history_readable_by_others_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.touch(mode=0o644)
    path.chmod(0o644)

    PrivateHistory(path).store_string("select 1")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("create secret x (token 'abc')", True),
        ("CREATE OR REPLACE PERSISTENT SECRET x (type s3)", True),
        ("set s3_secret_access_key = 'abc'", True),
        ("attach 'host=db user=me password=x' as p", True),
        ("attach 'postgres://me:secret@db/x' as p", True),
        ("import 'http://u:pw@example.org/a.csv'", True),
        ("import 'https://example.org/a.csv?token=abc'", True),
        ("import 'https://x.blob.example/a.csv?sv=1&sig=abc'", True),
        ("$pw = 'abc'", True),
        ("$passphrase = 'abc'", True),
        ("select 'https://example.org/a?page=2'", False),
        ("select * from t where key = 'x'", False),
        ("select 'a@b.example' as mail, 'x: y' as note", False),
        ("$github_token = 'abc'", True),
        ("select token from t where name = 'x'", False),
        ("select 'a token'", False),
    ],
)
def test_statements_with_secrets_are_recognised(text: str, secret: bool) -> None:
    assert contains_secret(text) is secret


def test_a_history_that_is_not_a_regular_file_is_not_changed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    (tmp_path / "history").symlink_to(pipe)

    history = open_history(tmp_path / "history")
    history.append_string("select 1")

    assert stat.S_IMODE(pipe.stat().st_mode) == 0o666
    assert history.get_strings() == ["select 1"], "for this session"


# --- Colours, and the session in the background


@pytest.mark.parametrize("text", ["select 'a\nb' -- c\n, 1;", "show tables; SELECT /* x", "", "é表\n\n"])
def test_colours_change_no_character(text: str) -> None:
    assert "\n".join("".join(one[1] for one in line) for line in highlight_lines(text)) == text


def test_commands_have_their_own_colour() -> None:
    styles = {one[1]: one[0] for one in highlight_lines("show tables; select 'x'")[0]}

    assert styles["show"] == "class:command"
    assert styles["select"] == "class:keyword"
    assert styles["'x'"] == "class:string"


def test_names_are_read_in_the_background_and_the_session_is_closed() -> None:
    session = FakeSession()
    background = BackgroundSession(lambda: session, _unexpected)

    background.start()
    background.start()
    assert background.wait_for_session() is session
    assert background.names == COMPLETION_NAMES
    background.close()

    assert session.closed


def test_a_background_failure_is_reported_when_the_session_is_needed() -> None:
    def refuse() -> FakeSession:
        raise QueryError("not today")

    background = BackgroundSession(refuse, _unexpected)
    background.start()

    with pytest.raises(QueryError, match="not today"):
        background.wait_for_session()
    assert background.names == CompletionNames()
    background.close()


def _unexpected(error: BaseException) -> None:
    raise AssertionError(error)
