"""Where the parts come together: arguments and environment are read once and become one of the tasks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unify.errors import UnifyError, UsageError
from unify.shell import cli, lifeline, terminal
from unify.shell.places import Environment, settings_for

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.spec import TableSpec
    from unify.interpreter.results import StagedRows, Watcher
    from unify.settings import Settings
    from unify.shell.messages import Messages
    from unify.shell.output import Output
    from unify.shell.script import Runner, Session

Opener = Callable[["Settings", "Watcher", cli.Invocation, Environment], "Session"]

INTERRUPTED = 130
CANCEL_WITHIN_S = 2.0  # of the Ctrl-C that stopped waiting; interfaces.md, "Statements"
OWN_FAULT = 1


def run(arguments: Sequence[str], opener: Opener) -> int:
    """Do what the arguments ask for; ``opener`` makes the session that statements run on."""
    try:
        invocation = cli.parse(arguments)
    except cli.Help as asked:
        return _print(asked.text)
    except UsageError as error:
        return _refuse(error)
    return _run_task(invocation, dict(os.environ), opener)


def open_interpreter(
    settings: Settings, watcher: Watcher, invocation: cli.Invocation, environment: Environment
) -> Session:
    """The real interpreter, with what the command line says of it; loaded when a statement needs it."""
    from unify.interpreter.freshness import AT_ONCE, MaxAge
    from unify.shell.opening import LateSession

    # a mistake in it is found before anything heavy is loaded
    max_age = AT_ONCE if invocation.max_age is None else MaxAge.parse(invocation.max_age, "--max-age")

    def opened() -> Session:
        from unify.interpreter.interpreter import Interpreter

        return Interpreter(
            settings,
            watcher,
            environment=environment,
            max_age=max_age,
            wait=invocation.wait,
            variables=dict(invocation.variables),
            stager=_stage,
        )

    return LateSession(opened)


def _stage(folder: Path, table: TableSpec, pages: Iterable[Page]) -> StagedRows:
    """Rows of live tables are typed as those of loads are; what does it is imported when there are any."""
    from unify.loading.live import stage

    return stage(folder, table, pages)


def _run_task(invocation: cli.Invocation, environment: Environment, opener: Opener) -> int:
    from unify.shell.messages import Messages
    from unify.shell.output import OutputClosed, abandon_standard_output

    messages = Messages(
        sys.stderr,
        quiet=invocation.quiet,
        colour=terminal.takes_colours(environment) and sys.stderr is not None and sys.stderr.isatty(),
        debug=invocation.debug,
    )
    try:
        return _task(invocation, environment, opener, messages)
    except UnifyError as error:
        messages.error(error)
        return error.exit_status
    except OutputClosed:
        abandon_standard_output()
        return 0
    except KeyboardInterrupt:
        messages.write("interrupted")
        _forget_interrupt()
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 — the last border: a fault of ours, told without a traceback
        messages.mistake(error)
        return OWN_FAULT


def _forget_interrupt() -> None:
    """Let the process end with our status.

    Python notes a KeyboardInterrupt that came out of generated code, such as a dataclass that was being
    made by an import, and ends by the signal although it was caught; the next generated code clears the note.
    """
    make_dataclass("Nothing", ())


def _task(invocation: cli.Invocation, environment: Environment, opener: Opener, messages: Messages) -> int:
    match invocation.task:
        case "shell":
            return run_shell(invocation, settings_for(invocation, environment), environment, opener, messages)
        case "demo":
            from unify.shell.demo import run_demo

            return run_demo(invocation, environment, opener, messages)
        case "check":
            from unify.shell.check import check_connections
            from unify.shell.person import person

            settings = settings_for(invocation, environment)
            return check_connections(settings, invocation.words, environment, person(messages))
        case "spec check":
            from unify.shell.check import check_specs

            return check_specs(invocation.words)
        case "spec try":
            from unify.shell.person import person
            from unify.shell.spectry import try_table

            return try_table(invocation, environment, person(messages))
        case "completion":
            from unify.shell.completion import script

            return _print(script(invocation.words[0]))
        case "spec test":
            from unify.shell.spectest import test_specs

            return test_specs(invocation.words)
        case _:
            from unify.shell.daemon import run_daemon_task

            return run_daemon_task(invocation.task, settings_for(invocation, environment))


def run_shell(
    invocation: cli.Invocation,
    settings: Settings,
    environment: Environment,
    opener: Opener,
    messages: Messages,
) -> int:
    """The shell itself: a script if there is one, else the prompt."""
    from unify.shell.output import open_output
    from unify.shell.progress import Progress

    output = open_output(invocation, environment)
    watcher = Progress(messages, live=_live(environment))
    try:
        if not invocation.steps and sys.stdin is not None and sys.stdin.isatty():
            from unify.shell.prompt import run_prompt
            from unify.shell.watching import QueueLook

            output.pager = _pager(environment)
            status = run_prompt(
                lambda: opener(settings, watcher, invocation, environment),
                output=output,
                messages=messages,
                settings=settings,
                invocation=invocation,
                look=QueueLook(settings, environment, lambda: watcher.ended),
                plain=not terminal.is_smart(environment),
            )
        else:
            status = _run_scripts(
                invocation, lambda: opener(settings, watcher, invocation, environment), output, messages
            )
    except BaseException:
        with suppress(OSError, UnifyError):  # what went wrong first is what is told
            output.close()
        raise
    output.close()
    return status


def _run_scripts(
    invocation: cli.Invocation, open_session: Callable[[], Session], output: Output, messages: Messages
) -> int:
    from unify.shell.script import Runner, read_scripts

    lifeline.hold()
    scripts = read_scripts(invocation.steps or [cli.Step("file", "-")])
    session = open_session()
    try:
        runner: Runner = Runner(
            session, output, messages, echo=invocation.echo, keep_going=invocation.keep_going
        )
        for script in scripts:
            if not runner.left and (not runner.status or runner.keep_going):
                runner.run(script)
        if runner.stopped_waiting and sys.stdin is not None and sys.stdin.isatty():
            _offer_cancelling(session, messages)
    finally:
        session.close()
    return runner.status


def _offer_cancelling(session: Session, messages: Messages) -> None:
    """Give the second Ctrl-C its two seconds, where somebody can press it and a load goes on."""
    try:
        messages.notice(f"Ctrl-C within {CANCEL_WITHIN_S:.0f} s cancels it")
        threading.Event().wait(CANCEL_WITHIN_S)
    except KeyboardInterrupt:
        if told := session.cancel_waited():
            messages.notice(told)


def _live(environment: Environment) -> bool:
    """Whether stderr is a terminal on which lines can be drawn anew."""
    return sys.stderr is not None and sys.stderr.isatty() and terminal.is_smart(environment)


def _pager(environment: Environment) -> Sequence[str]:
    from unify.shell.pager import pager_command

    return pager_command(environment) if terminal.is_smart(environment) else ()


def _print(text: str) -> int:
    """Print an answer; a reader who has left is not an error."""
    if sys.stdout is None:
        return 0
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        from unify.shell.output import abandon_standard_output

        abandon_standard_output()
    return 0


def _refuse(error: UsageError) -> int:
    from unify.shell.messages import Messages

    Messages(sys.stderr).write(f"unify: {error.message}")
    return error.exit_status
