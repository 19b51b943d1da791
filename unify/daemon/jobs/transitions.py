"""The state machine of a job: which event is allowed in which state, and what follows.

``daemon.jobs.running_jobs`` carries out the daemon's transitions. Those with the action ``QUEUE`` happen
inside the queue's own transactions, mostly in a shell. Every pair that is not in the table is refused.
``python -m unify.daemon.jobs.transitions`` prints the section of docs/daemon.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from unify.model import JobState


class JobEvent(StrEnum):
    """An event in the life of a job."""

    REQUESTED = "requested"
    CLAIMED = "claimed"
    STAGED = "staged"
    PUBLISHED = "published"
    WRITTEN = "written"
    PARENTS_MISSING = "parents missing"
    POSTPONED = "postponed"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    GIVEN_UP = "given up"
    HELD_BACK = "held back"
    ACCEPTED = "accepted"
    PARENT_FAILED = "parent failed"
    CANCEL_REQUESTED = "cancel requested"
    CANCEL_WITHDRAWN = "cancel withdrawn"
    CANCELLED = "cancelled"
    RETRIED = "retried"


EVENT_DESCRIPTIONS: Mapping[JobEvent, str] = {
    JobEvent.REQUESTED: "a statement or a schedule requests a load that is already active",
    JobEvent.CLAIMED: "the daemon assigns the job to a worker",
    JobEvent.STAGED: "the worker has staged all rows",
    JobEvent.PUBLISHED: "the rows are committed to the lake, by this daemon or the one before",
    JobEvent.WRITTEN: "the worker has sent the approved writes of the table",
    JobEvent.PARENTS_MISSING: "the tables of `for_each` have to be loaded first",
    JobEvent.POSTPONED: "the attempt failed with an error that may pass",
    JobEvent.CRASHED: "the worker, or the daemon, died during the attempt",
    JobEvent.INTERRUPTED: (
        "the daemon was stopped, or had no disk space to record the result, or the machine was restarted"
    ),
    JobEvent.FAILED: "the attempt failed with an error that does not pass",
    JobEvent.GIVEN_UP: "the worker died 3 times, the daemon 10 times, or the job failed too often",
    JobEvent.HELD_BACK: "the new version would lose most of the stored rows or columns",
    JobEvent.ACCEPTED: "`accept table`: the version that was held back is published",
    JobEvent.PARENT_FAILED: "the load of a parent table did not succeed",
    JobEvent.CANCEL_REQUESTED: "`system cancel`, or Ctrl-C twice",
    JobEvent.CANCEL_WITHDRAWN: "the load was requested again while it was being cancelled",
    JobEvent.CANCELLED: "the worker of a cancelled job has ended",
    JobEvent.RETRIED: "`system retry`",
}


class JobAction(StrEnum):
    """The daemon's action in a transition."""

    QUEUE = "none: the queue changes the state"
    START = "assign to a worker"
    STOP_WORKER = "stop the worker"
    PUBLISH = "publish the staged rows"
    LOAD_PARENTS = "queue the loads of the parents, and wait for them"
    REQUEUE = "queue again"
    HOLD = "keep the staged files, record the failure in the ledger"
    FINISH = "remove the staged files"
    RECORD_FAILURE = "remove the staged files, record the failure in the ledger"


class Transition(Struct, frozen=True):
    """The result of an event: the next state, the daemon's action, and the event of its log ("": none)."""

    state: JobState
    action: JobAction
    log_event: str = ""


class TransitionRefused(ValueError):
    """The event is not allowed in this state."""


