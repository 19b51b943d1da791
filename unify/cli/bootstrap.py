"""Wiring: reads arguments and environment once and runs the task they select."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.cli import args
from unify.cli.environment import Environment, build_settings
from unify.errors import UnifyError, UsageError
from unify.render import terminal
from unify.shell.invocation import Invocation

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.spec.model import TableSpec
    from unify.config.settings import Settings
    from unify.interpreter.results import StagedRows, Watcher
    from unify.render.messages import Messages
    from unify.render.output import Output
    from unify.shell.script_runner import ShellSession


SessionFactory = Callable[["Settings", "Watcher", Invocation, Environment], "ShellSession"]

EXIT_INTERRUPTED = 130
EXIT_INTERNAL_ERROR = 1


def run_command(arguments: Sequence[str], session_factory: SessionFactory) -> int:
    """Run the command line and return the exit status. ``session_factory`` opens the session."""
    from unify.fs.memory import disable_core_dumps
    from unify.render.messages import Messages

    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        from unify.render.stdout import open_closed_streams

        open_closed_streams()
    disable_core_dumps()
    try:
        invocation = args.parse_arguments(arguments)
    except args.HelpRequested as request:
        return print_text(request.text)
    except UsageError as error:
        Messages(sys.stderr).write(f"unify: {error.message}")
        return error.exit_status
    return _run_invocation(invocation, dict(os.environ), session_factory)


def open_interpreter(
    settings: Settings, watcher: Watcher, invocation: Invocation, environment: Environment
) -> ShellSession:
    """Return a session that opens the interpreter when a statement needs it. Raises UsageError."""
    from unify.interpreter.freshness import DEFAULT_MAX_AGE, MaxAge
    from unify.shell.startup import LazySession

    max_age = DEFAULT_MAX_AGE if invocation.max_age is None else MaxAge.parse(invocation.max_age, "--max-age")

    def open_session() -> ShellSession:
        from unify.interpreter.interpreter import Interpreter

        return Interpreter(
            settings,
            watcher,
            environment=environment,
            max_age=max_age,
            wait=invocation.wait,
            wait_limit_s=invocation.wait_limit_s,
            strict=invocation.strict,
            stdin_is_script=invocation.reads_stdin and not _is_interactive(invocation),
            yes=invocation.yes,
            max_writes=invocation.max_writes,
            max_deletes=invocation.max_deletes,
            variables=dict(invocation.variables),
            stager=stage_pages,
        )

    return LazySession(open_session)


def stage_pages(folder: Path, table: TableSpec, pages: Iterable[Page]) -> StagedRows:
    """Convert rows of live tables as loads do; the converter is imported on first use."""
    from unify.convert import preview

    return preview.stage_pages(folder, table, pages)


def _run_invocation(invocation: Invocation, environment: Environment, session_factory: SessionFactory) -> int:
    from unify.render.messages import Messages
    from unify.render.stdout import OutputClosed, discard_stdout, flush_stdout

    messages = Messages(
        sys.stderr,
        quiet=invocation.quiet,
        colour=terminal.supports_colours(environment) and sys.stderr is not None and sys.stderr.isatty(),
        debug=invocation.debug,
    )
    try:
        _check_open_files(messages)
        status = _dispatch_task(invocation, environment, session_factory, messages)
        flush_stdout()
        return status
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
    except Exception as error:  # noqa: BLE001 — reports an unexpected error without a traceback
        messages.internal_error(error)
        return EXIT_INTERNAL_ERROR


def _check_open_files(messages: Messages) -> None:
    """Raise a low limit of open files, of macOS for example; report one that cannot be raised."""
    from unify.fs.process_limits import MIN_OPEN_FILES, raise_open_files

    if (limit := raise_open_files()) < MIN_OPEN_FILES:
        messages.notice(f"only {limit} files may be open (ulimit -n); Unify needs {MIN_OPEN_FILES}")


def _clear_noted_interrupt() -> None:
    """Make the process exit with our status after a KeyboardInterrupt.

    Python records a KeyboardInterrupt raised in generated code (such as a dataclass definition during an
    import) and exits by the signal even if it was caught; running generated code again clears the record.
    """
    from dataclasses import make_dataclass

    make_dataclass("Nothing", ())


def _dispatch_task(
    invocation: Invocation, environment: Environment, session_factory: SessionFactory, messages: Messages
) -> int:
    def shell(settings: Settings, environment: Environment) -> int:
        return run_shell(invocation, settings, environment, session_factory, messages)

    match invocation.task:
        case "shell":
            return shell(build_settings(invocation, environment), environment)
        case "demo":
            from unify.cli.demo import run_demo

            return run_demo(invocation, environment, messages, shell)
        case "check":
            return _run_check(invocation, environment, messages)
        case "spec check":
            from unify.cli.check import check_specs

            return check_specs(invocation.words)
        case "spec try" | "spec test" | "spec import":
            return _run_spec_task(invocation, environment, messages)
        case "trust":
            from unify.cli.trust import trust_files

            return trust_files(build_settings(invocation, environment), invocation.words)
        case "completion":
            from unify.cli.shell_completion import completion_script

            return print_text(completion_script(invocation.words[0]))
        case "daemon run" | "daemon start" | "daemon stop" | "daemon status":
            from unify.cli.daemon_commands import run_daemon_task

            return run_daemon_task(invocation.task, build_settings(invocation, environment))
        case "mcp":
            from unify.cli.serve_commands import run_mcp_task

            return run_mcp_task(invocation, build_settings(invocation, environment), environment)
        case "serve" | "ui" | "user add" | "user list" | "user remove":
            from unify.cli.serve_commands import run_server_task

            return run_server_task(invocation, build_settings(invocation, environment), environment)
        case "lake check" | "backup" | "restore":
            from unify.cli.home_commands import run_home_task

            return run_home_task(invocation, build_settings(invocation, environment), messages)


def _run_check(invocation: Invocation, environment: Environment, messages: Messages) -> int:
    settings = build_settings(invocation, environment)
    if invocation.loads:
        from unify.cli.check_loads import check_loads

        return check_loads(settings, invocation.words, environment, messages.notice)
    from unify.cli.check import check_connections

    _confirm_connections(settings, messages)
    prompt = terminal.terminal_prompt(messages)
    return check_connections(settings, invocation.words, environment, prompt, messages.redactor)


def _run_spec_task(invocation: Invocation, environment: Environment, messages: Messages) -> int:
    if invocation.task == "spec import":
        from unify.importers.command import ImportCommand, run_import
        from unify.importers.model import ImportSettings

        given = invocation
        settings = ImportSettings(given.name, given.auth, dict(given.options), given.live)
        about = (given.words, settings, given.from_format, given.tables, given.output, given.report)
        return run_import(ImportCommand(*about, force=given.force))
    from unify.cli.spec_commands import test_specs, try_table

    if invocation.task == "spec test":
        return test_specs(invocation.words)
    prompt = terminal.terminal_prompt(messages)
    return try_table(invocation, environment, prompt, messages.redactor)


def run_shell(
    invocation: Invocation,
    settings: Settings,
    environment: Environment,
    session_factory: SessionFactory,
    messages: Messages,
) -> int:
    """Run the script of the command line or of stdin; on a terminal without a script, run the prompt."""
    from unify.render.output import open_output
    from unify.render.progress import ProgressDisplay

    _confirm_connections(settings, messages)
    interactive = _is_interactive(invocation)
    can_redraw = sys.stderr is not None and sys.stderr.isatty() and terminal.supports_cursor(environment)
    output = open_output(invocation.output_options(), environment, save_each_result=interactive)
    watcher = ProgressDisplay(messages, live=can_redraw)

    def open_session() -> ShellSession:
        return session_factory(settings, watcher, invocation, environment)

    def run() -> int:
        if not interactive:
            from unify.shell.script_runner import run_scripts

            return run_scripts(invocation, open_session, output, messages)
        from unify.shell.activity import QueueActivityProbe
        from unify.shell.repl import run_repl

        output.pager = _pager_command(environment)
        return run_repl(
            open_session,
            output=output,
            messages=messages,
            settings=settings,
            invocation=invocation,
            probe=QueueActivityProbe(settings, environment, lambda: watcher.ended_jobs),
            plain=not terminal.supports_cursor(environment),
        )

    return _close_after(run, output, messages, keep_going=invocation.keep_going)


def _close_after(run: Callable[[], int], output: Output, messages: Messages, *, keep_going: bool) -> int:
    """Return the status of ``run``; its output replaces a file unless it failed."""
    try:
        status = run()
    except BaseException:
        output.discard()
        raise
    if status and not keep_going:
        output.discard()
        return status
    output.close()
    if output.closing_message:
        messages.notice(output.closing_message)
    return status


def _is_interactive(invocation: Invocation) -> bool:
    return not invocation.steps and sys.stdin is not None and sys.stdin.isatty()


def _confirm_connections(settings: Settings, messages: Messages) -> None:
    """At a terminal, ask before a connections.yaml of this folder is used; a script gets an error later."""
    if settings.connections_found and terminal.is_interactive():
        from unify.cli.trust import confirm_connections

        confirm_connections(settings, lambda text: terminal.confirm(messages, text))


def _pager_command(environment: Environment) -> Sequence[str]:
    from unify.render.pager import pager_command

    return pager_command(environment) if terminal.supports_cursor(environment) else ()


def print_text(text: str) -> int:
    """Print a text to stdout and return the exit status; a closed pipe is not an error."""
    from unify.render.messages import Messages
    from unify.render.stdout import OutputClosed, discard_stdout, flush_stdout, write_stdout

    try:
        write_stdout(text)
        flush_stdout()
    except OutputClosed:
        discard_stdout()
    except UnifyError as error:
        Messages(sys.stderr).write(error.message)
        return error.exit_status
    return 0
