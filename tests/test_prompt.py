"""The prompt: real key presses, through a pipe where keys are the point, on a pty where the screen is."""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput
from prompt_toolkit.output import DummyOutput

from tests.fake_prompt import at_prompt
from tests.fake_session import NAMES, FakeSession
from tests.support import Unify
from tests.terminal import ALT_ENTER, CTRL_C, CTRL_D, ENTER, Terminal, on_terminal, paste
from unify.errors import QueryError
from unify.interpreter.preferences import kept_keys
from unify.interpreter.results import Names
from unify.shell.background import Background
from unify.shell.editor import Cleared, Editor
from unify.shell.highlight import coloured
from unify.shell.history import PrivateHistory, holds_secret


@pytest.fixture
def editor(keys: PipeInput) -> Iterator[Editor]:
    with closing(Editor(history=InMemoryHistory(), names=Names, input=keys, output=DummyOutput())) as opened:
        yield opened


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    """A prompt on a plain DuckDB, on a terminal of 100 columns and 30 lines."""
    with at_prompt(folder) as opened:
        yield opened


# --- What Enter does

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
def test_enter_runs_what_is_finished(keys: PipeInput, editor: Editor, text: str) -> None:
    keys.send_text(text + ENTER)

    assert editor.read() == text


@pytest.mark.parametrize("text", WAITS)
def test_enter_opens_a_new_line_in_what_is_not(keys: PipeInput, editor: Editor, text: str) -> None:
    keys.send_text(text + ENTER + "more" + ALT_ENTER)

    assert editor.read() == f"{text}\nmore"


def test_a_paste_never_runs_by_itself(keys: PipeInput, editor: Editor) -> None:
    keys.send_text(paste("select 1;\nselect 2;\n"))
    keys.send_text(" -- looked at" + ENTER)

    assert editor.read() == "select 1;\nselect 2;\n -- looked at"


def test_enter_runs_from_anywhere_in_a_finished_statement(keys: PipeInput, editor: Editor) -> None:
    keys.send_text("select 1;" + "\x1b[D" * 4 + ENTER)

    assert editor.read() == "select 1;"


def test_ctrl_c_clears_and_ctrl_d_leaves(keys: PipeInput, editor: Editor) -> None:
    keys.send_text("select 1" + CTRL_C)
    with pytest.raises(Cleared):
        editor.read()
    keys.send_text(CTRL_D)
    with pytest.raises(EOFError):
        editor.read()


def test_the_work_behind_begins_after_the_prompt_is_painted(keys: PipeInput) -> None:
    painted: list[str] = []
    editor = Editor(
        history=InMemoryHistory(),
        names=Names,
        painted=lambda: painted.append("once"),
        input=keys,
        output=DummyOutput(),
    )

    with closing(editor):
        for _ in range(2):
            keys.send_text("help" + ENTER)
            assert editor.read() == "help"
            editor.begin()

    assert painted == ["once", "once"]


def test_a_statement_that_ctrl_c_met_before_it_began_stands_at_the_next_prompt(
    keys: PipeInput, editor: Editor
) -> None:
    keys.send_text("select 1;" + ENTER)
    assert editor.read() == "select 1;"
    keys.send_text(ENTER)
    assert editor.read() == "select 1;", "nobody said that it has begun"
    editor.begin()
    keys.send_text(ENTER)
    assert editor.read() == ""


def test_ctrl_c_while_the_prompt_closes_is_an_interrupt_and_loses_no_statement(keys: PipeInput) -> None:
    class Interrupting(InMemoryHistory):
        """A Ctrl-C in the instant between Enter and the prompt's end: when a text is remembered, once."""

        def store_string(self, string: str) -> None:
            signal.raise_signal(signal.SIGINT)

    with closing(Editor(history=Interrupting(), names=Names, input=keys, output=DummyOutput())) as editor:
        keys.send_text("select 1;" + ENTER)
        with pytest.raises(KeyboardInterrupt):
            editor.read()
        keys.send_text(ENTER)
        assert editor.read() == "select 1;"


def test_ctrl_c_that_is_a_signal_clears_the_prompt_that_comes_up(keys: PipeInput, editor: Editor) -> None:
    editor.interrupt()  # as its handler does, with no prompt there yet
    with pytest.raises(Cleared):
        editor.read()
    keys.send_text("select 1;" + ENTER)
    assert editor.read() == "select 1;", "it was meant for one prompt"


