"""One stream: its request, rows, parents, pages and cursor put together as a table."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from unify.importers.airbyte.auth import auth_signature, read_auths
from unify.importers.airbyte.context import StreamContext
from unify.importers.airbyte.cursors import CursorPlan, read_cursor
from unify.importers.airbyte.error_rules import read_error_rules
from unify.importers.airbyte.manifest import Component, NotImportable, type_of
from unify.importers.airbyte.paginators import read_paginator
from unify.importers.airbyte.partitions import ForEachPlan, ParentFinder, PartitionReader
from unify.importers.airbyte.records import RecordPlan, described_columns, read_records
from unify.importers.airbyte.requests import RequestDraft, is_usable_path, read_request, split_address
from unify.importers.common.documents import line_of, members_of, text_of
from unify.importers.common.names import describe, variables_in
from unify.importers.model import (
    AuthOffer,
    ImportedColumn,
    ImportedErrorRule,
    ImportedPaging,
    ImportedRequest,
    ImportedTable,
    Json,
)


class BuiltStream(Struct):
    """A stream that can be a table: the address is still whole, and columns for children are added later."""

    table: ImportedTable
    address: str
    auths: list[AuthOffer]
    variables: Mapping[str, str]
    stored: Mapping[str, Mapping[str, str]]
    line: int

    @property
    def auth_signature(self) -> str:
        return auth_signature(self.auths)


def build_stream(
    stream: Component, table_name: str, ctx: StreamContext, find_parent: ParentFinder
) -> BuiltStream:
    """The table of a stream. Raises NotImportable with the first thing that the spec language lacks."""
    retriever = members_of(stream.get("retriever"))
    if type_of(retriever) != "SimpleRetriever":
        kind = type_of(retriever)
        text = f"{kind} (Python)" if kind.startswith("Custom ") else _retriever_text(kind)
        raise NotImportable(text, retriever or stream)
    requester = members_of(retriever.get("requester"))
    incremental = stream.get("incremental_sync") or retriever.get("incremental_sync")
    ctx.has_window = bool(incremental)
    partitions = PartitionReader(ctx, find_parent, ctx.options.known_names())
    partitions.read(retriever.get("partition_router"))
    draft = read_request(requester, ctx)
    partitions.inject(draft)
    cursor = read_cursor(members_of(incremental), draft, ctx)
    paging = read_paginator(retriever.get("paginator"), draft, ctx)
    records = read_records(stream, retriever, ctx)
    auths = _read_auths(requester.get("authenticator"), draft, ctx)
    plan = partitions.plan(_used_variables(draft, records))
    _check_request(draft, cursor, stream)
    parts = _StreamParts(draft, records, cursor, paging, plan)
    table = _table(stream, table_name, parts, ctx)
    rules = read_error_rules(requester.get("error_handler"), ctx)
    if paging.type != "none" and any(rule.action == "skip" for rule in rules):
        ctx.note("errors: skip holds for the first page; on a later page the load fails")
    if cursor.incremental is not None and cursor.incremental.window and not table.key:
        ctx.note("windows meet in one moment, and there is no key: rows of that moment may come twice")
    return BuiltStream(
        _with_errors(table, rules), draft.address, auths, dict(ctx.partition), plan.stored, line_of(stream)
    )


def _read_auths(authenticator: Json, draft: RequestDraft, ctx: StreamContext) -> list[AuthOffer]:
    """The ways to authenticate. A key in the body is a part of each request."""
    auth = members_of(authenticator)
    option = members_of(auth.get("inject_into"))
    if type_of(auth) == "ApiKeyAuthenticator" and text_of(option.get("inject_into")).startswith("body_"):
        draft.inject(option, ctx.text(auth.get("api_token"), auth), ctx)
        return []
    return read_auths(authenticator, ctx)


def _check_request(draft: RequestDraft, cursor: CursorPlan, stream: Component) -> None:
    """What a request cannot have. Raises NotImportable."""
    if draft.body is not None and draft.form is not None:
        raise NotImportable("a JSON body and form fields in one request", stream)
    incremental = cursor.incremental
    sent = variables_in([draft.address, draft.params, draft.body, draft.form or {}])
    if incremental is None or incremental.param or incremental.order == "desc" or "cursor" in sent:
        return
    raise NotImportable("sends the time of the last load neither as a parameter nor in the body", stream)


def _retriever_text(kind: str) -> str:
    return "an asynchronous job (create, poll, download)" if kind == "AsyncRetriever" else f"retriever {kind}"


def _used_variables(draft: RequestDraft, records: RecordPlan) -> set[str]:
    """The variables of the request, and those that columns store."""
    request = [draft.address, draft.params, draft.headers, draft.body, draft.form or {}]
    in_request = variables_in(request)
    texts = [text for each in records.columns.values() for text in (each.source, each.sql)]
    return in_request | variables_in([*filter(None, texts), records.where])


class _StreamParts(Struct, frozen=True):
    """What the readers of a stream found."""

    draft: RequestDraft
    records: RecordPlan
    cursor: CursorPlan
    paging: ImportedPaging
    plan: ForEachPlan


def _table(stream: Component, name: str, parts: _StreamParts, ctx: StreamContext) -> ImportedTable:
    draft, records, cursor, plan = parts.draft, parts.records, parts.cursor, parts.plan
    if cursor.incremental is None:
        _check_columns(records, stream)
    key = _key(stream, ctx)
    columns = _columns(stream, records, cursor)
    cursor_name = (cursor.incremental.cursor,) if cursor.incremental is not None else ()
    exclude = _kept(records.exclude, (*key, *cursor_name), records, ctx)
    request = ImportedRequest(
        "POST" if draft.method == "POST" else "GET",
        draft.address,
        draft.params,
        draft.headers,
        _whole_body(draft, parts.paging),
        draft.form,
        _sends_body_with_get(draft, parts.paging),
    )
    return ImportedTable(
        name,
        request,
        description=describe(stream.get("description")),
        for_each=plan.for_each,
        format=records.format,
        csv=records.csv,
        rows=records.rows,
        rows_name=records.rows_name,
        where=records.where,
        key=key,
        columns=columns,
        exclude=exclude,
        paging=parts.paging,
        incremental=cursor.incremental,
        parents=plan.parents,
        line=line_of(stream),
    )


def _sends_body_with_get(draft: RequestDraft, paging: ImportedPaging) -> bool:
    has_body = draft.body is not None or draft.form is not None or paging.location == "body"
    return draft.method == "GET" and has_body


def _whole_body(draft: RequestDraft, paging: ImportedPaging) -> Json:
    """The body; pages in the body of a POST need one."""
    if draft.body is None and draft.form is None and paging.location == "body":
        return {}
    return draft.body


def _check_columns(records: RecordPlan, stream: Component) -> None:
    """Columns with the time window of a stream that has none."""
    for column in records.columns.values():
        if column.source in ("{cursor}", "{until}"):
            raise NotImportable(f"column {column.name} is the time window", stream)


def _columns(stream: Component, records: RecordPlan, cursor: CursorPlan) -> tuple[ImportedColumn, ...]:
    described = {each.name.lower(): each for each in described_columns(stream, records)}
    columns = {name.lower(): each for name, each in records.columns.items()}
    if cursor.column is not None and cursor.column.name.lower() not in columns:
        columns[cursor.column.name.lower()] = cursor.column
    rest = [each for name, each in described.items() if name not in columns]
    return (*columns.values(), *rest)


def _key(stream: Component, ctx: StreamContext) -> tuple[str, ...]:
    """The key; members of objects are joined by ``_``."""
    given = stream.get("primary_key")
    if given in (None, "", []):
        return ()
    parts = given if isinstance(given, list) else [given]
    names = []
    for part in parts:
        steps = part if isinstance(part, list) else [part]
        names.append("_".join(ctx.text(each, stream).replace(".", "_") for each in steps))
    return tuple(dict.fromkeys(name for name in names if name))


def _kept(
    exclude: Sequence[str], needed: Sequence[str], records: RecordPlan, ctx: StreamContext
) -> tuple[str, ...]:
    """The excluded columns without those that the table needs."""
    kept = []
    wanted = [*needed, *records.columns]
    for pattern in dict.fromkeys(exclude):
        if any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in wanted):
            ctx.note(f"{pattern} is kept; the source removes it")
        else:
            kept.append(pattern)
    return tuple(kept)


def _with_errors(table: ImportedTable, rules: tuple[ImportedErrorRule, ...]) -> ImportedTable:
    return replace(table, errors=rules)


def table_path(address: str) -> tuple[str, str]:
    """The origin and the path of a table. Raises NotImportable for a path that a spec does not allow."""
    origin, path = split_address(address)
    if not origin:
        raise NotImportable(f"the address {describe(address, 80)}")
    if not is_usable_path(path):
        raise NotImportable("the path contains characters that a spec does not allow")
    return origin, path
