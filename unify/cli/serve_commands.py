"""``unify serve``, ``unify ui``, ``unify mcp``, and ``unify user add|list|remove``."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from unify.config.settings import Settings
from unify.durations import format_duration
from unify.errors import ConfigError, UsageError
from unify.render.stdout import print_line
from unify.servers.event_log import EventLog
from unify.servers.main import ServeOptions, run_servers
from unify.servers.statements.limits import StatementLimits
from unify.servers.users import Role, UserStore
from unify.shell.invocation import Invocation

PAGE_PORT = "0"  # of unify ui: a free one, so that it works beside unify serve


def run_server_task(invocation: Invocation, settings: Settings, environment: Mapping[str, str]) -> int:
    """Run one of the five commands and return the exit status.

    Raises UsageError or ConfigError, UnknownName for an unknown user, StoreError.
    """
    if not settings.home.is_dir():
        raise ConfigError(f"{settings.home}: there is no such home folder; name another with --home")
    store = UserStore(settings)
    match invocation.task:
        case "serve" | "ui":
            is_page = invocation.task == "ui"
            options = ServeOptions(
                invocation.http or (PAGE_PORT if is_page else None),
                invocation.cert,
                invocation.key,
                invocation.open_metrics,
                opens_page=is_page,
                limits=_statement_limits(invocation),
                environment=environment,
                postgres=invocation.postgres,
            )
            return run_servers(settings, options, EventLog(sys.stderr))
        case "user add":
            [name] = invocation.words
            role = Role(invocation.role or Role.READER)
            password = _read_password(name) if invocation.password else None
            token = store.add_user(name, role, schemas=invocation.schemas, password=password)
            sys.stderr.write(f"user {name} added as {role}; the token is shown once:\n")
            print_line(token)
        case "user remove":
            [name] = invocation.words
            store.remove_user(name)
            print_line(f"user {name} removed; the token is not valid any more")
        case _:
            for user in store.list_users():
                schemas = f", schemas {', '.join(user.schemas)}" if user.schemas else ""
                added = f"added {user.created_at:%Y-%m-%d %H:%M} UTC"
                print_line(f"{user.name}: {user.role}{schemas}, {added}")
    return 0


def _read_password(name: str) -> str:
    """Ask for the password of a new user, or read the first line of standard input. Raises UsageError."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    import getpass

    password = getpass.getpass(f"Password of {name} for PostgreSQL clients: ")
    if getpass.getpass("Again: ") != password:
        raise UsageError("the two passwords differ; the user was not added")
    return password


def _statement_limits(invocation: Invocation) -> StatementLimits:
    """Return the limits of ``--bytes`` and ``--seconds``, or the defaults."""
    default = StatementLimits()
    return StatementLimits(
        default.rows, invocation.bytes or default.bytes, invocation.seconds or default.seconds
    )


def run_mcp_task(invocation: Invocation, settings: Settings, environment: Mapping[str, str]) -> int:
    """Serve agents until stdin ends or a signal; return the exit status. Raises UsageError, ConfigError."""
    try:
        from unify.servers.mcp.limits import AgentLimits
        from unify.servers.mcp.main import AgentOptions, run_agents
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("mcp", "mcp_types", "pydantic", "starlette", "uvicorn"):
            raise UsageError(
                f"mcp needs the package mcp ({error.name} is missing): pip install 'unify-sql[mcp]'"
            ) from error
        raise
    if not settings.home.is_dir():
        raise ConfigError(f"{settings.home}: there is no such home folder; name another with --home")
    default = AgentLimits()
    limits = AgentLimits(
        _row_limit(invocation.rows) or default.rows,
        invocation.bytes or default.bytes,
        invocation.seconds or default.seconds,
        default.calls if invocation.calls is None else invocation.calls,
        invocation.schemas,
        proposes_writes=invocation.allow_writes == "propose",
    )
    log = EventLog(sys.stderr)
    log.write_event(
        "agents.limits",
        rows=limits.rows,
        bytes=limits.bytes,
        time=format_duration(limits.seconds),
        calls=limits.calls,
        schemas=",".join(limits.schemas) or "all",
        writes="proposed" if limits.proposes_writes else "none",
    )
    options = AgentOptions(invocation.http, invocation.cert, invocation.key, limits, environment)
    return run_agents(settings, options, log)


def _row_limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--rows {text}: must be a number of rows")
    return int(text)
