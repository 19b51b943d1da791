"""PostgreSQL as a source.

    adapter   adapter `postgres`: options, session settings, cancellation
    catalog   schemas, tables and columns, from PostgreSQL's catalog
    types     how each type is read exactly
    dialect   constants, and comparisons of texts
    bulk      loads: one snapshot for all readers, ranges of pages side by side, late commits
    writer    PostgresWriter: writes by COPY
    targets   what the columns of a table accept, and columns for the types of DuckDB

Start with adapter.PostgresAdapter. May import: the modules of adapters.database, and what they may.
"""
