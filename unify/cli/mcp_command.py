"""``unify mcp``."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from unify.config.settings import Settings
from unify.durations import format_duration
from unify.errors import ConfigError, UsageError
from unify.servers.event_log import EventLog
from unify.shell.invocation import Invocation


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