def test_ctrl_c_that_is_a_signal_clears_the_prompt_that_is_up(keys: PipeInput, editor: Editor) -> None:
    editor.painted = lambda: signal.raise_signal(signal.SIGINT)
    with pytest.raises(Cleared):
        editor.read()


def test_somebody_without_connections_is_told_how_to_get_one(folder: Path) -> None:
    with at_prompt(folder) as terminal:
        terminal.wait_for("connect makes one")
    (folder / "connections.yaml").touch(mode=0o600)
    with at_prompt(folder) as terminal:
        assert "connect makes one" not in terminal.screen


def test_vi_keys_move_and_change(keys: PipeInput) -> None:
    with closing(
        Editor(history=InMemoryHistory(), names=Names, keys="vi", input=keys, output=DummyOutput())
    ) as editor:
        keys.send_text("select 2;" + "\x1b" + "0wr3" + ENTER)

        assert editor.read() == "select 3;"


def test_the_keys_that_were_set_are_there_the_next_time(unify: Unify) -> None:
    with on_terminal(unify.command, {**unify.environment, "TERM": "xterm-256color"}, unify.home) as terminal:
        terminal.wait_for("F4 vi keys")
        terminal.type("set keys = 'vim'" + ENTER)
        terminal.wait_for("did you mean vi?")
        terminal.type("set keys = 'vi'" + ENTER)
        terminal.wait_for("F4 emacs keys")

    assert kept_keys(unify.home) == "vi"
    with at_prompt(unify.home) as terminal:
        terminal.wait_for("F4 emacs keys")


@pytest.mark.parametrize("text", ["", "keys = vim", "nonsense", "keys", "\xff"])
def test_preferences_that_cannot_be_read_are_as_if_there_were_none(folder: Path, text: str) -> None:
    (folder / "preferences").write_bytes(text.encode("latin-1"))

    assert kept_keys(folder) == "emacs"


def test_ctrl_r_finds_what_was_run_before(keys: PipeInput, editor: Editor) -> None:
    for statement in ("select 'first';", "select 'second';"):
        keys.send_text(statement + ENTER)
        assert editor.read() == statement
        editor.begin()

    keys.send_text("\x12" + "firs" + ENTER + ENTER)

    assert editor.read() == "select 'first';"


def test_a_ghost_of_the_history_is_taken_with_the_right_arrow(terminal: Terminal) -> None:
    terminal.type("select 41 as before;" + ENTER)
    terminal.wait_for("1 row ·")
    terminal.type("select 4")
    terminal.wait_for("select 41 as before;", times=2)
    terminal.type("\x1b[C" + ENTER)
    terminal.wait_for("1 row ·", times=2)


def test_ctrl_c_while_the_session_opens_loses_no_statement(folder: Path) -> None:
    with at_prompt(folder, UNIFY_FAKE_SLOW="1") as terminal:
        terminal.type("select 7 as seven;" + ENTER)
        terminal.wait_until(lambda: "Tab completes" not in terminal.screen, "the statement to be read")
        assert terminal.wait_for_signals(), "Ctrl-C is a signal again, not a key of the prompt"
        terminal.type(CTRL_C)
        terminal.wait_for("unify> select 7 as seven;", times=2)


# --- On a terminal


def test_a_session_as_people_have_it(folder: Path) -> None:
    with at_prompt(folder) as terminal:
        terminal.type("select 42 as answer" + ENTER)
        terminal.wait_for("->")
        terminal.type(", null as nothing;" + ENTER)
        terminal.wait_for("1 row ·")
        terminal.type("load;" + ENTER)
        terminal.wait_for("1300")
        terminal.type("fail;" + ENTER)
        terminal.wait_for("401 Bad credentials")
        terminal.type("exit" + ENTER)

        assert terminal.wait_for_end() == 0
        assert "│      42 │    NULL │" in terminal.screen
        assert "Loading table" not in terminal.screen, "what was live is gone"
        assert "a refresh is queued" in terminal.screen


def test_the_prompt_says_what_it_waits_for(terminal: Terminal) -> None:
    terminal.type("select (1" + ENTER)
    terminal.wait_for("(>")
    terminal.type(") || 'a" + ENTER)
    terminal.wait_for("'>")
    terminal.type("b' /* x" + ENTER)
    terminal.wait_for("*>")
    terminal.type("*/" + ENTER)
    terminal.wait_for("->")


