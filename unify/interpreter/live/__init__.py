"""Live tables: rows that are fetched from the API within a statement, and views of connections.

    relations    RelationResolver: replaces views and live tables by temporary relations
    pushdown     PushdownPlanner: conditions and joins of the statement as API requests
    requests     LiveRequest, LiveRead, LiveRelation; selects the parent rows that a statement needs
    join_keys    keys of a small table of the lake as a condition on a large one of a database
    live_tables  LiveTables: fetches the rows, caches them, creates a temporary table

Start with relations.RelationResolver.resolve; interpreter.query.query calls it.
May import: interpreter.files, adapter_access, state, sources, connections, variables, results, freshness and
system_columns; adapters, lake, queue, status, language, config, engine, fs and the top-level modules; not
convert or load.
"""
