"""``unify trust``, and the question before a connections.yaml that is new in a folder is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from unify.config import trust
from unify.config.settings import Settings
from unify.errors import ConfigError, UsageError
from unify.fs.paths import absolute_path
from unify.render.stdout import print_line


def trust_files(settings: Settings, paths: Sequence[str]) -> int:
    """Record that the files may be used, by default ./connections.yaml, and print what each one reads."""
    for given in paths or ["connections.yaml"]:
        path = absolute_path(given)
        if path.is_dir():
            path /= "connections.yaml"
        if not path.is_file():
            raise UsageError(f"{given}: file not found")
        uses = trust.describe_use(path)
        trust.trust(settings, path)
        for line in (f"{path}: trusted", *(f"  {line}" for line in uses)):
            print_line(line)
    return 0


def confirm_connections(settings: Settings, ask: Callable[[str], bool]) -> None:
    """Ask before a connections file of the current folder is used for the first time.

    Raises:
        ConfigError: the answer is no, or the file cannot be used.
    """
    problem = trust.find_problem(settings)
    if not problem:
        return
    path: Path = settings.connections
    lines = [f"{path}: {problem}.", *(f"  {line}" for line in trust.describe_use(path))]
    if not ask("\n".join(lines) + "\nUse it, now and from now on?"):
        raise ConfigError(f"{path}: not used; name another file with --connections")
    trust.trust(settings, path)
