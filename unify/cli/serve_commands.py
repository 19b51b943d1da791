"""``unify serve``, and ``unify user add|list|remove``."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from unify.config.settings import Settings
from unify.errors import ConfigError
from unify.render.stdout import print_line
from unify.servers.event_log import EventLog
from unify.servers.main import ServeOptions, run_servers
from unify.servers.statements.limits import StatementLimits
from unify.servers.users import Role, UserStore
from unify.shell.invocation import Invocation


def run_server_task(invocation: Invocation, settings: Settings, environment: Mapping[str, str]) -> int:
    """Run one of the four commands and return the exit status.

    Raises UsageError or ConfigError, UnknownName for an unknown user, StoreError.
    """
    if not settings.home.is_dir():
        raise ConfigError(f"{settings.home}: there is no such home folder; name another with --home")
    store = UserStore(settings)
    match invocation.task:
        case "serve":
            options = ServeOptions(
                invocation.http,
                invocation.cert,
                invocation.key,
                invocation.open_metrics,
                limits=_statement_limits(invocation),
                environment=environment,
            )
            return run_servers(settings, options, EventLog(sys.stderr))
        case "user add":
            [name] = invocation.words
            role = Role(invocation.role or Role.READER)
            token = store.add_user(name, role, schemas=invocation.schemas)
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


def _statement_limits(invocation: Invocation) -> StatementLimits:
    """Return the limits of ``--bytes`` and ``--seconds``, or the defaults."""
    default = StatementLimits()
    return StatementLimits(
        default.rows, invocation.bytes or default.bytes, invocation.seconds or default.seconds
    )
