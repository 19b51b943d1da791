"""Commands that read and write files: import, export, copy, remove, show files, run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import assert_never

from unify.interpreter.results import (
    Message,
    Result,
    RunNotebook,
    RunScript,
)
from unify.interpreter.session import Session
from unify.language import commands
from unify.text import format_count


def run_file_command(session: Session, command: commands.FileCommand) -> Result:
    match command:
        case commands.Import(place, into, mode):
            if isinstance(place, str):
                return session.importer.import_file(place, into, mode)
            with session.store_files.open_source(place) as files:
                return session.importer.import_files(files, str(place), into, mode)
        case commands.Export(source, place, mode):
            return _export(session, source, place, mode)
        case commands.ExportRows():
            return _export_rows(session, command)
        case commands.ExportMail():
            return session.write_commands.export_mail(command, session.max_age)
        case commands.CopyFiles(source, target, overwrite):
            return session.store_files.copy(source, target, overwrite=overwrite)
        case commands.RemoveFiles(place, recursive):
            return session.store_files.remove(place, recursive=recursive)
        case commands.FileUrl(place, seconds):
            return session.store_files.url(place, seconds)
        case commands.RunFile(path, notebook):
            if not commands.is_notebook(path):
                return RunScript(path)
            return RunNotebook(path, notebook, session.settings.notebooks, _kernel_environment(session))
        case unknown:
            assert_never(unknown)


def _kernel_environment(session: Session) -> Mapping[str, str]:
    """Return what lets a process use the home and the connections of the session."""
    settings, origin = session.settings, session.connections.origin
    return {
        "UNIFY_HOME": str(settings.root),
        "UNIFY_TENANT": settings.tenant,
        "UNIFY_CONNECTIONS": origin.connections,
        "UNIFY_SPECS": os.pathsep.join(origin.specs),
    }


def run_show_files(session: Session, schema: str | None, like: str | None) -> Result:
    if schema is not None and session.store_files.has_store(schema):
        return session.store_files.list_files(schema, like)
    if schema is not None:
        session.listing_commands.check_schema(schema)
    return session.importer.list_files(schema, like)


def _export(session: Session, source: str, place: commands.Place, mode: str | None) -> Result:
    from unify.interpreter.files.exporter import FileExporter

    exporter = FileExporter(session.lake)
    if isinstance(place, str):
        bound, _ = session.query.prepare(source, session.max_age)
        return exporter.export(bound, place, mode)
    with session.store_files.open_target(place, mode) as target:
        bound, _ = session.query.prepare(source, session.max_age)
        rows = exporter.write(bound, target.path, target.mode)
    return Message(f"{format_count(rows, 'row')} {'appended' if target.mode else 'written'} to {place}")


def _export_rows(session: Session, command: commands.ExportRows) -> Result:
    """Write the rows of a SELECT to a table, or make a sync that does."""
    schema = command.table.schema
    if command.every_s is not None and not command.explain:
        return session.sync_commands.create_from_export(command, session.max_age)
    if session.store_files.has_store(schema):
        return session.export_to_store(command, session.max_age)
    if session.connections.is_relational(schema):
        return session.database_writes.export(command, session.max_age, explain=command.explain)
    return session.write_commands.export_rows(command, session.max_age)
