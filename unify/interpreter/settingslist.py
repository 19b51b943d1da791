"""The settings in force, as people read them: ``show settings`` and ``unify.settings``."""

from __future__ import annotations

from collections.abc import Sequence

from unify.durations import duration_text
from unify.interpreter.freshness import MaxAge
from unify.interpreter.preferences import kept_keys
from unify.settings import Settings


def setting_rows(settings: Settings, max_age: MaxAge) -> Sequence[tuple[str, str, str]]:
    """Name, value and meaning of each; ``max_age`` is the session's own."""
    return [
        ("max_age", str(max_age), "how old an answer may be before a query waits for a refresh"),
        ("keys", kept_keys(settings.home), "of the prompt: emacs or vi"),
        ("home", str(settings.home), "where everything is stored (--home, UNIFY_HOME)"),
        ("connections", str(settings.connections), "the file of connections (--connections)"),
        (
            "specs",
            ":".join(map(str, settings.specs)),
            "folders of specs before the bundled ones (--specs)",
        ),
        ("tenant", settings.tenant, "whose warehouse this is (--tenant, UNIFY_TENANT)"),
        ("workers", str(settings.workers), "loads side by side (UNIFY_WORKERS)"),
        (
            "worker_memory",
            f"{settings.worker_memory_bytes / 1024**2:,.0f} MiB",
            "what one load may hold (UNIFY_WORKER_MEMORY)",
        ),
        (
            "history",
            duration_text(settings.kept_history_s),
            "how far back at (timestamp => …) and changes reach (UNIFY_HISTORY)",
        ),
        (
            "idle_exit",
            "never" if settings.idle_exit_s is None else duration_text(settings.idle_exit_s),
            "when a daemon without work ends (UNIFY_IDLE_EXIT)",
        ),
        (
            "script_time",
            duration_text(settings.script_time_s),
            "how long a scheduled script may run (UNIFY_SCRIPT_TIME)",
        ),
    ]
