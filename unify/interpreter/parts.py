"""What the statements of one session share: its settings, and the parts that carry them out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from unify.interpreter.freshness import MaxAge
from unify.interpreter.listing import Listing
from unify.interpreter.loads import Loads
from unify.interpreter.query import Query
from unify.interpreter.results import Stager, Watcher
from unify.interpreter.sources import Sources
from unify.interpreter.state import State
from unify.interpreter.system import System
from unify.interpreter.systemtables import SystemTables
from unify.interpreter.tables import Tables
from unify.interpreter.variables import Variables
from unify.settings import Settings
from unify.store.keepsakes import Keepsakes
from unify.store.lake import Lake
from unify.store.queue import Queue
from unify.zones import local_zone

if TYPE_CHECKING:
    from unify.interpreter.importing import Importing
    from unify.interpreter.peek import Peek


class Parts:
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
        variables: Mapping[str, object],
        stager: Stager,
    ) -> None:
        self.settings = settings
        self.watcher = watcher
        self.max_age = max_age
        self.wait = wait
        self.stager = stager
        self.given = dict(variables)
        self.sources = Sources(settings, environment, watcher.notice)

    def close(self) -> None:
        """Let go of lake, queue and status channel; what the daemon does goes on."""
        opened = vars(self)  # a cached_property is there once somebody needed it
        for name in ("loads", "queue", "lake"):
            if name in opened:
                opened.pop(name).close()

    def cancel_waited(self) -> str | None:
        """See ``Loads.cancel_waited``; None where no statement needed a load."""
        return self.loads.cancel_waited() if "loads" in vars(self) else None

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.settings, purpose="a shell", notice=self.watcher.notice)

    @cached_property
    def queue(self) -> Queue:
        return Queue(self.settings.queue, notice=self.watcher.notice)

    @cached_property
    def loads(self) -> Loads:
        return Loads(self.settings, self.queue, self.sources, self.watcher)

    @cached_property
    def state(self) -> State:
        return State(self.lake, self.queue, self.sources)

    @cached_property
    def listing(self) -> Listing:
        return Listing(self.state)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.lake, self.sources, self.loads, wait=self.wait, zone=self.zone)

    @cached_property
    def zone(self) -> str:
        """The time zone on this machine's clock, by name."""
        return local_zone(self.sources.environment.get("TZ"), datetime.now().astimezone())

    @cached_property
    def system(self) -> System:
        return System(self.settings, self.queue, self.loads)

    @cached_property
    def variables(self) -> Variables:
        return Variables(self.lake, Keepsakes(self.settings.home / "variables"), self.given)

    @cached_property
    def query(self) -> Query:
        return Query(
            self.lake,
            self.sources,
            self.loads,
            SystemTables(self.lake, self.state),
            self.watcher,
            wait=self.wait,
            variables=self.variables,
            stager=self.stager,
        )

    @cached_property
    def peek(self) -> Peek:
        from unify.interpreter.peek import Peek

        return Peek(self.state, self.watcher)

    @cached_property
    def importing(self) -> Importing:
        from unify.interpreter.importing import Importing

        return Importing(self.lake, self.sources)
