"""A home with many connections of one hundred tables each."""

from __future__ import annotations

from pathlib import Path

from tests.support.stores import create_home
from unify.config.settings import Settings

TABLES_YAML = "base_url: http://127.0.0.1:9\ntables:\n" + "".join(
    f"  - {{name: table_{number}, description: Things of kind {number}, request: GET /things/{number},\n"
    f"     columns: {{id: bigint, thing_{number}_name: varchar}}}}\n"
    for number in range(100)
)


def _spec(number: int) -> str:
    return f"name: many{number}\n{TABLES_YAML}"


def create_home_with_connections(folder: Path, connections: int, adapters: int = 1) -> Settings:
    """Create a home with connections that are distributed over the adapters, each with one hundred tables."""
    folder.mkdir()
    for number in range(adapters):
        (folder / f"many{number}.yaml").write_text(_spec(number), encoding="utf-8")
    home = create_home(folder)
    home.connections.write_text(
        "".join(f"c{number}:\n  adapter: many{number % adapters}\n" for number in range(connections)),
        encoding="utf-8",
    )
    home.connections.chmod(0o600)
    return Settings(home.home, home.connections, specs=(folder,))
