"""Watching: SELECTs whose changes are shown as they come, or sent to whoever waits for them.

    watch_commands  `watch … to …`, `run watch`, `unwatch`, `show watches`
    watch_runner    WatchRunner: one look at a result: what has changed since the last one
    result_files    the last result and its changes as Parquet files, and their comparison
    deliveries      sends changes: to an address, a file, a mail, a table
    shown_changes   `watch …` without a target: changes as lines, until Ctrl-C

Start with watch_runner.WatchRunner.look; a change is kept on disk before it is sent.
May import: what interpreter.writing may import, and interpreter.writing.
"""
