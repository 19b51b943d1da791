"""The command with a connection to an API on loopback that can be written."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.support.command import CommandResult, UnifyCommand
from tests.support.fault_server import FaultServer
from tests.support.writable_api import CRM_SPEC, WritableApi

TOKEN = "s3cret-canary"


@dataclass
class Crm:
    unify: UnifyCommand
    api: WritableApi

    def __call__(self, *statements: str, args: tuple[str, ...] = ("--yes",)) -> CommandResult:
        return self.unify(*statements, args=args)

    @property
    def last_write(self) -> str:
        """The number of the last write; those of earlier tests are listed, too."""
        return self("show writes").rows[1][0]

    @property
    def sent(self) -> list[tuple[str, object]]:
        """Method and body of each request that writes."""
        requests = [each for each in self.api.server.requests if each.method != "GET"]
        return [(each.method, json.loads(each.body or b"null")) for each in requests]

    @property
    def people(self) -> list[tuple[str, str | None]]:
        """Email and name of each person that the API has."""
        return sorted((person["email"], person.get("name")) for person in self.api.people)


def make_crm(unify: UnifyCommand, api: FaultServer) -> Crm:
    """Connect ``unify`` to the API."""
    specs = unify.home / "specs"
    specs.mkdir(exist_ok=True)
    (specs / "crm.yaml").write_text(CRM_SPEC, encoding="utf-8")
    unify.environment |= {"UNIFY_SPECS": str(specs), "CRM_TOKEN": TOKEN}
    unify.write_connections(
        f"crm:\n  adapter: crm\n  options: {{base_url: '{api.url}', token: '${{CRM_TOKEN}}'}}\n"
        "  writes: [people, contacts, members, tickets]\n"
    )
    return Crm(unify, WritableApi(api))
