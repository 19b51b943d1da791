"""Time zones by name: which one a person's clock shows, and what its rules are."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LOCALTIME = Path("/etc/localtime")  # on Linux and macOS a link into the zones' folder
_FOLDER = "zoneinfo/"
_OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")


def zone_named(name: str) -> tzinfo:
    """The zone ``Europe/Berlin``, or the fixed offset ``+01:00``. Raises ValueError for neither.

    Rules come from the system; where it has none, from those that come with pytz.
    """
    if name == "UTC":
        return UTC
    if fixed := _OFFSET.fullmatch(name):
        sign = -1 if fixed[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(fixed[2]), minutes=int(fixed[3])))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _bundled(name)


def local_zone(said: str | None, now: datetime, localtime: Path = LOCALTIME) -> str:
    """The name of the zone on this machine's clock; its offset of now where nobody knows the name.

    ``said``  the environment's TZ, if it has one.
    ``now``   aware, as the machine's clock shows it: a name whose rules say otherwise is not believed.
    """
    name = said.removeprefix(":") if said else _linked(localtime)
    return name if name and _fits(name, now) else _offset(now)


def _linked(localtime: Path) -> str:
    try:
        return os.path.realpath(localtime).rpartition(_FOLDER)[2].removeprefix("posix/")
    except OSError:
        return ""


def _fits(name: str, now: datetime) -> bool:
    try:
        return now.astimezone(zone_named(name)).utcoffset() == now.utcoffset()
    except ValueError:
        return False


def _offset(now: datetime) -> str:
    return now.isoformat(timespec="minutes")[-6:] if now.utcoffset() else "UTC"


def _bundled(name: str) -> tzinfo:
    import pytz

    try:
        with pytz.open_resource(name) as rules:  # type: ignore[attr-defined]  # its stubs leave it out
            return ZoneInfo.from_file(rules, key=name)
    except (OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
