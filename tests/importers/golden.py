"""Golden cases of the importers: a command, the document it reads, the spec and the report it must give.

``python -m tests.importers.golden`` rewrites the specs and reports of all cases; read the difference.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unify.cli.args import parse_arguments
from unify.errors import UnifyError
from unify.importers.common.documents import SourceText
from unify.importers.convert import convert
from unify.importers.model import ImportSettings
from unify.importers.report import report_text

CASES = Path(__file__).parent / "cases"
_SPEC, _REPORT = "==== spec ====\n", "==== report ====\n"


@dataclass(frozen=True)
class GoldenCase:
    """A case: its first line is the command, the document follows."""

    path: Path
    command: str
    document: str
    spec: str
    report: str

    def run(self) -> tuple[str, str]:
        """Return the spec and the report of the command, or the error as report."""
        invocation = parse_arguments(shlex.split(self.command)[1:])
        settings = ImportSettings(invocation.name, invocation.auth, dict(invocation.options), invocation.live)
        sources = [SourceText(invocation.words[0], self.document)]
        try:
            result = convert(sources, settings, format_name=invocation.from_format, tables=invocation.tables)
        except UnifyError as error:
            return "", f"error: {error.message}\n"
        return result.text, report_text(result.report)


def golden_cases() -> Iterator[GoldenCase]:
    for path in sorted(CASES.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        head, _, rest = text.partition(_SPEC)
        spec, _, report = rest.partition(_REPORT)
        command, _, document = head.partition("\n")
        yield GoldenCase(path, command.removeprefix("$ "), document, spec, report)


if __name__ == "__main__":
    for case in golden_cases():
        spec, report = case.run()
        case.path.write_text(
            f"$ {case.command}\n{case.document}{_SPEC}{spec}{_REPORT}{report}", encoding="utf-8"
        )
