"""``unify spec try`` fetches the first pages of a table; ``unify spec test`` runs recorded cases."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, cast

from unify.adapters.base import ParentRow, UserPrompt
from unify.adapters.http.messages import Response
from unify.adapters.options import COMMON_OPTIONS, resolve_spec_options
from unify.adapters.paging.base import PageRequest
from unify.adapters.rest.pushdown import apply_filters, missing_filters
from unify.adapters.spec import template
from unify.adapters.spec.loader import load_spec
from unify.adapters.spec.model import AdapterSpec, ErrorRule, TableSpec
from unify.adapters.spec.write import RowOperation, WriteSpec
from unify.authoring.cases import cases_folder, find_cases, load_case
from unify.authoring.sample import Sample, describe_shape, fetch_sample
from unify.config.connections import Connection
from unify.config.secrets import Secret
from unify.config.trust import require_private_spec
from unify.errors import ConfigError, SpecError, UnifyError, UnknownName, UsageError
from unify.redaction import MASK, Redactor
from unify.render.stdout import translate_write_errors, write_stdout
from unify.shell.invocation import ALL_OPERATIONS, Invocation
from unify.text import did_you_mean, escape_text, excerpt, format_count

if TYPE_CHECKING:
    from unify.convert.preview import Preview


MAX_SAMPLE_ROWS = 5
MAX_BODY_CHARS = 400  # characters shown of a response that is not JSON
_HIDDEN_HEADERS = ("accept-encoding", "user-agent", "connection")
_SHOWN_HEADERS = ("content-type", "link", "retry-after", "ratelimit", "next", "cursor", "total", "page")


def try_table(
    invocation: Invocation,
    environment: Mapping[str, str],
    user_prompt: UserPrompt | None = None,
    redactor: Redactor | None = None,
) -> int:
    """Fetch the first pages of a table, print request, columns and rows, and return 1 if the request fails.

    With ``--write``, print the requests that would write rows, and send nothing.

    Raises SpecError, UnknownName and UsageError before the first request.
    """
    path, name = Path(invocation.words[0]), invocation.words[1]
    require_private_spec(path)
    spec = load_spec(path)
    table = spec.table(name)
    if table is None:
        tables = [each.name for each in spec.tables]
        raise UnknownName(f"{path}: unknown table {name}{did_you_mean(name, tables)}")
    option_texts = dict(invocation.options)
    if invocation.rows is not None and invocation.write is None:
        raise UsageError("--rows: only with --write")
    if invocation.write is not None:
        texts = {**_secret_placeholders(spec, option_texts), **option_texts}
        options = _resolve_options(spec, texts, environment)
        return _try_write(spec, table, options, invocation, redactor or Redactor())
    spec, table = _apply_filter_options(spec, table, option_texts)
    parent = _parent_row(table, spec, option_texts)
    options = _resolve_options(spec, option_texts, environment)
    sample = fetch_sample(
        spec, table, options, parent, pages=invocation.pages or 1, prompt=user_prompt, redactor=redactor
    )
    for line in _report_lines(sample, spec, table):
        _print_text(sample.redactor.redact(line))
    if sample.failure is None and sample.pages:
        _print_columns(sample, table, invocation)
    return 1 if sample.failure else 0


def _apply_filter_options(
    spec: AdapterSpec, table: TableSpec, option_texts: dict[str, str]
) -> tuple[AdapterSpec, TableSpec]:
    """Apply the options that name filters and remove them from ``option_texts``. Raises UsageError."""
    own = {option.name for option in (*spec.options, *COMMON_OPTIONS)}
    names = [each.name for each in table.filters if each.name in option_texts and each.name not in own]
    values = {name: option_texts.pop(name) for name in names}
    missing = missing_filters(table, values)
    if missing:
        raise UsageError(f"{table.name}: a required filter is missing; add {_option_hint(missing)}")
    narrowed = apply_filters(spec, table, values)
    return narrowed, narrowed.table(table.name) or table


def _parent_row(table: TableSpec, spec: AdapterSpec, option_texts: dict[str, str]) -> ParentRow | None:
    """Return the ``for_each`` row of the request: the first of a list, or from options, which are removed."""
    each = table.for_each
    own = {option.name for option in (*spec.options, *COMMON_OPTIONS)}
    columns = set(option_texts) - own if each is not None else set()
    if each is not None and each.columns:
        columns &= set(each.columns)  # _resolve_options reports the others as unknown options
    row = {column: option_texts.pop(column) for column in columns}
    if each is None:
        return None
    listed = {
        column: option_texts[option].partition(",")[0].strip()
        for column, option in zip(each.column, each.option, strict=True)
        if option in option_texts
    }
    if not row and each.rows:
        return {**each.rows[0], **listed}
    row = {**listed, **row}
    names = each.columns or (() if row else ("COLUMN",))
    if missing := [name for name in names if name not in row]:
        raise UsageError(
            f"{table.name} is requested for each row of: {each.query or 'for_each'}; "
            f"add {_option_hint(missing)}"
        )
    return row


def _option_hint(names: Sequence[str]) -> str:
    return " ".join(f"--option {name}=VALUE" for name in names)


def _resolve_options(
    spec: AdapterSpec, option_texts: Mapping[str, str], environment: Mapping[str, str]
) -> Mapping[str, str | Secret | None]:
    """Resolve options as those of a connection, including ``${NAME}``. Raises UsageError."""
    connection = Connection(spec.name, spec.name, option_texts, path="--option")
    try:
        return resolve_spec_options(connection, spec, environment)
    except ConfigError as error:
        message = error.message.replace(connection.location("options"), "--option")
        raise UsageError(message.replace("--option.", "--option ")) from error


def _report_lines(sample: Sample, spec: AdapterSpec, table: TableSpec) -> Iterator[str]:
    if sample.plan:
        yield from ("plan:", *(f"  {line}" for line in sample.plan), "")
    yield from _request_lines(sample, spec)
    for each in sample.traffic:
        status = "no response" if each.status is None else f"{each.status}{_status_phrase(each.status)}"
        yield f"{status}, {each.bytes:,} bytes in {each.milliseconds:.0f} ms"
    if sample.response is not None:
        yield from _response_lines(sample.response)
    if sample.failure is not None:
        yield ""
        yield sample.failure.message
        return
    yield ""
    yield from _rows_lines(sample, spec, table)


def _request_lines(sample: Sample, spec: AdapterSpec) -> Iterator[str]:
    request = sample.request
    if request is None:
        return
    yield f"{request.method} {request.full_url}"
    for name, value in request.headers.items():
        if name.lower() not in _HIDDEN_HEADERS:
            yield f"  {name}: {value}"
    if spec.auth.type != "none":
        variables = ", ".join(template.variable_names_in([dict(auth.settings) for auth in spec.auths]))
        yield f"  auth: {spec.auth.type} {MASK} (from {variables or 'the spec'})"
    if request.body is not None:
        yield f"  {request.body.decode('utf-8', 'replace')}"


def _status_phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _response_lines(response: Response) -> Iterator[str]:
    for name, value in response.headers.items():
        if any(shown in name.lower() for shown in _SHOWN_HEADERS):
            yield f"  {name}: {value}"
    yield ""
    try:
        yield from describe_shape(json.loads(response.body))
    except (ValueError, RecursionError):
        yield excerpt(response.body.decode("utf-8", "replace"), MAX_BODY_CHARS)


def _rows_lines(sample: Sample, spec: AdapterSpec, table: TableSpec) -> Iterator[str]:
    if sample.response is not None and sample.response.skipped:
        rules = _skip_rules_text(table.errors or spec.errors)
        yield f"rows: none; an errors rule skips this response ({rules})"
        return
    path = f"at {sample.rows_path}" if sample.rows_path else "the response itself"
    detected = "" if table.rows is not None else ", detected"
    first, *others = sample.row_counts or [0]
    yield f"rows: {first:,} ({path}{detected})"
    for number, count in enumerate(others, start=2):
        yield f"page {number}: {format_count(count, 'row')}"
    matching = sum(len(page.rows) for page in sample.pages)
    if table.where and matching != sum(sample.row_counts):
        yield f"where: {format_count(matching, 'row')} of them"
    detected = f"detected {sample.detected_paging}; " if sample.detected_paging else ""
    yield f"paging: {detected}{_next_page_text(sample.next_request)}"
    yield from sample.notes


def _skip_rules_text(rules: tuple[ErrorRule, ...]) -> str:
    skips = [str(rule.status or rule.body) for rule in rules if rule.action == "skip"]
    return ", ".join(skips) or "status 204"


def _next_page_text(page_request: PageRequest | None) -> str:
    if page_request is None:
        return "no more pages"
    if page_request.url is not None:
        return f"next is {page_request.url}"
    return "next is " + ", ".join(f"{name}={value}" for name, value in page_request.params.items())


def _print_columns(sample: Sample, table: TableSpec, invocation: Invocation) -> None:
    from unify.convert.preview import preview_pages

    preview = preview_pages(table, sample.pages, max_rows=MAX_SAMPLE_ROWS)
    if not preview.columns:
        return
    descriptions = {column.name.lower(): column.description for column in table.columns}
    width = max(len(column.name) for column in preview.columns)
    _print_text("")
    for column in preview.columns:
        description = descriptions.get(column.name.lower(), "")
        _print_text(f"{column.name:{width}}  {column.type}{f'  -- {description}' if description else ''}")
    if preview.discarded:
        rows = format_count(preview.discarded, "row")
        _print_text(f"{rows} discarded: a value does not match its declared type")
        for name, value, reason in preview.discards:
            _print_text(sample.redactor.redact(f"  {name}: {excerpt(str(value), 60)!r}: {reason}"))
    for note in preview.notes:
        _print_text(note)
    for scope, cursor in preview.cursors.items():
        _print_text(f"cursor: {cursor}{f' for {scope}' if scope else ''}")
    _print_text("")
    _print_rows(sample, preview, invocation)


def _print_rows(sample: Sample, preview: Preview, invocation: Invocation) -> None:
    from unify.interpreter.results import listing_rows
    from unify.render.formats import write_rows
    from unify.render.formats.options import FormatOptions

    columns = [(column.name, column.type) for column in preview.columns]
    rows = [tuple(_redact_cell(value, sample) for value in row) for row in preview.rows]
    options = FormatOptions(invocation.format or "box", terminal=True, width=120, null=invocation.null)
    with translate_write_errors():
        write_rows(listing_rows(columns, rows), sys.stdout, options)


def _redact_cell(value: object, sample: Sample) -> object:
    return sample.redactor.redact(value) if isinstance(value, str) else value


def _print_text(line: str) -> None:
    write_stdout(escape_text(line, allow="\n") + "\n")


def _secret_placeholders(spec: AdapterSpec, given: Mapping[str, str]) -> dict[str, str]:
    """Texts for secret options that were not given: what is not sent needs none."""
    missing = [option for option in spec.options if option.secret and option.name not in given]
    return {option.name: f"dummy-{option.name}" for option in missing}


def _try_write(
    spec: AdapterSpec,
    table: TableSpec,
    options: Mapping[str, str | Secret | None],
    invocation: Invocation,
    redactor: Redactor,
) -> int:
    """Print the requests of each operation; return 1 if rows cannot be sent. Raises UsageError, FileError."""
    write = table.write
    if write is None:
        writable = [each.name for each in spec.tables if each.write is not None]
        hint = f"; it can write {', '.join(writable)}" if writable else ""
        raise UsageError(f"{spec.path}: {table.name} has no key write{hint}")
    from unify.authoring.write_sample import describe_sample, read_given_rows, sample_writes

    operations = _write_operations(write, table, invocation.write or ALL_OPERATIONS)
    rows = read_given_rows(invocation.rows) if invocation.rows is not None else None
    failed = False
    for sample in sample_writes(spec, table, options, rows=rows, operations=operations, redactor=redactor):
        for line in describe_sample(sample, spec, write):
            _print_text(redactor.redact(line))
        failed |= bool(sample.problem)
    _print_text("nothing was sent")
    return 1 if failed else 0


def _write_operations(write: WriteSpec, table: TableSpec, wanted: str) -> tuple[RowOperation, ...]:
    if wanted == ALL_OPERATIONS:
        return write.row_operations
    operation = cast("RowOperation", wanted)
    if write.request(operation) is None:
        raise UsageError(f"{table.name}: there is no {operation}; it can {', '.join(write.row_operations)}")
    return (operation,)


def test_specs(paths: Sequence[str]) -> int:
    """Run every case of each spec and return 1 if a case fails or a spec has none."""
    passed = [_test_spec(Path(path)) for path in paths]
    return 0 if all(passed) else 1


def _test_spec(path: Path) -> bool:
    try:
        spec = load_spec(path)
    except UnifyError as error:
        _print_text(error.message)
        return False
    cases = find_cases(spec)
    if not cases:
        _print_text(f"{path}: no cases found; add {cases_folder(path)}/NAME.yaml")
        return False
    passed = [_test_case(spec, case) for case in cases]
    _print_text(f"{path}: {sum(passed)} of {format_count(len(passed), 'case')} passed")
    return all(passed)


def _test_case(spec: AdapterSpec, path: Path) -> bool:
    from unify.authoring.case_runner import run_case

    try:
        case = load_case(path, spec)
    except SpecError as error:
        _print_text(error.message)
        return False
    differences = run_case(spec, case).differences
    for difference in differences:
        _print_text(f"{path}: {difference}")
    if not differences:
        _print_text(f"{path}: ok, {format_count(len(case.exchanges), 'request')}")
    return not differences
