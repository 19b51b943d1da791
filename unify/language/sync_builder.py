"""The part of the command builder for syncs and watches, which the daemon runs again and again."""

from __future__ import annotations

from lark import Token, v_args

from unify.language import commands
from unify.language.command_values import (
    BadValue,
    SyncOptions,
    ValueBuilder,
    parse_row_bound,
    start_position,
)
from unify.language.commands import Command
from unify.language.tokenizer import unquote
from unify.model import COMPARISONS, RowCondition, TableName, WatchTarget

# Those of a watch: key, every, target, condition, name.
WatchOptions = tuple[
    tuple[str, ...] | None,
    float | None,
    WatchTarget | None,
    RowCondition | None,
    str | None,
]


@v_args(inline=True)
class SyncBuilder(ValueBuilder):
    """Builds the commands of syncs and watches."""

    def show_syncs(self) -> Command:
        return commands.ShowSyncs()

    def create_sync(
        self, name: str, mode: commands.RowMode, table: TableName, *options: *SyncOptions
    ) -> Command:
        key, gone, adopt, cursor, source, trigger, callback = options
        rows = commands.ExportRows(source, table, mode, key or (), delta=True, gone=gone, adopt=adopt is True)
        every_s, after = trigger or (None, None)
        return commands.CreateSync(
            name,
            rows,
            "" if cursor is None else unquote(cursor),
            every_s,
            after,
            *(callback or ("", "", "")),
        )

    def bare_select(self, text: Token) -> str:
        return self._source_text(text).strip()

    def sync_every(self, every_s: float) -> tuple[float | None, TableName | None]:
        return every_s, None

    def sync_after(self, table: TableName) -> tuple[float | None, TableName | None]:
        return None, table

    def callback(self, target: Token | str, secret: str | None = None) -> tuple[str, str, str]:
        if not isinstance(target, Token):
            return target, "", ""
        address = unquote(target)
        if not address.lower().startswith(("https://", "http://")):
            raise BadValue("expected an address with https:// or http://", start_position(target))
        return "", address, secret or ""

    def run_sync(self, name: str) -> Command:
        return commands.RunSync(name)

    def drop_sync(self, name: str) -> Command:
        return commands.DropSync(name)

    # --- Watches

    def show_watches(self) -> Command:
        return commands.ShowWatches()

    def watch_rows(
        self,
        source: str,
        *options: *WatchOptions,
    ) -> Command:
        key, every_s, target, condition, name = options
        return commands.WatchRows(source, key or (), every_s, target, condition, name or "")

    def post_or_file(self, place: str, secret: str | None) -> WatchTarget:
        if place.lower().startswith(("http://", "https://")):
            return WatchTarget("address", place, secret=secret or "")
        return WatchTarget("file", place, secret=secret or "")

    def mail_changes(self, mailer: str, *addresses: str) -> WatchTarget:
        return WatchTarget("mail", mailer, addresses)

    def changes_table(self, table: TableName) -> WatchTarget:
        return WatchTarget("table", str(table))

    def condition(self, comparison: Token, bound: Token) -> RowCondition:
        sign = "<>" if comparison == "!=" else str(comparison)
        return RowCondition(next(each for each in COMPARISONS if each == sign), parse_row_bound(bound))

    def watch(self, name: Token) -> str:
        return unquote(name)

    def run_watch(self, name: str) -> Command:
        return commands.RunWatch(name)

    def unwatch(self, name: str) -> Command:
        return commands.Unwatch(name)