_IN_PROGRESS: Mapping[JobEvent, Transition] = {
    JobEvent.PUBLISHED: Transition(JobState.DONE, JobAction.FINISH, "load.done"),
    JobEvent.POSTPONED: Transition(JobState.QUEUED, JobAction.REQUEUE, "load.postponed"),
    JobEvent.CRASHED: Transition(JobState.QUEUED, JobAction.REQUEUE, "load.crashed"),
    JobEvent.INTERRUPTED: Transition(JobState.QUEUED, JobAction.REQUEUE, "load.ready"),
    JobEvent.FAILED: Transition(JobState.FAILED, JobAction.RECORD_FAILURE, "load.failed"),
    JobEvent.GIVEN_UP: Transition(JobState.DEAD, JobAction.RECORD_FAILURE, "load.dead"),
    JobEvent.CANCELLED: Transition(JobState.CANCELLED, JobAction.FINISH, "load.cancelled"),
    JobEvent.CANCEL_WITHDRAWN: Transition(JobState.QUEUED, JobAction.REQUEUE, "load.ready"),
}
_RETRIED: Mapping[JobEvent, Transition] = {JobEvent.RETRIED: Transition(JobState.QUEUED, JobAction.QUEUE)}

TRANSITIONS: Mapping[JobState, Mapping[JobEvent, Transition]] = {
    JobState.QUEUED: {
        JobEvent.REQUESTED: Transition(JobState.QUEUED, JobAction.QUEUE),
        JobEvent.CLAIMED: Transition(JobState.RUNNING, JobAction.START, "load.started"),
        JobEvent.PARENT_FAILED: Transition(JobState.FAILED, JobAction.QUEUE),
        JobEvent.CANCEL_REQUESTED: Transition(JobState.CANCELLED, JobAction.QUEUE),
    },
    JobState.RUNNING: {
        JobEvent.REQUESTED: Transition(JobState.RUNNING, JobAction.QUEUE),
        JobEvent.STAGED: Transition(JobState.PUBLISHING, JobAction.PUBLISH, "load.staged"),
        JobEvent.WRITTEN: Transition(JobState.DONE, JobAction.FINISH, "write.done"),
        JobEvent.PARENTS_MISSING: Transition(
            JobState.QUEUED, JobAction.LOAD_PARENTS, "load.waiting_for_parents"
        ),
        JobEvent.CANCEL_REQUESTED: Transition(JobState.RUNNING, JobAction.STOP_WORKER, "load.cancelling"),
        **_IN_PROGRESS,
    },
    JobState.PUBLISHING: {
        JobEvent.REQUESTED: Transition(JobState.PUBLISHING, JobAction.QUEUE),
        JobEvent.CANCEL_REQUESTED: Transition(JobState.PUBLISHING, JobAction.QUEUE),
        JobEvent.HELD_BACK: Transition(JobState.FAILED, JobAction.HOLD, "load.held"),
        **_IN_PROGRESS,
    },
    JobState.DONE: {},
    JobState.FAILED: {
        **_RETRIED,
        JobEvent.ACCEPTED: Transition(JobState.PUBLISHING, JobAction.QUEUE),
    },
    JobState.CANCELLED: _RETRIED,
    JobState.DEAD: _RETRIED,
}


def find_transition(state: JobState, event: JobEvent) -> Transition:
    """Return the transition. Raises TransitionRefused."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise TransitionRefused(f"a {state} job cannot be {event}") from None


def render_markdown() -> str:
    """Return the table as a Mermaid diagram and a Markdown table."""
    rows = [(state, event, to) for state, events in TRANSITIONS.items() for event, to in events.items()]
    edges: dict[tuple[JobState, JobState], list[str]] = {}
    for state, event, to in rows:
        if state is not to.state:
            edges.setdefault((state, to.state), []).append(event)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> queued: requested"]
    lines += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in edges.items()]
    lines += ["    done --> [*]", "```", "", "| event | what happens |", "|---|---|"]
    lines += [f"| {event} | {text} |" for event, text in EVENT_DESCRIPTIONS.items()]
    lines += [
        "",
        "| state | event | next state | action of the daemon | log event |",
        "|---|---|---|---|---|",
    ]
    for state, event, to in rows:
        log_event = f"`{to.log_event}`" if to.log_event else ""
        lines.append(f"| `{state}` | {event} | `{to.state}` | {to.action} | {log_event} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
