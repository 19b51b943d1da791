"""Writes that agents propose, and the person who is asked by the client of the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitResult
from msgspec.structs import replace

from tests.servers.mcp.test_agents import AGES, LIMITS, WRITABLE, Age, open_runner
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.stores import create_home, settings_for_home
from unify.config.settings import Settings
from unify.model import WriteState
from unify.servers.mcp.approvals import MAX_PROPOSALS, PROPOSAL_LIFETIME_S, OpenProposals, question
from unify.servers.mcp.runner import AgentRunner
from unify.servers.mcp.server import build_server
from unify.servers.mcp.tools import AgentTools
from unify.writes.records import Write
from unify.writes.store import WriteStore

pytestmark = [pytest.mark.lake, pytest.mark.socket]
STATEMENT = "insert into shop.people (name) select 'Ada'"


class Person:
    """Answers the questions of a client; ``asked`` are their texts."""

    def __init__(self, reply: ElicitResult) -> None:
        self.reply = reply
        self.asked: list[str] = []

    async def __call__(self, _context: Any, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params.message)
        return self.reply


def accept(approve: object = True) -> ElicitResult:
    return ElicitResult(action="accept", content={"approve": approve})  # type: ignore[dict-item]


def write_connections(settings: Settings, address: str) -> Settings:
    """Configure a connection whose table people can be written."""
    specs = settings.home / "specs"
    specs.mkdir(exist_ok=True)
    (specs / "shop.yaml").write_text(WRITABLE)
    settings.connections.write_text(
        "shop: {adapter: shop, writes: [people], "
        f"options: {{base_url: '{address}', token: s3cret-canary}}}}\n"
    )
    return replace(settings_for_home(settings.home), specs=(specs,))


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return write_connections(create_home(tmp_path_factory.mktemp("proposed")), "http://127.0.0.1:9")


@contextmanager
def open_proposing_runner(settings: Settings) -> Iterator[AgentRunner]:
    with open_runner(settings, replace(LIMITS, proposes_writes=True, seconds=60.0)) as runner:
        yield runner


@pytest.fixture(scope="module")
def runner(writable: Settings) -> Iterator[AgentRunner]:
    with open_proposing_runner(writable) as opened:
        yield opened


def propose(
    runner: AgentRunner, person: Any, age: Age, reason: str, statement: str = STATEMENT
) -> CallToolResult:
    async def run() -> CallToolResult:
        async with Client(build_server(runner), mode=age, elicitation_callback=person) as client:
            arguments = {"statement": statement, "reason": reason}
            return await client.call_tool("propose_write", arguments)

    return asyncio.run(run())


def newest(settings: Settings) -> Write:
    with WriteStore(settings.writes) as writes:
        return writes.recent("default", 1)[0]


def answered(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("reply", [ElicitResult(action="decline"), accept(False)])
def test_a_declined_write_is_cancelled(
    runner: AgentRunner, writable: Settings, age: Age, reply: ElicitResult
) -> None:
    person = Person(reply)
    reason = f"because {age} {reply.action}\nApprove: yes \x1b[2J"
    answer = answered(propose(runner, person, age, reason))
    assert answer["state"] == "declined by a person; nothing was sent"
    write = newest(writable)
    assert (write.id, write.state) == (answer["write"], WriteState.CANCELLED)
    [text] = person.asked
    assert text.startswith(f"Write {write.id}:\n")
    assert "1 row to insert into shop.people" in text
    assert f"The agent's reason (not checked): because {age} {reply.action} Approve: yes" in text
    assert "\x1b" not in text
    assert "s3cret-canary" not in text


@pytest.mark.parametrize("age", AGES)
def test_a_write_whose_question_is_closed_waits(runner: AgentRunner, writable: Settings, age: Age) -> None:
    answer = answered(propose(runner, Person(ElicitResult(action="cancel")), age, f"closed {age}"))
    write = newest(writable)
    assert (answer["state"], write.state) == ("waits for a person", WriteState.PLANNED)
    assert answer["approve"] == f"approve write {write.id}"


@pytest.mark.parametrize("age", AGES)
def test_a_client_that_cannot_ask_leaves_the_write_to_a_shell(
    runner: AgentRunner, writable: Settings, age: Age
) -> None:
    answer = answered(propose(runner, None, age, f"alone {age}"))
    assert (answer["state"], newest(writable).state) == ("waits for a person", WriteState.PLANNED)


def test_an_answer_of_another_form_approves_nothing(runner: AgentRunner, writable: Settings) -> None:
    for content in ({}, {"approve": "surely"}, {"approve": None}, None):
        person = Person(ElicitResult(action="accept", content=content))  # type: ignore[arg-type]
        assert propose(runner, person, "2026-07-28", f"odd {content}").is_error
        assert newest(writable).state is WriteState.PLANNED


def test_a_statement_that_is_not_allowed_asks_nobody(runner: AgentRunner) -> None:
    person = Person(accept())
    for statement in (
        "select 1",
        "insert into shop.people (name) select content from read_text('/etc/hosts')",
    ):
        assert propose(runner, person, "2026-07-28", "x", statement).is_error
    assert person.asked == []


def test_a_user_without_the_role_writer_is_not_asked(
    runner: AgentRunner, writable: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = AgentTools.__init__

    def as_loader(self: AgentTools, *arguments: Any, **_options: Any) -> None:
        make(self, *arguments, may_approve=False)

    monkeypatch.setattr(AgentTools, "__init__", as_loader)
    person = Person(accept())
    assert answered(propose(runner, person, "2026-07-28", "loader"))["state"] == "waits for a person"
    assert (person.asked, newest(writable).state) == ([], WriteState.PLANNED)


@pytest.mark.process
@pytest.mark.parametrize("age", ["2026-07-28", pytest.param("legacy", marks=pytest.mark.slow)])
def test_an_approved_write_is_sent_once(new_home: Path, api: FaultServer, age: Age) -> None:
    api.serve("/people", MockResponse.json({"id": 1, "name": "Ada"}, status=201))
    settings = write_connections(settings_for_home(new_home), api.url)
    person = Person(accept())
    with open_proposing_runner(settings) as runner:
        answer = answered(propose(runner, person, age, "asked"))
    assert answer["state"] == "sent"
    assert "1" in answer["outcome"]
    sent = [request for request in api.requests if request.method == "POST"]
    assert len(sent) == len(person.asked) == 1
    write = newest(settings)
    assert (write.state, write.approved_by) == (WriteState.DONE, "mcp (asked by the client)")


class TestOpenProposals:
    def test_a_question_is_planned_once_until_it_is_closed_or_old(self) -> None:
        now_s = 0.0
        proposals = OpenProposals(lambda: now_s)
        planned = 0

        async def plan() -> dict[str, Any]:
            nonlocal planned
            planned += 1
            return {"write": planned}

        def find(name: str = "a") -> Any:
            return asyncio.run(proposals.find_or_plan((name, "s", "r"), plan))["write"]

        assert [find(), find(), find("b")] == [1, 1, 2]
        proposals.close(("a", "s", "r"))
        assert find() == 3
        now_s = PROPOSAL_LIFETIME_S + 1
        assert find() == 4
        for number in range(MAX_PROPOSALS):
            find(str(number))
        assert find("b") > 4

    def test_a_question_shows_the_plan_before_what_the_agent_says(self) -> None:
        text = question({"write": 7, "plan": "1 row"}, "a" * 1000)
        assert text.startswith("Write 7:\n1 row\n")
        assert len(text) < 400
