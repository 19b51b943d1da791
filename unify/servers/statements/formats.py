"""The media types of results, and results written in them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import BinaryIO, cast

import msgspec
from msgspec.structs import replace

from unify.errors import UsageError
from unify.interpreter.results import LineProjection, ResultColumn, Rows
from unify.render.formats import write_rows
from unify.render.formats.options import DeferredProjection, Format, FormatOptions
from unify.render.formats.values import text_rows

TEXT_BUFFER_CHARS = 8192


class ResultFormat(Enum):
    """A format of results; the value is its media type."""

    JSON = "application/json"
    JSON_LINES = "application/x-ndjson"
    CSV = "text/csv"
    ARROW = "application/vnd.apache.arrow.stream"
    TABLE = "application/vnd.unify.table+ndjson"

    @property
    def text_format(self) -> Format | None:
        """The text format of the shell; None for Arrow and TABLE."""
        match self:
            case ResultFormat.JSON:
                return "json"
            case ResultFormat.JSON_LINES:
                return "jsonl"
            case ResultFormat.CSV:
                return "csv"
            case ResultFormat.ARROW | ResultFormat.TABLE:
                return None

    def projection(self) -> LineProjection | None:
        """The form in which DuckDB itself writes the lines of a large result."""
        if self is ResultFormat.TABLE:
            return TextProjection()
        text = self.text_format
        return None if text is None else DeferredProjection(FormatOptions(text))


class TextProjection:
    """Every value as DuckDB's text, which is exact; NULL stays."""

    applies_always = True

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        return [f"CAST(c{number} AS VARCHAR)" for number in range(len(columns))]

    def texts(self, batches: Iterator[Sequence[tuple[object, ...]]], separator: str) -> Iterator[str]:
        """Yield nothing: the rows are read as values."""
        del batches, separator
        yield from ()


_ALIASES = {
    "application/jsonl": ResultFormat.JSON_LINES,
    "application/x-jsonlines": ResultFormat.JSON_LINES,
    "application/ndjson": ResultFormat.JSON_LINES,
    "*/*": ResultFormat.JSON,
    "application/*": ResultFormat.JSON,
    "text/*": ResultFormat.CSV,
    "": ResultFormat.JSON,
}


def parse_accept(accept: str) -> ResultFormat | None:
    """Return the format that a client prefers, by RFC 9110; None if it takes none of them."""
    known = {one.value: one for one in ResultFormat} | _ALIASES
    wanted: list[tuple[float, ResultFormat]] = []
    for part in accept.split(","):
        media_type, *options = (piece.strip() for piece in part.split(";"))
        weight = next((_weight(one[2:]) for one in options if one.startswith("q=")), 1.0)
        found = known.get(media_type.lower())
        if found is not None and weight > 0:
            wanted.append((weight, found))
    return max(wanted, key=lambda one: one[0])[1] if wanted else None


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def write_result(rows: Rows, out: io.RawIOBase, format: ResultFormat) -> int:
    """Write rows to a binary stream while they are read; return their number."""
    if format is ResultFormat.TABLE:
        return _write_table(rows, out)
    text = format.text_format
    if text is None:
        return _write_arrow(rows, out)
    stream = io.TextIOWrapper(cast("BinaryIO", out), encoding="utf-8", newline="", write_through=False)
    try:
        count = write_rows(rows, stream, FormatOptions(text)).row_count
        stream.flush()
        return count
    finally:
        stream.detach()


def _write_table(rows: Rows, out: io.RawIOBase) -> int:
    """Write a line with names and types of the columns, then a list of texts and nulls for each row."""
    columns = [{"name": one.name, "type": one.type} for one in rows.columns]
    out.write(msgspec.json.encode({"columns": columns}) + b"\n")
    texts = text_rows(replace(rows, columns=_text_columns(rows)))
    count = 0
    for row in texts:
        out.write(msgspec.json.encode(row) + b"\n")
        count += 1
    return count


def _text_columns(rows: Rows) -> tuple[ResultColumn, ...]:
    """Return the columns as their values are: texts, where DuckDB has cast them."""
    return tuple(replace(one, type="VARCHAR") for one in rows.columns) if rows.projection else rows.columns


def _write_arrow(rows: Rows, out: io.RawIOBase) -> int:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise UsageError("Arrow needs the package pyarrow on the server: pip install pyarrow") from error
    from unify.render import columnar

    count = 0
    reader = columnar.to_reader(rows.columns, rows.batches)
    with pyarrow.ipc.new_stream(out, reader.schema) as stream:
        for batch in reader:
            stream.write_batch(batch)
            count += batch.num_rows
    return count
