"""``unify spec try``: one page of a table, from request to columns, for whoever writes the spec."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from unify.adapters import template
from unify.adapters.answershape import shape_lines
from unify.adapters.base import ParentRow
from unify.adapters.filtered import missing_filters, with_filters
from unify.adapters.messages import MASK, Answer
from unify.adapters.options import COMMON, option_values
from unify.adapters.paging import Turn
from unify.adapters.person import Person
from unify.adapters.sample import Sample, take_sample
from unify.adapters.spec import AdapterSpec, ErrorRule, TableSpec
from unify.adapters.specfile import load_spec
from unify.connections import Connection, Secret
from unify.errors import ConfigError, UnknownName, UsageError
from unify.shell.cli import Invocation
from unify.text import counted, did_you_mean, safe_text

if TYPE_CHECKING:
    from unify.loading.preview import Preview

MOST_ROWS = 5
MOST_BODY = 400  # characters of an answer that is not JSON
_QUIET_HEADERS = ("accept-encoding", "user-agent", "connection")
_TELLING_HEADERS = ("content-type", "link", "retry-after", "ratelimit", "next", "cursor", "total", "page")


def try_table(invocation: Invocation, environment: Mapping[str, str], person: Person | None = None) -> int:
    """Fetch one page of the table as the spec says, and show what comes of it; 1 if that fails.

    Raises  SpecError, UnknownName and UsageError before anything is asked.
    """
    path, name = Path(invocation.words[0]), invocation.words[1]
    spec = load_spec(path)
    table = spec.table(name)
    if table is None:
        raise UnknownName(
            f"{path} has no table {name}{did_you_mean(name, [each.name for each in spec.tables])}"
        )
    given = dict(invocation.options)
    spec, table = _filtered(spec, table, given)
    parent = _parent(table, spec, given)
    sample = take_sample(spec, table, _options(spec, given, environment), parent, person)
    for line in _told(sample, spec, table):
        _say(sample.veil.text(line))
    if sample.failure is None and sample.page is not None:
        _show_columns(sample, table, invocation)
    return 1 if sample.failure else 0


def _filtered(spec: AdapterSpec, table: TableSpec, given: dict[str, str]) -> tuple[AdapterSpec, TableSpec]:
    """Spec and table with the filters that were given as options."""
    own = {option.name for option in (*spec.options, *COMMON)}
    names = [each.name for each in table.filters if each.name in given and each.name not in own]
    values = {name: given.pop(name) for name in names}
    missing = missing_filters(table, values)
    if missing:
        raise UsageError(
            f"{table.name} cannot be asked without a filter; "
            f"give it: {' '.join(f'--option {name}=VALUE' for name in missing)}"
        )
    narrowed = with_filters(spec, table, values)
    return narrowed, narrowed.table(table.name) or table


def _parent(table: TableSpec, spec: AdapterSpec, given: dict[str, str]) -> ParentRow | None:
    """The row of ``for_each`` to ask for: its columns are given as options, or it is the first of a list."""
    each = table.for_each
    own = {option.name for option in (*spec.options, *COMMON)}
    columns = set(given) - own if each is not None else set()
    if each is not None and each.columns:
        columns &= set(each.columns)  # what is no column of it is no option either, and told as such
    row = {column: given.pop(column) for column in columns}
    if each is None or (not row and each.rows):
        return each.rows[0] if each is not None else None
    names = each.columns or (() if row else ("COLUMN",))
    if missing := [name for name in names if name not in row]:
        raise UsageError(
            f"{table.name} is asked for each row of: {each.query or 'for_each'}; "
            f"give one: {' '.join(f'--option {name}=VALUE' for name in missing)}"
        )
    return row


def _options(
    spec: AdapterSpec, given: Mapping[str, str], environment: Mapping[str, str]
) -> Mapping[str, str | Secret | None]:
    """As a connection would supply them, ``${NAME}`` included. Raises UsageError for what does not fit."""
    connection = Connection(spec.name, spec.name, given, path="--option")
    try:
        return option_values(connection, spec, environment)
    except ConfigError as error:
        mistakes = error.message.replace(connection.place("options"), "--option")
        raise UsageError(mistakes.replace("--option.", "--option ")) from error


def _told(sample: Sample, spec: AdapterSpec, table: TableSpec) -> Iterator[str]:
    yield from _request(sample, spec)
    for each in sample.traffic:
        status = "no answer" if each.status is None else f"{each.status}{_phrase(each.status)}"
        yield f"{status}, {each.bytes:,} bytes in {each.milliseconds:.0f} ms"
    if sample.answer is not None:
        yield from _answer(sample.answer)
    if sample.failure is not None:
        yield ""
        yield sample.failure.message
        return
    yield ""
    yield from _rows(sample, spec, table)


def _request(sample: Sample, spec: AdapterSpec) -> Iterator[str]:
    request = sample.request
    if request is None:
        return
    yield f"{request.method} {request.address}"
    for name, value in request.headers.items():
        if name.lower() not in _QUIET_HEADERS:
            yield f"  {name}: {value}"
    if spec.auth.type != "none":
        used = ", ".join(template.names_in(dict(spec.auth.settings)))
        yield f"  auth: {spec.auth.type} {MASK} (from {used or 'the spec'})"
    if request.body is not None:
        yield f"  {request.body.decode('utf-8', 'replace')}"


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _answer(answer: Answer) -> Iterator[str]:
    for name, value in answer.headers.items():
        if any(telling in name.lower() for telling in _TELLING_HEADERS):
            yield f"  {name}: {value}"
    yield ""
    try:
        yield from shape_lines(json.loads(answer.body))
    except (ValueError, RecursionError):
        text = answer.body.decode("utf-8", "replace")
        yield text if len(text) <= MOST_BODY else text[:MOST_BODY] + "…"


def _rows(sample: Sample, spec: AdapterSpec, table: TableSpec) -> Iterator[str]:
    if sample.answer is not None and sample.answer.skipped:
        yield f"rows: none; a rule of errors skips this answer ({_skipped(table.errors or spec.errors)})"
        return
    place = f"at {sample.place}" if sample.place else "the answer itself"
    found = "" if table.rows is not None else ", found out"
    yield f"rows: {sample.rows:,} ({place}{found})"
    kept = len(sample.page.rows) if sample.page is not None else 0
    if kept != sample.rows:
        yield f"where: keeps {counted(kept, 'row')}"
    found = f"found out: {sample.paging}; " if sample.paging else ""
    yield f"paging: {found}{_following(sample.more)}"


def _skipped(rules: tuple[ErrorRule, ...]) -> str:
    skips = [str(rule.status or rule.body) for rule in rules if rule.action == "skip"]
    return ", ".join(skips) or "status 204"


def _following(turn: Turn | None) -> str:
    if turn is None:
        return "no more pages"
    if turn.url is not None:
        return f"next is {turn.url}"
    return "next is " + ", ".join(f"{name}={value}" for name, value in turn.values.items())


def _show_columns(sample: Sample, table: TableSpec, invocation: Invocation) -> None:
    from unify.loading.preview import preview

    found = preview(table, [sample.page] if sample.page is not None else [], most_rows=MOST_ROWS)
    if not found.columns:
        return
    said = {column.name.lower(): column.description for column in table.columns}
    width = max(len(column.name) for column in found.columns)
    _say("")
    for column in found.columns:
        described = said.get(column.name.lower(), "")
        _say(f"{column.name:{width}}  {column.type}{f'  -- {described}' if described else ''}")
    if found.discarded:
        _say(f"{counted(found.discarded, 'row')} discarded: a value does not fit its declared type")
    for scope, cursor in found.cursors.items():
        _say(f"cursor: {cursor}{f' for {scope}' if scope else ''}")
    _say("")
    _show_rows(sample, found, invocation)


def _show_rows(sample: Sample, found: Preview, invocation: Invocation) -> None:
    from unify.interpreter.results import listed
    from unify.shell.display import display
    from unify.shell.display.look import Look

    columns = [(column.name, column.type) for column in found.columns]
    rows = [tuple(_cell(value, sample) for value in row) for row in found.rows]
    look = Look(invocation.format or "box", terminal=True, width=120, null=invocation.null)
    display(listed(columns, rows), sys.stdout, look)


def _cell(value: object, sample: Sample) -> object:
    return sample.veil.text(value) if isinstance(value, str) else value


def _say(line: str) -> None:
    sys.stdout.write(safe_text(line, keep="\n") + "\n")