def test_a_paste_on_a_terminal_waits_for_enter(terminal: Terminal) -> None:
    terminal.type(paste("select 1 as a;\nselect 2 as b;"))
    terminal.wait_for("select 2 as b;")
    assert "1 row" not in terminal.screen

    terminal.type(ENTER)
    terminal.wait_for("1 row", times=2)


def test_ctrl_c_stops_waiting_and_a_second_one_cancels(terminal: Terminal) -> None:
    terminal.type("wait;" + ENTER)
    terminal.wait_for("waiting now")
    terminal.type(CTRL_C)
    terminal.wait_for("goes on in the background")
    terminal.wait_for("unify>", times=2)
    terminal.type(CTRL_C)
    terminal.wait_for("is being cancelled")
    terminal.type("select 1 as still_here;" + ENTER)
    terminal.wait_for("1 row")


def test_ctrl_c_stops_a_query_and_the_next_one_runs(unify: Unify) -> None:
    environment = {**unify.environment, "TERM": "xterm-256color"}
    with on_terminal([*unify.command, "--echo"], environment, unify.home) as terminal:
        terminal.wait_for("unify>")
        terminal.type("select 1 as ready;" + ENTER)
        terminal.wait_for("unify>", times=2)
        terminal.type("select count(*) from range(100000) a, range(10000000) b;" + ENTER)
        terminal.wait_for("range(10000000)", times=2)  # typed, and echoed as it runs
        terminal.type(CTRL_C)
        terminal.wait_for("interrupted")
        terminal.wait_for("unify>", times=3)
        terminal.type("select 2 as still_here;" + ENTER)
        terminal.wait_for("1 row", times=2)


def test_a_fault_of_ours_ends_the_statement_only(terminal: Terminal) -> None:
    terminal.type("bug;" + ENTER)
    terminal.wait_for("unexpected error: RuntimeError")
    terminal.type("select 1 as still_here;" + ENTER)
    terminal.wait_for("1 row")
    assert "Traceback" not in terminal.screen


def test_a_wide_result_fits_a_terminal_that_was_made_smaller(terminal: Terminal) -> None:
    terminal.resize(40, 12)
    terminal.type(
        "select range as number, repeat('x', 200) as text, 1 as a, 2 as b, 3 as c from range(500);" + ENTER
    )
    terminal.wait_for("500 rows (4 shown)")

    frame = [line for line in terminal.screen.splitlines() if line.startswith(("┌", "│", "├", "└"))]
    assert {len(line) for line in frame} <= set(range(30, 41))


@pytest.mark.parametrize("columns", [20, 200])
def test_any_terminal_will_do(folder: Path, columns: int) -> None:
    with at_prompt(folder, columns=columns) as terminal:
        terminal.type("select 1 as a;" + ENTER)
        terminal.wait_for("1 row")
        terminal.wait_for("unify>", times=2)
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0


def test_no_colour_where_none_is_wanted(folder: Path) -> None:
    with at_prompt(folder, NO_COLOR="1") as terminal:
        terminal.type("select null as a;" + ENTER)
        terminal.wait_for("1 row")
        terminal.type("fail;" + ENTER)
        terminal.wait_for("401")

        assert b"\x1b[3" not in terminal.received.replace(b"\x1b[39", b"")
        assert b"\x1b[2mNULL" not in terminal.received


def test_a_dumb_terminal_gets_plain_text(folder: Path) -> None:
    with at_prompt(folder, TERM="dumb") as terminal:
        terminal.type("select 1 as a;" + ENTER)
        terminal.wait_for("1 row")
        terminal.type("load;" + ENTER)
        terminal.wait_for("1300")
        terminal.wait_for("unify>", times=3)
        assert "Loaded github.pulls: 1,300 rows" in terminal.screen
        terminal.type("select" + ENTER + "  2 as b;" + ENTER)
        terminal.wait_for("->")
        terminal.wait_for("│       2 │")
        terminal.type("nothing of this" + ENTER)
        terminal.wait_for("->", times=2)
        terminal.type(CTRL_C)
        terminal.wait_for("-> ^C\nunify>")
        terminal.type(r"\e" + ENTER)
        terminal.wait_for("there is no editing on this terminal (TERM=dumb)\nunify>")
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
        assert b"\x1b" not in terminal.received

    assert "select\n+  2 as b;" in (folder / "history").read_text()


def test_rows_may_go_elsewhere_while_one_types(folder: Path) -> None:
    with at_prompt(folder, "-o", "rows.csv") as terminal:
        terminal.type("select 7 as a;" + ENTER)
        terminal.wait_for("unify>", times=2)
        terminal.type(CTRL_D)
        terminal.wait_for_end()

    assert (folder / "rows.csv").read_text() == "a\n7\n"


