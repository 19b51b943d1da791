"""Checks that the keys of ``write`` are consistent, and that the variables in its texts exist."""

from __future__ import annotations

from unify.adapters.spec import template
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.parse import ProblemReport
from unify.adapters.spec.validate_table import validate_distinct_names, validate_variables
from unify.adapters.spec.write import WriteOperation, WriteRequest, WriteSpec
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
        for name in self._columns & self._options:
            self._add("is also the name of an option; rename the option", "columns", name)
        for operation in self._write.operations:
            request = self._write.request(operation)
            assert request is not None
            self._validate_request(operation, request)
            if operation != "insert" and not self._key:
                self._add(f"{operation} requires a key: set key here, or the key of the table", operation)

    def _add(self, text: str, *steps: str) -> None:
        self._report.add_problem((*self._path, *steps), text)

    def _validate_request(self, operation: WriteOperation, request: WriteRequest) -> None:
        known = self._known_variables(operation)
        shared = known if request.batch is None else self._options | {ROWS_VARIABLE}
        self._validate_texts(request.request, shared, operation, "request")
        for name in _ROW_TEXTS:
            if (value := getattr(request, name)) is not None:
                self._validate_texts(value, shared, operation, name)
        if request.each is not None:
            in_item = None if known is None else known | {ROW_VARIABLE}
            self._validate_texts(request.each, in_item, operation, "each")
        if request.body is not None and request.form is not None:
            self._add("expected body or form, not both", operation, "form")
        self._validate_batch(operation, request)
        self._validate_settle(operation, request, known)
        if operation != "insert" and request.created:
            self._add("only an insert creates rows", operation, "created")

    def _known_variables(self, operation: WriteOperation) -> set[str] | None:
        """The variables of a row; None: any column of the stored row, for rows chosen from those stored."""
        if operation in ("update", "delete"):
            return None
        allowed = {column.name for column in self._write.columns if column.is_allowed_in(operation)}
        return self._options | allowed | set(self._key)

    def _validate_texts(self, value: object, known: set[str] | None, *steps: str) -> None:
        is_body = steps[-1] in ("body", "each")
        validate_variables(value, (*self._path, *steps), known, self._report, body=is_body)

    def _validate_batch(self, operation: WriteOperation, request: WriteRequest) -> None:
        uses_rows = ROWS_VARIABLE in template.variable_names_in([request.body, request.params])
        outcomes = request.outcomes
        if request.batch is None:
            if request.each is not None:
                self._add("requires batch", operation, "each")
            for name in ("done", "failed", "status"):
                if getattr(outcomes, name) is not None:
                    text = "requires batch: a single row has the status of its response"
                    self._add(text, operation, "outcomes", name)
            return
        if request.each is None:
            self._add("a batch requires each: one row of it", operation, "batch")
        if not uses_rows:
            self._add("a batch requires {rows} in the body", operation, "batch")
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
        self._validate_texts(settle.find, known, operation, "settle", "find")
        self._validate_texts(settle.params, known, operation, "settle", "params")
        for name in settle.same:
            if name not in self._columns and name not in self._key:
                self._add(f"{name} is not a column of write", operation, "settle", "same")
