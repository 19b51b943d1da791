"""The tool propose_write: a write is planned, and a person decides, at the agent's client or in a shell.

Where the client can ask its user (elicitation), the plan is shown there, and the write is sent, or cancelled,
as the user says. Elsewhere it waits for ``approve write N``. The SDK reads the annotations of these functions
when they are defined, so this module has no postponed annotations.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from mcp.server.mcpserver import (
    AcceptedElicitation,
    CancelledElicitation,
    Context,
    DeclinedElicitation,
    Elicit,
    ElicitationResult,
    MCPServer,
    Resolve,
)
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from unify.servers.mcp.tools import AgentTools, Answer
from unify.text import escape_text

Agent = Context[Any, Any]
PROPOSAL_LIFETIME_S = 600.0  # in which the answer to its question is taken
MAX_PROPOSALS = 100  # whose questions are open at the same time
PROPOSES = ToolAnnotations(read_only_hint=False, destructive_hint=False)
_ELICITS_IN_RESULTS = "2026-07-28"  # the first protocol in which a question is part of a result


class Approval(BaseModel):
    """The answer of the person."""

    approve: bool = Field(description="Send these rows now?")


class NotAsked(Approval):
    """The client cannot ask, or its user may not approve."""

    approve: bool = False


class OpenProposals:
    """Planned writes whose question is open: the SDK runs a call again with the answer."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._open: dict[tuple[str, str, str], tuple[float, Answer]] = {}

    async def find_or_plan(self, key: tuple[str, str, str], plan: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the write of an open question, or plan one. ``key``: agent, statement and reason."""
        now_s = self._now_s()
        known = self._open.get(key)
        if known is not None and now_s - known[0] < PROPOSAL_LIFETIME_S:
            return known[1]
        proposal = await plan()
        self._open[key] = (now_s, proposal)
        while len(self._open) > MAX_PROPOSALS:
            del self._open[next(iter(self._open))]
        return proposal

    def close(self, key: tuple[str, str, str]) -> None:
        """Forget a question that has its answer."""
        self._open.pop(key, None)


def add_write_tool(
    server: MCPServer[Any],
    make_tools: Callable[[Agent], AgentTools],
    answer: Callable[[Awaitable[Answer]], Awaitable[Answer]],
) -> None:
    """Add the tool. ``make_tools``: the tools with the rights of an agent; ``answer``: translates errors."""
    proposals = OpenProposals()

    async def plan(ctx: Agent, statement: str, reason: str) -> Answer:
        tools = make_tools(ctx)
        key = (tools.agent, statement, reason)
        return await proposals.find_or_plan(key, lambda: answer(tools.propose_write(statement, reason)))

    async def ask(
        ctx: Agent, reason: str, proposal: Annotated[Answer, Resolve(plan)]
    ) -> Elicit[Approval] | NotAsked:
        if not make_tools(ctx).may_approve or not can_ask(ctx):
            return NotAsked()
        return Elicit(question(proposal, reason), Approval)

    @server.tool(annotations=PROPOSES)
    async def propose_write(
        ctx: Agent,
        statement: Annotated[str, Field(description="INSERT, UPDATE or DELETE", max_length=100_000)],
        reason: Annotated[str, Field(max_length=2_000)],
        proposal: Annotated[Answer, Resolve(plan)],
        outcome: Annotated[ElicitationResult[Approval], Resolve(ask)],
    ) -> Answer:
        """Plan INSERT, UPDATE or DELETE of rows in a system. A person approves it; nothing is sent before."""
        tools, write = make_tools(ctx), int(proposal["write"])
        proposals.close((tools.agent, statement, reason))
        match outcome:
            case AcceptedElicitation(data=NotAsked()) | CancelledElicitation():
                return proposal
            case AcceptedElicitation(data=Approval(approve=True)):
                return {**proposal, **await answer(tools.approve_write(write))}
            case AcceptedElicitation() | DeclinedElicitation():
                return {**proposal, **await answer(tools.decline_write(write))}


def can_ask(ctx: Agent) -> bool:
    """Whether the client can show a form to its user, over this connection."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    is_result = (ctx.protocol_version or "") >= _ELICITS_IN_RESULTS
    return is_result or ctx.session.can_send_request


def question(proposal: Answer, reason: str) -> str:
    """Return what the person reads: the plan, and what the agent says of it, marked as such."""
    said = escape_text(" ".join(reason.split()))[:300]
    return f"Write {proposal['write']}:\n{proposal['plan']}\n\nThe agent's reason (not checked): {said}"