def test_completion_offers_tables(terminal: Terminal) -> None:
    terminal.type("select 1;" + ENTER)  # by the next prompt, the names are known
    terminal.wait_for("1 row")
    terminal.type("select * from jira.is")
    terminal.wait_for("issues")
    terminal.type("\t")
    terminal.wait_for("jira.issues")


def test_a_session_that_cannot_open_says_so_and_may_open_later(folder: Path) -> None:
    (folder / "home").touch()
    with at_prompt(folder, home=folder / "home" / "x", columns=200) as terminal:
        terminal.wait_for("no history is kept")
        terminal.type("select 1 as a;" + ENTER)
        terminal.wait_for("1 row")


def test_what_is_said_meanwhile_stands_above_the_prompt(folder: Path) -> None:
    with at_prompt(folder, UNIFY_FAKE_NOTICE="a load has ended\x1b[2J") as terminal:
        terminal.wait_for("a load has ended\\e[2J")
        terminal.wait_until(lambda: "\nunify>\n" in terminal.screen, "the prompt below it")
        terminal.type("select 1 as a;" + ENTER)
        terminal.wait_for("1 row")


def test_a_fault_behind_the_prompt_is_told_without_a_traceback(folder: Path) -> None:
    with at_prompt(folder, UNIFY_FAKE_BUG="1") as terminal:
        terminal.wait_for("unexpected error: RuntimeError: names cannot be read")
        terminal.type("select 1 as a;" + ENTER)
        terminal.wait_for("1 row")
        assert "Traceback" not in terminal.screen


def test_rows_may_go_into_a_pipe_while_one_types(folder: Path) -> None:
    with (folder / "rows.csv").open("wb") as rows, at_prompt(folder, stdout=rows.fileno()) as t:
        t.type("select 7 as a;" + ENTER)
        t.wait_for("unify>", times=2)
        t.type(CTRL_D)
        assert t.wait_for_end() == 0

    assert (folder / "rows.csv").read_text() == "a\n7\n"


# --- History


def test_history_is_private_and_without_secrets(folder: Path) -> None:
    with at_prompt(folder) as terminal:
        terminal.type("select 'kept';" + ENTER)
        terminal.wait_for("1 row")
        terminal.type("create secret s (type s3, secret 'hush');" + ENTER)
        terminal.wait_for("unify>", times=3)
        terminal.type(CTRL_D)
        terminal.wait_for_end()
    with at_prompt(folder) as terminal:
        terminal.type("\x1b[A")
        terminal.wait_for("select 'kept';")

    assert stat.S_IMODE((folder / "history").stat().st_mode) == 0o600
    assert "hush" not in (folder / "history").read_text()


def test_a_history_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
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
        ("attach 'password=x' as p", False),
        ("$github_token = 'abc'", True),
        ("select token from t where name = 'x'", False),
        ("select 'a token'", False),
    ],
)
def test_statements_with_secrets_are_recognised(text: str, secret: bool) -> None:
    assert holds_secret(text) is secret


# --- Colours, and the session behind the prompt


@pytest.mark.parametrize("text", ["select 'a\nb' -- c\n, 1;", "show tables; SELECT /* x", "", "é表\n\n"])
def test_colours_change_no_character(text: str) -> None:
    assert "\n".join("".join(one[1] for one in line) for line in coloured(text)) == text


def test_our_commands_have_a_colour_of_their_own() -> None:
    styles = {one[1]: one[0] for one in coloured("show tables; select 'x'")[0]}

    assert styles["show"] == "class:command"
    assert styles["select"] == "class:keyword"
    assert styles["'x'"] == "class:string"


def test_names_are_read_behind_the_prompt_and_the_session_closed() -> None:
    session = FakeSession()
    background = Background(lambda: session, _unexpected)

    background.start()
    background.start()
    assert background.session() is session
    assert background.names == NAMES
    background.close()

    assert session.closed


def test_what_fails_behind_the_prompt_is_told_when_it_is_needed() -> None:
    def refuse() -> FakeSession:
        raise QueryError("not today")

    background = Background(refuse, _unexpected)
    background.start()

    with pytest.raises(QueryError, match="not today"):
        background.session()
    assert background.names == Names()
    background.close()


def _unexpected(error: BaseException) -> None:
    raise AssertionError(error)
