"""Where the parts come together: arguments and environment are read once and become one of the tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unify.cli import args
from unify.cli.environment import Environment, build_settings
from unify.errors import UnifyError, UsageError
from unify.render import terminal
from unify.shell import invocation as shell_invocation
from unify.shell.script_runner import _run_scripts

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.spec.model import TableSpec
    from unify.config.settings import Settings
    from unify.interpreter.results import StagedRows, Watcher
    from unify.render.messages import Messages
    from unify.shell.script_runner import ShellSession


SessionFactory = Callable[["Settings", "Watcher", shell_invocation.Invocation, Environment], "ShellSession"]

EXIT_INTERRUPTED = 130
EXIT_INTERNAL_ERROR = 1


def run_command(arguments: Sequence[str], session_factory: SessionFactory) -> int:
    """Do what the arguments ask for; ``opener`` makes the session that statements run on."""
    try:
        invocation = args.parse_arguments(arguments)
    except args.HelpRequested as asked:
        return _print_text(asked.text)
    except UsageError as error:
        return _print_usage_error(error)
    return _run_invocation(invocation, dict(os.environ), session_factory)


def open_interpreter(
    settings: Settings, watcher: Watcher, invocation: shell_invocation.Invocation, environment: Environment
) -> ShellSession:
    """The real interpreter, with what the command line says of it; loaded when a statement needs it."""
    from unify.interpreter.freshness import DEFAULT_MAX_AGE, MaxAge
    from unify.shell.startup import LazySession

    # a mistake in it is found before anything heavy is loaded
    max_age = DEFAULT_MAX_AGE if invocation.max_age is None else MaxAge.parse(invocation.max_age, "--max-age")

    def opened() -> ShellSession:
        from unify.interpreter.interpreter import Interpreter

        return Interpreter(
            settings,
            watcher,
            environment=environment,
            max_age=max_age,
            wait=invocation.wait,
            variables=dict(invocation.variables),
            stager=_stage_pages,
        )

    return LazySession(opened)


def _stage_pages(folder: Path, table: TableSpec, pages: Iterable[Page]) -> StagedRows:
    """Rows of live tables are typed as those of loads are; what does it is imported when there are any."""
    from unify.convert.preview import stage_pages

    return stage_pages(folder, table, pages)


def _run_invocation(
    invocation: shell_invocation.Invocation, environment: Environment, session_factory: SessionFactory
) -> int:
    from unify.render.messages import Messages
    from unify.render.output import OutputClosed, discard_stdout

    messages = Messages(
        sys.stderr,
        quiet=invocation.quiet,
        colour=terminal.supports_colours(environment) and sys.stderr is not None and sys.stderr.isatty(),
        debug=invocation.debug,
    )
    try:
        return _dispatch_task(invocation, environment, session_factory, messages)
    except UnifyError as error:
        messages.error(error)
        return error.exit_status
    except OutputClosed:
        discard_stdout()
        return 0
    except KeyboardInterrupt:
        messages.write("interrupted")
        _clear_noted_interrupt()
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 — the last border: a fault of ours, told without a traceback
        messages.internal_error(error)
        return EXIT_INTERNAL_ERROR


def _clear_noted_interrupt() -> None:
    """Let the process end with our status.

    Python notes a KeyboardInterrupt that came out of generated code, such as a dataclass that was being
    made by an import, and ends by the signal although it was caught; the next generated code clears the note.
    """
    make_dataclass("Nothing", ())


def _dispatch_task(
    invocation: shell_invocation.Invocation,
    environment: Environment,
    session_factory: SessionFactory,
    messages: Messages,
) -> int:
    match invocation.task:
        case "shell":
            return run_shell(
                invocation, build_settings(invocation, environment), environment, session_factory, messages
            )
        case "demo":
            from unify.cli.demo import run_demo

            return run_demo(
                invocation,
                environment,
                messages,
                lambda settings, environment: run_shell(
                    invocation, settings, environment, session_factory, messages
                ),
            )
        case "check":
            from unify.cli.check import check_connections
            from unify.render.terminal import terminal_prompt

            settings = build_settings(invocation, environment)
            return check_connections(settings, invocation.words, environment, terminal_prompt(messages))
        case "spec check":
            from unify.cli.check import check_specs

            return check_specs(invocation.words)
        case "spec try":
            from unify.cli.spec_commands import try_table
            from unify.render.terminal import terminal_prompt

            return try_table(invocation, environment, terminal_prompt(messages))
        case "completion":
            from unify.cli.shell_completion import completion_script

            return _print_text(completion_script(invocation.words[0]))
        case "spec test":
            from unify.cli.spec_commands import test_specs

            return test_specs(invocation.words)
        case _:
            from unify.cli.daemon_commands import run_daemon_task

            return run_daemon_task(invocation.task, build_settings(invocation, environment))


def run_shell(
    invocation: shell_invocation.Invocation,
    settings: Settings,
    environment: Environment,
    session_factory: SessionFactory,
    messages: Messages,
) -> int:
    """The shell itself: a script if there is one, else the prompt."""
    from unify.render.output import open_output
    from unify.render.progress import ProgressDisplay

    output = open_output(invocation.output_options(), environment)
    watcher = ProgressDisplay(messages, live=_can_redraw(environment))
    try:
        if not invocation.steps and sys.stdin is not None and sys.stdin.isatty():
            from unify.shell.activity import QueueActivityProbe
            from unify.shell.repl import run_repl

            output.pager = _pager_words(environment)
            status = run_repl(
                lambda: session_factory(settings, watcher, invocation, environment),
                output=output,
                messages=messages,
                settings=settings,
                invocation=invocation,
                probe=QueueActivityProbe(settings, environment, lambda: watcher.ended_jobs),
                plain=not terminal.supports_cursor(environment),
            )
        else:
            status = _run_scripts(
                invocation,
                lambda: session_factory(settings, watcher, invocation, environment),
                output,
                messages,
            )
    except BaseException:
        with suppress(OSError, UnifyError):  # what went wrong first is what is told
            output.close()
        raise
    output.close()
    return status


def _can_redraw(environment: Environment) -> bool:
    """Whether stderr is a terminal on which lines can be drawn anew."""
    return sys.stderr is not None and sys.stderr.isatty() and terminal.supports_cursor(environment)


def _pager_words(environment: Environment) -> Sequence[str]:
    from unify.render.pager import pager_command

    return pager_command(environment) if terminal.supports_cursor(environment) else ()


def _print_text(text: str) -> int:
    """Print an answer; a reader who has left is not an error."""
    if sys.stdout is None:
        return 0
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        from unify.render.output import discard_stdout

        discard_stdout()
    return 0


def _print_usage_error(error: UsageError) -> int:
    from unify.render.messages import Messages

    Messages(sys.stderr).write(f"unify: {error.message}")
    return error.exit_status
