"""Connection strings of ODBC, and the errors of its drivers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from unify.adapters.database.error_messages import server_error
from unify.errors import (
    ConfigError,
    Forbidden,
    Interrupted,
    NotFound,
    SourceError,
    Unauthorized,
    UnifyError,
    Unreachable,
)

PASSWORD_KEYWORDS = ("pwd", "password")
_PAIR = re.compile(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)\s*(?:;|$)")
_ORIGIN = re.compile(r"^(?:\[[^\]]*\]\s*)+(?:ERROR:\s+)?")  # [08001] [unixODBC][Driver Manager]
_FUNCTION = re.compile(r";?\s*(?:Error while executing the query)?\s*\(-?\d+\) \(SQL\w+\)")
_MISSING_DRIVER = re.compile("Can't open lib '(?P<name>[^']*)'|Data source name not found|IM00[23]")
_TIMEOUTS = ("HYT00", "HYT01")
_CLASSES: Mapping[str, type[UnifyError]] = {  # by SQLSTATE, or its class
    "28000": Unauthorized,
    "28P01": Unauthorized,
    "42501": Forbidden,
    "42S02": NotFound,
    "42S22": NotFound,
    "42P01": NotFound,
    "42703": NotFound,
    "HY008": Interrupted,
    "57014": Interrupted,
    "08": Unreachable,
}


def connection_string(pairs: Mapping[str, str]) -> str:
    """Return the connection string of keywords and values; values are quoted as ODBC requires."""
    return ";".join(f"{keyword}={_quote(value)}" for keyword, value in pairs.items() if value)


def parse_parameters(place: str, items: Sequence[str]) -> Mapping[str, str]:
    """Return the keywords of the option ``parameters``. Raises ConfigError, also for a password."""
    found = {}
    for item in items:
        keyword, mark, value = item.partition("=")
        if not mark or not keyword.strip():
            raise ConfigError(f"{place}: expected KEYWORD=VALUE, not {keyword.strip()}")
        if keyword.strip().lower() in PASSWORD_KEYWORDS:
            raise ConfigError(f"{place}: {keyword.strip()} is secret; give it as the option password")
        found[keyword.strip()] = value.strip()
    return found


def passwords_of(text: str) -> Iterator[str]:
    """Yield the passwords of a connection string."""
    for keyword, value in _PAIR.findall(text):
        if keyword.lower() in PASSWORD_KEYWORDS and value:
            yield value
            if value.startswith("{"):
                yield value[1:-1].replace("}}", "}")


def odbc_error(connection: str, driver: str, error: Exception) -> UnifyError:
    """Return the error for one of a driver. ``driver``: as connections.yaml names it."""
    arguments = [str(argument) for argument in error.args]
    state, message = (arguments[0], arguments[-1]) if len(arguments) > 1 else ("", " ".join(arguments))
    if _MISSING_DRIVER.search(message) or state.startswith("IM00"):
        return ConfigError(
            f"{connection}: the ODBC driver or data source {driver} is not installed; odbcinst -q -d lists "
            "the drivers, odbcinst -q -s the data sources"
        )
    text = _FUNCTION.sub("", _ORIGIN.sub("", message)).strip()
    if state in _TIMEOUTS:
        return SourceError(f"{connection}: {text}; narrow the query, or set statement_timeout to more")
    found = server_error(connection, text)
    if type(found) is not SourceError:
        return found
    return (_CLASSES.get(state) or _CLASSES.get(state[:2]) or SourceError)(f"{connection}: {text}")


def _quote(value: str) -> str:
    plain = re.fullmatch(r"[\w./\\:@-]*", value)
    return value if plain else "{" + value.replace("}", "}}") + "}"
