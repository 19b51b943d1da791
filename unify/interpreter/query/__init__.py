"""Queries: runs SQL statements, after loading the tables that they use.

    query        QueryRunner: finds the tables of a statement, makes them available, runs it
    table_resolver  TableResolver: the tables of connections that a statement uses, through views and macros
    load_client  LoadClient: enqueues load jobs and waits for them; starts the daemon if necessary
    early_start  EarlyStart: starts the daemon while a new lake is opened
    missing_tables  messages for tables that cannot be read, with suggestions
    internal_databases  listings of DuckDB without the databases that Unify attaches for itself
    explain      `explain`: the loads and API requests that a statement needs, then DuckDB's plan

Start with query.QueryRunner.run.
May import: interpreter.charts, live, system_tables, files, adapter_access, state, connections, variables,
results, freshness and system_columns; adapters, lake, queue, status, language, config, engine, fs and the
top-level modules; not convert or load.
"""
