"""Interpreter: one session of statements, from the text of a statement to its result.

    interpreter     Interpreter: parses a statement, checks it and passes the command on
    dispatch        passes each command, by its family, to the module that runs it
    session         Session: the objects that all statements share, created when first needed
    results         the results (Rows, Message, Chart …) and the protocols Watcher and Stager
    query           SQL statements: finds their tables, loads them if necessary, runs or explains
    sources         databases and stores: their tables, stored or live, in a statement
    live            live tables and views of connections, resolved for each statement
    writing         statements that change rows of an API: plans, approval, outcomes
    watching        SELECTs whose changes are shown or sent
    commands        the commands of Unify: show, peek, load, connect, system, help …
    files           import from files, export to files
    charts          the data of a chart, and chart files
    connections     ConnectionCatalog: the configured connections and the tables they offer
    variables       `$name` variables: values bound as parameters, or rows used as a table
    restriction     what statements from outside a shell may do
    transactions    what an open transaction may not contain
    parameters      placeholders in statements of programs, and values as DuckDB takes them
    webhook_secrets the secrets that sign requests to the addresses of syncs and watches
    quiet_watcher   the watcher of a session without a terminal
    freshness       decides whether stored rows are recent enough for a query
    state           State: every table and connection with its load state
    adapter_access  opens the adapter of a connection, signs in, logs its requests
    system_columns  the names and columns of the system tables
    system_tables   fills the system tables of the schema `unify`

Start with interpreter.Interpreter.run.
Layers within the package, top first: interpreter; dispatch; session; watching; commands and writing; query;
charts, live and system_tables; files, adapter_access and state; sources and restriction; connections and
variables; results, freshness, transactions and system_columns.
May import: adapters, lake, queue, status, language, config, engine, fs and the top-level modules; not convert
or load.
"""
