"""Checks that the keys of ``write`` are consistent, and that the variables in its texts exist."""

from __future__ import annotations

from collections.abc import Mapping

from unify.adapters.spec import template
from unify.adapters.spec.checks.values import validate_distinct_names, validate_variables
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.parse import ProblemReport
from unify.adapters.spec.write import WriteColumn, WriteOperation, WriteRequest, WriteSpec
from unify.config.yaml import NodePath

ROWS_VARIABLE = "rows"  # of a batch
ROW_VARIABLE = "row"  # number of a row
_ROW_TEXTS = ("params", "headers", "body", "form")


def validate_write(table: TableSpec, spec: AdapterSpec, path: NodePath, report: ProblemReport) -> None:
    """Report the problems of the key ``write`` of the table at ``path``."""
    if table.write is not None:
        _WriteValidator(table, table.write, spec, (*path, "write"), report).validate()


class _WriteValidator:
    def __init__(
        self, table: TableSpec, write: WriteSpec, spec: AdapterSpec, path: NodePath, report: ProblemReport
    ) -> None:
        self._write = write
        self._key = write.key or table.key
        self._path = path
        self._report = report
        self._options = {option.name for option in spec.options}
        self._columns = {column.name for column in write.columns}

    def validate(self) -> None:
        if not self._write.operations:
            self._add("expected insert, update, delete or upsert")
        names = [column.name for column in self._write.columns]
        validate_distinct_names(names, "column", (*self._path, "columns"), self._report)
        for column in self._write.columns:
            self._validate_column(column)
        for operation in self._write.operations:
            request = self._write.request(operation)
            assert request is not None
            self._validate_request(operation, request)
            if operation != "insert" and not self._key:
                self._add(f"{operation} requires a key: set key here, or the key of the table", operation)

    def _add(self, text: str, *steps: str) -> None:
        self._report.add_problem((*self._path, *steps), text)

    def _validate_column(self, column: WriteColumn) -> None:
        name, operations = column.name, self._write.operations
        if name in self._options:
            self._add("is also the name of an option; rename the option", "columns", name)
        required = column.required
        if required not in ("true", "false", *operations):
            self._add(f"there is no {required} here", "columns", name, "required")
        for operation in column.only:
            if operation not in operations:
                self._add(f"there is no {operation} here", "columns", name, "only")
        if column.only and required not in ("true", "false", *column.only):
            text = f"{required} requires it, but only {', '.join(column.only)} may set it"
            self._add(text, "columns", name, "required")
        for operation in operations:
            if column.is_allowed_in(operation) and operation != "delete":
                self._validate_use(name, operation)

    def _validate_use(self, name: str, operation: WriteOperation) -> None:
        """A column that ``operation`` may set is sent by it, and an update does not address its row by it."""
        request = self._write.request(operation)
        assert request is not None
        if operation == "update" and name in {*self._key, *template.variable_names(request.request)}:
            text = "update must not set it, because it identifies the row; restrict the column with only"
            self._add(text, "columns", name)
        elif name not in _sent_variables(request):
            text = (
                f"{operation} does not send it: no text there has {{{name}}}; add it, or restrict the column"
            )
            self._add(f"{text} with only", "columns", name)

    def _validate_request(self, operation: WriteOperation, request: WriteRequest) -> None:
        in_body = self._settable_variables(operation)
        # An address may also have columns of the stored row, whatever they are.
        in_address = None if operation in ("update", "delete") else in_body
        if request.batch is not None:  # its rows have the columns in the address in common
            shared = {*self._options, *_address_variables(request), ROWS_VARIABLE}
            self._validate_texts(request.body, shared, operation, "body")
            in_address = None if in_address is None else in_address | {ROWS_VARIABLE}
        self._validate_texts(request.request, in_address, operation, "request")
        for name in _ROW_TEXTS:
            if (value := getattr(request, name)) is not None and (name != "body" or request.batch is None):
                known = in_body if name in ("body", "form") else in_address
                self._validate_texts(value, known, operation, name)
        if request.each is not None:
            self._validate_texts(request.each, in_body | {ROW_VARIABLE}, operation, "each")
        if request.body is not None and request.form is not None:
            self._add("expected body or form, not both", operation, "form")
        self._validate_undo(operation, request)
        self._validate_batch(operation, request)
        self._validate_settle(operation, request, in_address)
        if operation != "upsert" and request.outcomes.new is not None:
            self._add("only for upsert", operation, "outcomes", "new")
        if operation != "insert" and request.created:
            self._add("only an insert creates rows", operation, "created")
        if operation not in ("update", "upsert") and request.adds:
            self._add("only for update and upsert: an insert always adds", operation, "adds")
        for name in request.adds:
            if name not in self._columns:
                self._add(f"{name} is not a column of write", operation, "adds")
        if operation != "delete" and request.undo is not None:
            self._add("only for delete: updates are taken back by updates", operation, "undo")

    def _validate_undo(self, operation: WriteOperation, request: WriteRequest) -> None:
        if request.undo is None:
            return
        if operation != "delete":
            self._add("only for delete; an update is taken back by an update", operation, "undo")
        elif request.method == "DELETE":
            self._add("the same request with this body would delete the row again", operation, "undo")
        elif request.form is not None:
            self._add("it is a body, and delete sends a form", operation, "undo")

    def _settable_variables(self, operation: WriteOperation) -> set[str]:
        """Options, the key, and the columns that the operation may set."""
        allowed = {column.name for column in self._write.columns if column.is_allowed_in(operation)}
        return self._options | allowed | set(self._key)

    def _validate_texts(self, value: object, known: set[str] | None, *steps: str) -> None:
        is_body = {"body", "each"}.intersection(steps)
        validate_variables(value, (*self._path, *steps), known, self._report, body=bool(is_body))

    def _validate_batch(self, operation: WriteOperation, request: WriteRequest) -> None:
        uses_rows = ROWS_VARIABLE in template.variable_names_in([request.body, request.params])
        outcomes = request.outcomes
        if request.batch is None:
            if request.each is not None:
                self._add("requires batch", operation, "each")
            if request.divide:
                self._add("requires batch", operation, "divide")
            for name in ("done", "failed", "failed_by", "status"):
                if getattr(outcomes, name) is not None:
                    text = "requires batch: a single row has the status of its response"
                    self._add(text, operation, "outcomes", name)
            return
        if request.each is None:
            self._add("a batch requires each: one row of it", operation, "batch")
        if not uses_rows:
            self._add("a batch requires {rows} in the body", operation, "batch")
        if request.returned is not None:
            self._add("not allowed with batch; outcomes has the paths of its rows", operation, "returned")
        if request.each is not None and not _has_path(request.each, outcomes.by):
            text = f"{outcomes.by} is not sent by each; nothing tells which row an item is about"
            self._add(text, operation, "outcomes", "by")
        tells_rows = outcomes.done is not None or outcomes.failed is not None or request.divide
        if request.batch.rows > 1 and not tells_rows:
            text = "a batch requires outcomes with done or failed, or divide: which rows were refused?"
            self._add(text, operation, "batch")

    def _validate_settle(
        self, operation: WriteOperation, request: WriteRequest, known: set[str] | None
    ) -> None:
        settle = request.settle
        if settle is None:
            return
        if operation not in ("insert", "upsert"):
            self._add(
                "only for insert and upsert: others name their row, and are sent again", operation, "settle"
            )
        self._validate_texts(settle.find, known, operation, "settle", "find")
        self._validate_texts(settle.params, known, operation, "settle", "params")
        if settle.body is not None:
            self._validate_texts(settle.body, known, operation, "settle", "body")
            if settle.find.startswith("GET "):
                self._add("a GET has no body; use params", operation, "settle", "body")
        for name in settle.same:
            if name not in self._columns and name not in self._key:
                self._add(f"{name} is not a column of write", operation, "settle", "same")


def _address_variables(request: WriteRequest) -> tuple[str, ...]:
    return template.variable_names_in([request.request, dict(request.params), dict(request.headers)])


def _sent_variables(request: WriteRequest) -> set[str]:
    texts = [request.request, *(getattr(request, name) for name in (*_ROW_TEXTS, "each"))]
    return set(template.variable_names_in([text for text in texts if text is not None]))


def _has_path(item: object, path: str) -> bool:
    """Whether an item of a batch has a member at ``path``; ``position`` needs none."""
    if path == "position":
        return True
    for step in path.split("."):
        if not isinstance(item, Mapping) or step not in item:
            return False
        item = item[step]
    return True
