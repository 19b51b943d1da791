"""Job queue: loads, refresh schedules and script runs, in one SQLite file.

    queue    Queue: enqueue, claim, finish, requeue and cancel jobs; refresh schedules of tables
    scripts  ScriptSchedules: scripts on a schedule, and the history of their runs
    watches  WatchStore: SELECTs whose changes are sent to whoever waits for them
    syncs    SyncStore: SELECTs whose rows are written to a system again and again, and their runs
    pauses   Pauses: connections and tables whose loads wait
    rows     jobs and schedules as dataclasses, converted to and from rows of the database
    summary  QueueMonitor: counts, last results and intervals, read-only, for monitoring
    timing   when a schedule is due: intervals, times of day, single runs, time zones
    backup   a second copy of schedules and scripts, restored when the file is lost
    sqlite   the database file: opened, migrated, locked for writing, replaced if it is corrupt

Start with queue.Queue. The SQL is in named sections of the .sql files that sqlite reads.
The time is always an argument, aware UTC.
May import: language, config, engine, fs and the top-level modules.
"""
