"""The settings of a client: those of PostgreSQL that clients use, and ``max_age`` of Unify."""

from __future__ import annotations

import re
from collections.abc import Mapping

from unify.durations import parse_duration
from unify.errors import UnifyError
from unify.interpreter.freshness import DEFAULT_MAX_AGE, MaxAge
from unify.servers.postgres.sqlstates import INVALID_PARAMETER_VALUE, UNDEFINED_OBJECT, ClientError

DATABASE = "unify"
# Sent to the client at its start, and again when one of them changes.
REPORTED = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "scram_iterations",
    "search_path",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
)
_FIXED = frozenset(
    (
        "in_hot_standby",
        "integer_datetimes",
        "is_superuser",
        "lc_collate",
        "lc_ctype",
        "max_identifier_length",
        "scram_iterations",
        "server_encoding",
        "server_version",
        "server_version_num",
        "session_authorization",
    )
)
_DEFAULTS = {
    "application_name": "",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "client_min_messages": "notice",
    "DateStyle": "ISO, MDY",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "on",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "0",
    "in_hot_standby": "off",
    "integer_datetimes": "on",
    "IntervalStyle": "postgres",
    "is_superuser": "off",
    "lc_collate": "C.UTF-8",
    "lc_ctype": "C.UTF-8",
    "lock_timeout": "0",
    "max_age": "",
    "max_identifier_length": "63",
    "scram_iterations": "4096",
    "search_path": '"$user", public',
    "server_encoding": "UTF8",
    "server_version_num": "",
    "session_authorization": "",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "TimeZone": "UTC",
    "transaction_isolation": "read committed",
    "transaction_read_only": "on",
}
# What a client may set without an effect here, such as hints for PostgreSQL's planner.
_IGNORED = re.compile(
    r"(?i)(?:\w+\.\w+|enable_(?:\w*scan|\w*join|nestloop|\w*sort|\w*hashagg|material|memoize|gathermerge|"
    r"partition\w+|parallel\w+)|jit\w*|geqo\w*|(?:work|maintenance_work)_mem|row_security|"
    r"synchronize_seqscans|default_tablespace|default_with_oids|check_function_bodies|xmloption|"
    r"quote_all_identifiers|transaction_timeout|ssl_renegotiation_limit|intervalstyle|lc_(?:messages|monetary|numeric|time)|"
    r"default_table_access_method|synchronous_commit|cursor_tuple_fraction|force_parallel_mode|"
    r"transaction_deferrable|default_transaction_deferrable|tcp_\w+|plan_cache_mode|random_page_cost)"
)
_LEVELS = ("debug5", "debug4", "debug3", "debug2", "debug1", "log", "info", "notice", "warning", "error")
_UNICODE = frozenset(("utf8", "utf-8", "unicode", "sql_ascii"))


class ClientSettings:
    """Settings by name; the case of names does not matter."""

    def __init__(self, user: str, server_version: str, version_number: int) -> None:
        self._start = {
            **_DEFAULTS,
            "server_version": server_version,
            "server_version_num": str(version_number),
            "session_authorization": user,
        }
        self._values = dict(self._start)
        self.max_age: MaxAge = DEFAULT_MAX_AGE
        self.timeout_s: float | None = None

    def reported(self) -> Mapping[str, str]:
        """Return the values of REPORTED."""
        return {name: self._values[name] for name in REPORTED}

    def get(self, name: str) -> str | None:
        """Return the value of a setting; None if there is none of that name."""
        known = self._known_name(name)
        return None if known is None else self._values[known]

    @property
    def changed_search_path(self) -> str:
        """The search path that the client has set; "" for the default."""
        path = self._values["search_path"]
        return "" if path == _DEFAULTS["search_path"] else path

    def keep_as_defaults(self) -> None:
        """Let RESET return to the values of now: those of the start of the connection."""
        self._start = dict(self._values)

    def set(self, name: str, value: str | None) -> None:
        """Change a setting; None: to its default. Raises ClientError."""
        known = self._known_name(name)
        if known is None:
            if _IGNORED.fullmatch(name):
                return
            raise ClientError(f'unrecognized configuration parameter "{name[:100]}"', UNDEFINED_OBJECT)
        if known in _FIXED:
            if value in (None, self._values[known]):
                return
            raise ClientError(f'parameter "{known}" cannot be changed', INVALID_PARAMETER_VALUE)
        given = self._start[known] if value is None else value
        try:
            self._values[known] = self._checked(known, given)
        except (UnifyError, ValueError) as error:
            message = f'invalid value for parameter "{known}": "{given[:100]}"'
            raise ClientError(message, INVALID_PARAMETER_VALUE) from error

    def reset_all(self) -> None:
        for name, value in self._start.items():
            if name not in _FIXED:
                self.set(name, value)

    def shows(self, severity: str) -> bool:
        """Whether the client wants messages of a level, such as ``notice``."""
        return _LEVELS.index(severity) >= _LEVELS.index(self._values["client_min_messages"])

    def _known_name(self, name: str) -> str | None:
        return _NAMES.get(name.lower())

    def _checked(self, name: str, value: str) -> str:
        """Return the value as it is shown. Raises UnifyError."""
        match name:
            case "max_age":
                self.max_age = MaxAge.parse(value) if value else DEFAULT_MAX_AGE
            case "statement_timeout":
                milliseconds = value.strip().removesuffix("ms").strip()
                is_plain = milliseconds.isdecimal()
                seconds = int(milliseconds) / 1000 if is_plain else parse_duration(value)
                self.timeout_s = seconds or None
            case "client_min_messages":
                if value.lower() not in _LEVELS:
                    raise ValueError(value)
                return value.lower()
            case "client_encoding":
                if value.lower().strip("'\"") not in _UNICODE:
                    raise ValueError(value)
                return "UTF8"
            case "DateStyle":
                if "iso" not in value.lower():
                    raise ValueError(value)
                return "ISO, MDY"
            case "standard_conforming_strings":
                if value.lower() not in ("on", "true", "yes", "1"):
                    raise ValueError(value)
                return "on"
            case "TimeZone":
                return "UTC"  # every time is sent in UTC, with +00
            case _:
                return value
        return value


_NAMES = {name.lower(): name for name in (*_DEFAULTS, "server_version")}
