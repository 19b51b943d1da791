"""The state that the statements of one session share: its settings, and the parts that run them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from unify.config.settings import Settings
from unify.engine import sources
from unify.fs.paths import absolute_path
from unify.interpreter.commands.listing import ListingCommands
from unify.interpreter.commands.system import SystemCommands
from unify.interpreter.commands.tables import LoadCommands
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.early_start import EarlyStart
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Result, Stager, Watcher
from unify.interpreter.state import State
from unify.interpreter.system_tables.tables import SystemTables
from unify.interpreter.variables import Variables
from unify.lake import ledger
from unify.lake.lake import Lake
from unify.lake.saved_variables import SavedVariables
from unify.queue.queue import Queue
from unify.queue.timing import local_zone_name

if TYPE_CHECKING:
    from unify.interpreter.commands.peek import PeekCommand
    from unify.interpreter.files.importer import FileImporter
    from unify.interpreter.files.stores import StoreFiles
    from unify.interpreter.restriction import Restriction, StatementCheck
    from unify.interpreter.sources.source_tables import SourceTables
    from unify.interpreter.watching.shown_changes import ShownChanges
    from unify.interpreter.watching.watch_commands import WatchCommands
    from unify.interpreter.writing.database.writes import DatabaseWrites
    from unify.interpreter.writing.plan import WriteOptions
    from unify.interpreter.writing.sync_commands import SyncCommands
    from unify.interpreter.writing.write_commands import WriteCommands
    from unify.language.commands import ExportRows
    from unify.writes.store import WriteStore


class Session:
    """Each part is made, and lake and queue are opened, when a statement first needs it.

    What the session may change is ``max_age`` alone.
    """

    def __init__(
        self,
        settings: Settings,
        watcher: Watcher,
        *,
        environment: Mapping[str, str],
        max_age: MaxAge,
        wait: bool,
        wait_limit_s: float | None,
        strict: bool,
        stdin_is_script: bool,
        yes: bool,
        max_writes: int | None,
        max_deletes: int | None,
        variables: Mapping[str, object],
        stager: Stager,
        restriction: Restriction | None = None,
    ) -> None:
        self.settings = settings
        self.watcher = watcher
        self.max_age = max_age
        self.wait = wait
        self.wait_limit_s = wait_limit_s
        self.strict = strict
        self.stdin_is_script = stdin_is_script
        self.yes = yes
        self.max_writes = max_writes
        self.max_deletes = max_deletes
        self.stager = stager
        self.restriction = restriction
        self.command_line_variables = dict(variables)
        self.connections = ConnectionCatalog(settings, environment, watcher.notice, lambda: watcher.redactor)

    def close(self) -> None:
        """Close lake, queue and status channel. An open transaction is rolled back; loads go on."""
        opened = vars(self)  # cached properties, once used
        if self.in_transaction:
            self.watcher.notice("the open transaction was rolled back; commit keeps its changes")
        if "early_start" in opened:
            self.early_start.wait()
        if "source_tables" in opened:
            self.source_tables.sources.close()
        for name in ("write_store", "load_client", "queue", "lake"):
            if name in opened:
                opened.pop(name).close()

    @property
    def in_transaction(self) -> bool:
        """Whether the user's transaction is open. Does not open the lake."""
        return "lake" in vars(self) and self.lake.in_transaction

    def cancel_awaited_loads(self) -> str | None:
        """See ``LoadClient.cancel_awaited_loads``; None where no statement needed a load."""
        return self.load_client.cancel_awaited_loads() if "load_client" in vars(self) else None

    @cached_property
    def lake(self) -> Lake:
        lake = Lake(
            self.settings,
            restricted=self.restriction is not None,
            purpose="a shell",
            notice=self.watcher.notice,
        )
        if self.stdin_is_script:
            lake.statements.script_stream = sources.open_stream_id("/dev/stdin")
        lake.statements.on_named_pipe = lambda name: self.watcher.notice(
            f"reading the pipe {name} until its writer closes it; Ctrl-C stops waiting"
        )
        return lake

    @cached_property
    def queue(self) -> Queue:
        return Queue(self.settings.queue, notice=self.watcher.notice)

    @cached_property
    def early_start(self) -> EarlyStart:
        return EarlyStart(self.settings, self.connections)

    @cached_property
    def load_client(self) -> LoadClient:
        return LoadClient(
            self.settings,
            self.queue,
            self.connections,
            self.watcher,
            early_start=self.early_start,
            find_record=(lambda uid: ledger.find_load(self.lake, uid)) if self.strict else None,
            wait_limit_s=self.wait_limit_s,
            after_wait=self._refresh_lake,
        )

    def _refresh_lake(self) -> None:
        self.lake.refresh()

    def interrupted(self) -> BaseException:
        """Return what Ctrl-C raises: the end of a statement that reads databases, else KeyboardInterrupt."""
        if "source_tables" not in vars(self):
            return KeyboardInterrupt()
        return self.lake.end_interrupted()

    @cached_property
    def source_tables(self) -> SourceTables:
        """The tables of databases and stores; made when a statement names one."""
        from unify.interpreter.sources.open_sources import OpenSources
        from unify.interpreter.sources.source_catalog import SourceCatalog
        from unify.interpreter.sources.source_tables import SourceTables

        sources = OpenSources(self.lake, self.connections)
        return SourceTables(sources, SourceCatalog(sources), self.write_store)

    @cached_property
    def state(self) -> State:
        return State(
            self.lake,
            self.queue,
            self.connections,
            get_sources=lambda: self.source_tables,
            notice=self.watcher.notice,
        )

    @cached_property
    def listing_commands(self) -> ListingCommands:
        return ListingCommands(self.state)

    @cached_property
    def load_commands(self) -> LoadCommands:
        return LoadCommands(
            self.lake,
            self.connections,
            self.load_client,
            wait=self.wait,
            zone=self.zone,
            get_sources=lambda: self.source_tables,
        )

    @cached_property
    def zone(self) -> str:
        """The time zone on this machine's clock, by name."""
        return local_zone_name(self.connections.environment.get("TZ"), datetime.now().astimezone())

    @cached_property
    def system_commands(self) -> SystemCommands:
        return SystemCommands(
            self.settings,
            self.queue,
            self.load_client,
            lambda name: self.load_commands.require_stored(name),  # noqa: PLW0108 - opens the lake
        )

    @cached_property
    def variables(self) -> Variables:
        return Variables(
            self.lake, SavedVariables(self.settings.home / "variables"), self.command_line_variables
        )

    @cached_property
    def query(self) -> QueryRunner:
        return QueryRunner(
            self.lake,
            self.connections,
            self.load_client,
            SystemTables(self.lake, self.state),
            self.watcher,
            wait=self.wait,
            variables=self.variables,
            stager=self.stager,
            get_sources=lambda: self.source_tables,
            restriction=self.restriction,
        )

    @cached_property
    def statement_check(self) -> StatementCheck | None:
        """The check of statements from outside a shell; None for those of a shell."""
        if self.restriction is None:
            return None
        from unify.interpreter.restriction import StatementCheck

        return StatementCheck(self.restriction, self.lake, self.connections)

    @cached_property
    def write_store(self) -> WriteStore:
        from unify.writes.store import WriteStore

        return WriteStore(self.settings.writes)

    @cached_property
    def write_commands(self) -> WriteCommands:
        """Statements that write rows to an API, and their plans."""
        from unify.interpreter.writing.plan import MAX_WRITES, WriteOptions
        from unify.interpreter.writing.write_commands import WriteCommands

        options = WriteOptions(self.yes, self.max_writes or MAX_WRITES, self.max_deletes)
        return WriteCommands(
            self.query, self.load_client, self.write_store, self.watcher, options=options, wait=self.wait
        )

    @cached_property
    def database_writes(self) -> DatabaseWrites:
        """Statements that write to databases."""
        from unify.interpreter.writing.database.copies import StoredCopies
        from unify.interpreter.writing.database.history import StatementHistory
        from unify.interpreter.writing.database.writes import DatabaseWriteOptions, DatabaseWrites

        options = DatabaseWriteOptions(self.yes, self.max_writes, self.max_deletes)
        copies = StoredCopies(self.source_tables, self.load_client, self.watcher)
        history = StatementHistory(self.write_store, self.connections)
        return DatabaseWrites(self.query, self.source_tables, copies, self.watcher, options, history=history)

    @cached_property
    def sync_commands(self) -> SyncCommands:
        """Rows that are written again and again."""
        from unify.interpreter.writing.plan import MAX_WRITES, WriteOptions
        from unify.interpreter.writing.sync_commands import SyncCommands
        from unify.interpreter.writing.sync_runner import SyncRunner

        runner = SyncRunner(
            self.query,
            self.connections,
            self.load_client,
            make_writes=self._make_writes,
            export_to_source=self._export_to_source,
            get_redactor=lambda: self.watcher.redactor,
        )
        return SyncCommands(
            self.connections,
            self.load_client,
            runner,
            self.watcher,
            self.write_store,
            options=WriteOptions(self.yes, self.max_writes or MAX_WRITES, self.max_deletes),
            folder=absolute_path("."),
        )

    def _make_writes(self, options: WriteOptions) -> WriteCommands:
        """The writes of the session with other options; they share its store."""
        from unify.interpreter.writing.write_commands import WriteCommands

        store = self.write_store
        return WriteCommands(self.query, self.load_client, store, self.watcher, options=options, wait=True)

    def _export_to_source(self, command: ExportRows, options: WriteOptions, max_age: MaxAge) -> Result:
        if self.store_files.has_store(command.table.schema):
            return self.export_to_store(command, max_age)
        from unify.interpreter.writing.database.copies import StoredCopies
        from unify.interpreter.writing.database.history import StatementHistory
        from unify.interpreter.writing.database.writes import DatabaseWriteOptions, DatabaseWrites

        copies = StoredCopies(self.source_tables, self.load_client, self.watcher)
        given = DatabaseWriteOptions(options.yes, options.max_writes, options.max_deletes)
        history = StatementHistory(self.write_store, self.connections)
        writes = DatabaseWrites(self.query, self.source_tables, copies, self.watcher, given, history=history)
        return writes.export(command, max_age, explain=command.explain)

    def export_to_store(self, command: ExportRows, max_age: MaxAge) -> Result:
        """Write the rows of a SELECT to a table of files. Raises QueryError, FileError."""
        from unify.interpreter.files.exporter import FileExporter
        from unify.interpreter.files.table_targets import StoreTables
        from unify.interpreter.results import plan_rows

        exporting = StoreTables(self.store_files, self.source_tables, FileExporter(self.lake))
        bound, _ = self.query.prepare(command.source, max_age)
        result = exporting.export(command, bound)
        if command.explain:
            return plan_rows(result.text)
        self.database_writes.note_change(command.table, only_new_rows=command.mode == "append")
        return result

    @cached_property
    def watch_commands(self) -> WatchCommands:
        """SELECTs whose changes are sent to whoever waits for them."""
        from unify.interpreter.watching.deliveries import Deliverer
        from unify.interpreter.watching.watch_commands import WatchCommands
        from unify.interpreter.watching.watch_runner import WatchRunner
        from unify.interpreter.writing.plan import MAX_WRITES, WriteOptions

        options = WriteOptions(True, MAX_WRITES, None)
        deliverer = Deliverer(
            self.queue,
            self.connections,
            self.settings.home,
            send_rows=lambda rows: self._export_to_source(rows, options, self.max_age),
            send_mail=lambda mail: self._make_writes(options).export_mail(mail, self.max_age),
            get_redactor=lambda: self.watcher.redactor,
        )
        runner = WatchRunner(self.query, self.lake, self.queue, self.settings.home / "watches")
        folder = absolute_path(".")
        return WatchCommands(self.lake, self.connections, self.load_client, runner, deliverer, folder=folder)

    @cached_property
    def shown_changes(self) -> ShownChanges:
        from unify.interpreter.watching.shown_changes import ShownChanges

        return ShownChanges(self.query, self.lake, self.watcher, self.settings.cache)

    @cached_property
    def peek_command(self) -> PeekCommand:
        from unify.interpreter.commands.peek import PeekCommand

        return PeekCommand(self.state, self.watcher)

    @cached_property
    def store_files(self) -> StoreFiles:
        from unify.interpreter.files.stores import StoreFiles

        return StoreFiles(self.connections, self.watcher, yes=self.yes)

    @cached_property
    def importer(self) -> FileImporter:
        from unify.interpreter.files.importer import FileImporter

        return FileImporter(self.lake, self.connections)
