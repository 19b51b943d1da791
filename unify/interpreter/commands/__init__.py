"""Commands: Unify's own statements, one module per family.

    listing    `show …` and `describe`: lists connections, tables, columns, jobs, schedules, settings
    peek       `peek`: some rows of a table and its most informative columns, without a load
    changes    `changes`: compares a table with an earlier version of it
    tables     `load`, `refresh`, `reload` and `clear table`, once or on a schedule
    schedules  `run … every`, `run … at`, `unschedule`
    connect    `connect` and `disconnect`: tests a connection and edits connections.yaml
    system     `system …`: status of background work; starts and stops the daemon; cancels, retries jobs
    help       `help`: the text of each topic

Start with tables.LoadCommands; interpreter.interpreter calls each module.
May import: interpreter.query, charts, live, system_tables, files, adapter_access, state, connections,
variables, results, freshness and system_columns; adapters, lake, queue, status, language, config, engine, fs
and the top-level modules; not convert or load.
"""
