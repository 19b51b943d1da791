"""``export (SELECT) to mail 'a@b'``: the rows of a SELECT as one planned mail.

The mail is sealed like the rows of any write: what is sent is what was planned, and a mail that is sent again
has the same Message-ID.
"""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from unify.adapters import registry
from unify.adapters.mail.adapter import MAILS, MAX_SIZE
from unify.adapters.mail.message import Attachment, MailContent, new_message_id
from unify.config.connections import Connection
from unify.engine.exact import describe_query
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, UnknownName
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.files.exporter import FileExporter
from unify.interpreter.files.reader import translate_file_errors
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.variables import BoundQuery
from unify.interpreter.writing.plan import WritePlan
from unify.lake.session_rows import fetch_session_rows
from unify.language.commands import ExportMail, MailFormat
from unify.model import PlannedRow, TableName
from unify.sizes import format_size
from unify.text import format_count, unique_names

ADAPTER = "smtp"
DEFAULT_NAME = "mail"
MAX_HTML_ROWS = 1_000  # more are read in a spreadsheet
_EXCEL_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FILES: dict[MailFormat, tuple[str, str]] = {
    "csv": ("result.csv", "text/csv"),  # DuckDB writes UTF-8
    "excel": ("result.xlsx", _EXCEL_TYPE),
}
_STYLE = "border:1px solid #ccc;padding:2px 6px;text-align:"
_NUMBERS = ("INT", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "BIGINT", "UINT", "SMALLINT", "TINYINT")
Cells = Sequence[Sequence[str | None]]


class MailPlanner:
    """Plans mails through the connections of adapter ``smtp``."""

    def __init__(self, query: QueryRunner, connections: ConnectionCatalog) -> None:
        self._query = query
        self._connections = connections

    def plan(self, command: ExportMail, max_age: MaxAge) -> WritePlan:
        """Read the rows and plan the mail.

        Raises:
            UnknownName: no connection sends mails, or several could.
            QueryError: the rows do not fit into a mail.
        """
        connection = self._find_connection(command.mailer)
        bound, note = self._query.prepare(command.source, max_age)
        options = registry.public_option_values(
            connection, self._connections.settings.specs, self._connections.environment
        )
        content = self._content(command, bound, new_message_id(options.get("from", "")), note)
        values = msgspec.to_builtins(content)
        row = PlannedRow(1, "insert", {name: value for name, value in values.items() if value is not None})
        return WritePlan(TableName(connection.name, MAILS), "insert", [row])

    def _find_connection(self, name: str) -> Connection:
        senders = [one for one in self._connections.config.by_name.values() if one.adapter == ADAPTER]
        named = [one for one in senders if one.name.lower() == name.lower()]
        if named or (len(senders) == 1 and name.lower() == DEFAULT_NAME):
            return (named or senders)[0]
        known = ", ".join(one.name for one in senders)
        if not senders:
            raise UnknownName(f"no connection sends mails; add one: connect {ADAPTER} as {DEFAULT_NAME}")
        if name.lower() == DEFAULT_NAME:
            raise UnknownName(f"several connections send mails: write to {known}, instead of mail")
        raise UnknownName(f"{name} is no connection of adapter {ADAPTER}; those that send mails: {known}")

    def _content(self, command: ExportMail, bound: BoundQuery, id: str, note: str) -> MailContent:
        if command.format == "html":
            names, types, cells = self._read_cells(bound)
            text, markup = _text_table(names, cells, note), _html_table(names, types, cells, note)
            rows, attachment = format_count(len(cells), "row"), None
        else:
            attachment, count = self._read_file(command.format, bound)
            rows, markup = format_count(count, "row"), ""
            text = f"{rows}, in the attachment {attachment.name}{f' ({note})' if note else ''}.\n"
        subject = command.subject or f"Unify: {rows}"
        return MailContent(command.to, subject, text, id, markup, attachment, f"{rows} as {command.format}")

    def _read_cells(self, bound: BoundQuery) -> tuple[Sequence[str], Sequence[str], Cells]:
        """Return names, types and texts of the rows. Raises QueryError for more than MAX_HTML_ROWS."""
        lake = self._query.lake
        with (
            lake.repeatable(bound.sql, bound.parameters, bound.definitions) as (query, parameters),
            translate_file_errors(lake, "mail"),
        ):
            described = describe_query(lake.connection, query, parameters)
            columns = unique_names([name for name, _ in described], str.lower)
            names = ", ".join(map(quoted, columns))
            texts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in columns)
            sql = f"SELECT {texts} FROM (\n{query}\n) AS rows({names}) LIMIT {MAX_HTML_ROWS + 1:d}"
            rows = fetch_session_rows(lake, sql, parameters)
        if len(rows) > MAX_HTML_ROWS:
            raise QueryError(
                f"a mail shows at most {format_count(MAX_HTML_ROWS, 'row')}, and the SELECT has more; add a "
                "LIMIT, or send a file: as csv, or as excel"
            )
        cells = [[None if cell is None else str(cell) for cell in row] for row in rows]
        return [name for name, _ in described], [type.name for _, type in described], cells

    def _read_file(self, format: MailFormat, bound: BoundQuery) -> tuple[Attachment, int]:
        name, type = _FILES[format]
        with tempfile.TemporaryDirectory(prefix="unify-mail-") as folder:
            path = Path(folder) / name
            count = FileExporter(self._query.lake).write(bound, path, None)
            size = path.stat().st_size
            if size > MAX_SIZE:
                raise QueryError(
                    f"the file has {format_size(size)}, more than the {format_size(MAX_SIZE)} of a mail; "
                    "select fewer rows or columns, or export to a file"
                )
            return Attachment(name, type, base64.b64encode(path.read_bytes()).decode()), count


def _text_table(names: Sequence[str], cells: Cells, note: str) -> str:
    """Rows for programs that show no HTML: separated by tabs."""
    lines = [
        "\t".join(map(_one_line, names)),
        *("\t".join(_one_line(cell or "") for cell in row) for row in cells),
    ]
    return "\n".join([*lines, "", format_count(len(cells), "row") + (f" ({note})" if note else "")]) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _html_table(names: Sequence[str], types: Sequence[str], cells: Cells, note: str) -> str:
    """A table without scripts and foreign addresses; every text is escaped."""
    sides = ["right" if type.startswith(_NUMBERS) else "left" for type in types]

    def line(tag: str, texts: Sequence[str | None]) -> str:
        parts = (
            f'<{tag} style="{_STYLE}{side}">{html.escape(text or "").replace(chr(10), "<br>")}</{tag}>'
            for text, side in zip(texts, sides, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    rows = "\n".join([line("th", names), *(line("td", row) for row in cells)])
    footer = html.escape(format_count(len(cells), "row") + (f" ({note})" if note else ""))
    table = (
        f'<table style="border-collapse:collapse;font-family:sans-serif;font-size:13px">\n{rows}\n</table>'
    )
    head = '<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head>'
    return f"{head}<body>\n{table}\n<p>{footer}</p>\n</body></html>\n"
