"""Takes over what an earlier attempt has read: whether it is still valid, and its rows."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Set

import msgspec
from msgspec import Struct

from unify import version
from unify.adapters import registry
from unify.adapters.base import ReadProgress
from unify.adapters.rest.read_plan import distinct_parents, scope_key
from unify.adapters.spec.table_keys import ForEach
from unify.convert.stage import RowStage
from unify.fs.failpoints import failpoint
from unify.load.checkpoint import Checkpoint, CheckpointWriter
from unify.load.notes import GONE_STATUS, LoadNotes
from unify.load.plan import LoadPlan, PlannedLoad, spec_folders
from unify.load.protocol import LoadTask
from unify.text import format_count


def fingerprint(planned: PlannedLoad, task: LoadTask, uid: str) -> str:
    """Identify everything that decides what a load reads, except the rows of its parents.

    Options count as written and, unless they are secret, by their values: a new value of a variable may name
    another organization or server. Secret values do not count, so an expired token can be replaced.

    ``uid``  of the job that wrote the checkpoint: the key of the hash of the values.

    Raises UnresolvedSecret.
    """
    source, plan, spec = planned.source, planned.plan, planned.source.spec
    if spec is not None:
        described = spec.table(source.table.name)
        tables = () if described is None else (described,)
        spec = msgspec.structs.replace(spec, tables=tables, views=(), path="", limits=type(spec.limits)())
    parts = (
        version.VERSION,
        source.connection.name,
        source.table.name,
        source.connection.adapter,
        source.connection.options,
        _values_digest(planned, task, uid),
        spec,
        plan.strategy,
        plan.read.since,
        plan.based_on,
        planned.last_load,
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def _values_digest(planned: PlannedLoad, task: LoadTask, uid: str) -> str:
    values = registry.public_option_values(planned.source.connection, spec_folders(task), task.environment)
    encoded = msgspec.json.encode(values, order="deterministic")
    return hmac.new(uid.encode(), encoded, hashlib.sha256).hexdigest()


class Resumption(Struct, frozen=True):
    """What this attempt has of the one before, and the number of its pages."""

    progress: ReadProgress | None = None
    pages: int = 0


def restage(
    checkpoint: Checkpoint,
    stage: RowStage,
    writer: CheckpointWriter,
    notes: LoadNotes,
    count_rows: Callable[[int], None],
) -> Resumption:
    """Stage the rows of the earlier attempt again, so that this one has them as if it had read them.

    Raises DamagedCheckpoint.
    """
    repairs: Counter[str] = Counter()
    pages = 0
    for kept in checkpoint.pages():
        segment = stage.write(kept.rows, kept.values, kept.line.scope)
        stage.update_longest_row(kept.line.longest)
        writer.add_line(msgspec.structs.replace(kept.line, segment=segment))
        repairs.update(kept.line.repairs)
        if kept.line.skipped:
            notes.add_skipped_request(kept.line.skipped)
        if kept.line.skipped == GONE_STATUS:
            notes.add_gone_scope(kept.line.scope)
        count_rows(len(kept.rows))
        failpoint("loader.restaged_page")
        pages += 1
    writer.set_state(checkpoint.state)
    started = {key: line.position(checkpoint.row_counts[key]) for key, line in checkpoint.started.items()}
    return Resumption(ReadProgress(checkpoint.complete, started, checkpoint.state, repairs), pages)


def plan_scopes(plan: LoadPlan, for_each: ForEach | None) -> Set[str]:
    """Return the scopes that ``plan`` reads."""
    return {
        scope_key(parent) if parent is not None else ""
        for parent in distinct_parents(for_each, plan.read.parents)
    }


def describe_progress(checkpoint: Checkpoint, scopes: int, pages: int, *, by_window: bool) -> str:
    """Describe what is not read again: ``9,999 of 10,000 parents``, ``12 time windows``, ``312 pages``."""
    complete = len(checkpoint.complete)
    if by_window and complete:
        return format_count(complete, "time window")
    if scopes > 1 and complete:
        return f"{complete:,} of {scopes:,} parents"
    return format_count(pages, "page")
