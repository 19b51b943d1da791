"""Who else can change or read a configuration file: it decides where secrets are sent.

``UNIFY_TRUSTED_OWNERS`` names other users, by name or number, whose files are as trustworthy as one's own:
in a container, files that are mounted often have the owner they have outside.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

OWNERS_VARIABLE = "UNIFY_TRUSTED_OWNERS"
_ROOT = 0


def is_own(owner: int) -> bool:
    """Whether files of this user are as trustworthy as one's own.

    Those of root are, those of the user who ran sudo, and those of UNIFY_TRUSTED_OWNERS.
    """
    sudo = os.environ.get("SUDO_UID", "")
    if owner in (_ROOT, os.geteuid()) or (os.geteuid() == _ROOT and sudo.isdigit() and owner == int(sudo)):
        return True
    named = {name.strip() for name in os.environ.get(OWNERS_VARIABLE, "").split(",")}
    return bool(named & {str(owner), user_name(owner)})


def user_name(owner: int) -> str:
    """Return the name of a user; the number if it has none."""
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def writers(status: os.stat_result) -> str:
    """Return who else can write to a file or folder, for a message; "" if nobody can.

    Not in a folder whose files only their owners can remove (the sticky bit).
    """
    is_sticky_folder = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if is_sticky_folder:
        return ""
    if status.st_mode & stat.S_IWOTH:
        return "every user"
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status):
        return f"the group {_group_name(status.st_gid)}"
    return ""


def _is_private_group(status: os.stat_result) -> bool:
    """Whether only the owner of a file and root are in its group.

    With user-private groups a umask of 002 is usual. The group has the name of its user; in a container
    where neither has a name, its number.
    """
    owner = user_name(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return status.st_gid == status.st_uid and owner == str(status.st_uid)
    is_of_owner = group.gr_name == owner or group.gr_gid == _ROOT
    return is_of_owner and set(group.gr_mem) <= {owner, user_name(_ROOT)}


def _group_name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def is_readable_by_others(path: Path) -> bool:
    """Whether a file of this user can be read by other users. Mounted secrets of a container can."""
    try:
        status = path.stat()
    except OSError:
        return False  # resolving the reference says why
    own = status.st_uid == os.geteuid() and not path.is_relative_to("/run")
    return own and bool(status.st_mode & (stat.S_IROTH | stat.S_IRGRP))
