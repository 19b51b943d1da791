"""The emulators of the npm package ``emulate`` in one process, each service on a port of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.support.foreign_servers import free_port, install_npm_program, run_server
from tests.support.paths import CHECKOUT
from tests.support.waiting import wait_until

EMULATE = "emulate@0.11.2"
TOKEN = "token-of-mona"


@contextmanager
def run_emulators(folder: Path, services: Sequence[str], seed: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Run the services until the block ends; yield the URL of each. TOKEN is that of the user mona."""
    tokens = {TOKEN: {"login": "mona", "scopes": ["repo", "user", "admin:org"]}}
    (folder / "seed.yaml").write_text(yaml.safe_dump({"tokens": tokens, **seed}), encoding="utf-8")
    first = _first_of_free_ports(len(services))
    command = [install_npm_program(EMULATE), "start", "--port", str(first), "--seed", "seed.yaml"]
    with run_server([*command, "--service", ",".join(services)], folder):
        for port in range(first, first + len(services)):
            wait_until(partial(_is_open, port))
        yield {name: f"http://127.0.0.1:{first + number}" for number, name in enumerate(services)}


def slack_spec_with_post(*names: str) -> dict[str, Any]:
    """The bundled spec with these tables, as the emulator needs it, which accepts only POST.

    With forms, small pages and no rate limit, which would take minutes.
    """
    spec: dict[str, Any] = yaml.safe_load((CHECKOUT / "rest_specs" / "slack.yaml").read_text("utf-8"))
    del spec["limits"], spec["views"]
    spec["paging"] |= {"in": "body", "size": 5}
    spec["check"]["request"] = "POST /auth.test"
    spec["tables"] = [table for table in spec["tables"] if table["name"] in names]
    for table in spec["tables"]:
        table["request"] = table["request"].replace("GET", "POST")
        table["form"] = table.pop("params", {})
        table.pop("incremental", None)  # a body cannot contain both cursors
    return spec


def _first_of_free_ports(count: int) -> int:
    """The first of ``count`` ports in a row that are free."""
    while True:
        first = free_port()
        if first + count < 65536 and not any(_is_open(port) for port in range(first, first + count)):
            return first


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
