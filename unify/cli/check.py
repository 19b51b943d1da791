"""``unify check`` and ``unify spec check``: validate connections and specs, one line each on stdout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from unify.adapters import base
from unify.adapters.base import Check, UserPrompt
from unify.adapters.registry import check_relational, check_writes, is_relational, open_adapter
from unify.adapters.spec.loader import load_spec
from unify.config import trust
from unify.config.connections import Connection, Connections, load_connections
from unify.config.notifications import load_notifications
from unify.config.settings import Settings
from unify.errors import ConfigError, SpecError, UnifyError, UnknownName
from unify.fs.memory import limit_memory
from unify.redaction import Redactor
from unify.render.stdout import print_line
from unify.text import did_you_mean, format_count


def check_connections(
    settings: Settings,
    names: Sequence[str],
    environment: Mapping[str, str],
    user_prompt: UserPrompt | None = None,
    redactor: Redactor | None = None,
) -> int:
    """Test the credentials of each connection and return 1 if any are refused.

    ``user_prompt``  signs in if an API requires it; None: do not ask.
    Raises ConfigError if there are no connections, UnknownName for an unknown name.
    """
    trust.require_trusted(settings)
    connections = load_connections(settings.connections)
    known = sorted({*connections.by_name, *connections.errors})
    if not known:
        raise ConfigError(f"{settings.connections}: no connections are configured; add one with connect")
    for name in names:
        if name not in known:
            raise UnknownName(f"unknown connection {name}{did_you_mean(name, known)}")

    def check(connection: Connection) -> Check:
        check_writes(connection, settings.specs)
        if is_relational(connection, settings.specs):
            return check_relational(connection, environment, redactor)
        tokens_folder = settings.token_folder
        adapter = open_adapter(
            connection, settings.specs, environment, tokens_folder=tokens_folder, redactor=redactor
        )
        with closing(adapter), limit_memory(settings.worker_memory_bytes, connection.name):
            return base.check_with_sign_in(adapter, user_prompt)

    def written(connection: Connection) -> str:
        """``writes people (insert, update)``: what statements may write."""
        tables = check_writes(connection, settings.specs)
        listed = [f"{name} ({', '.join(operations)})" for name, operations in tables.items()]
        return f"writes {', '.join(listed)}" if listed else ""

    passed = [_report_connection(name, connections, check, written) for name in names or known]
    if not names and settings.notifications.exists():
        passed.append(_report_notifications(settings.notifications, environment))
    return 0 if all(passed) else 1


def check_specs(paths: Sequence[str]) -> int:
    """Validate each spec, print every error, and return 1 if there are any."""
    passed = [_report_spec(Path(path)) for path in paths]
    return 0 if all(passed) else 1


def _report_connection(
    name: str,
    connections: Connections,
    check: Callable[[Connection], Check],
    written: Callable[[Connection], str],
) -> bool:
    try:
        if name in connections.errors:
            raise connections.errors[name]
        result = check(connections.by_name[name])
    except UnifyError as error:
        print_line(f"{name}: {_join_lines(error.message.removeprefix(f'{name}: '))}")
        return False
    writes = written(connections.by_name[name]) if result.accepted else ""
    text = ", ".join(part for part in (_check_result_text(result), writes) if part)
    print_line(f"{name}: {_join_lines(text)}")
    return result.accepted


def _report_notifications(path: Path, environment: Mapping[str, str]) -> bool:
    try:
        targets = load_notifications(path, environment)
    except UnifyError as error:
        print_line(_join_lines(error.message))
        return False
    names = [name for name, target in (("webhook", targets.webhook), ("mail", targets.mail)) if target]
    print_line(f"{path.name}: ok, {' and '.join(names)}")
    return True


def _join_lines(message: str) -> str:
    """Join the lines of a message with several errors into one."""
    return "; ".join(message.splitlines())


def _check_result_text(check: Check) -> str:
    if not check.accepted:
        return check.reason or "the credentials were refused"
    parts = ["ok"]
    if check.identity:
        parts.append(f"as {check.identity}")
    if check.quota_left is not None:
        parts.append(f"{format_count(check.quota_left, 'request')} left")
    return ", ".join(parts)


def _report_spec(path: Path) -> bool:
    try:
        spec = load_spec(path)
    except SpecError as error:
        for line in [str(problem) for problem in error.problems] or [error.message]:
            print_line(line)
        return False
    except UnifyError as error:
        print_line(error.message)
        return False
    print_line(f"{path}: ok, {format_count(len(spec.tables), 'table')}")
    return True
