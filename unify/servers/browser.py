"""Opens the page of a server in the browser of this desktop, if there is one."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Mapping

from unify.render.stdout import flush_stdout, print_line


def open_page(address: str, environment: Mapping[str, str]) -> None:
    """Print the address, and open it in a browser where a desktop is running."""
    print_line(address)
    flush_stdout()
    if has_desktop(environment):
        webbrowser.open(address)


def has_desktop(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser has a screen. Without one, ``webbrowser`` would start one in this terminal."""
    if environment.get("BROWSER"):
        return True
    if platform in ("darwin", "win32"):
        return not environment.get("SSH_CONNECTION")
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def page_address(server: str, ticket: str) -> str:
    """Return the address of the page; browsers send the part after # to no server."""
    return f"{server}/#ticket={ticket}"
