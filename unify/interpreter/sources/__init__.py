"""Databases and stores within a statement: their adapters, the tables they have, the rows they give.

    open_sources   OpenSources: the adapters of a session, attached to its DuckDB; cancels their statements
    source_catalog  SourceCatalog: lists of schemas and tables, kept for a minute, and on disk for completion
    source_tables  SourceTables: which table a name means; whether a statement reads it stored or live
    source_views   the temporary view that stands for a live table, with conditions, order and limit
    parallel_reads  large live tables, read in parts side by side before the statement
    copied_tables  the rows of live tables for statements from outside a shell, whose DuckDB is restricted
    null_values    notices about values that are read as NULL, such as NaN
    named_databases  databases in memory by whose names views, macros and prepared statements read sources
    direct_queries  query('CONNECTION', 'SQL') in FROM

Start with source_tables.SourceTables.choose, then source_views.
May import: connections, variables, results, freshness and system_columns of the interpreter; adapters, lake,
queue, language, config, engine, fs and the top-level modules; not convert or load.
"""
