"""Warehouse: a DuckLake (SQLite catalog, Parquet files), its locking, metadata and maintenance.

    lake             Lake: one process's connections to the warehouse, its transactions and its writer lock
    attachment       attaches the lake to DuckDB: read-write, read-only or restricted; creates it (a package)
    history          earlier versions of the lake: tables at a time, what has changed (a package)
    integrity        lost catalogs and damaged data files (a package)
    protocols        names of catalogs and schemas; Reader and Writer: the methods of Lake used here
    statements       runs the user's SQL; detects statements that write and holds the writer lock for them
    selects          runs SELECT statements; fetches rows without loss, or in the form that their reader needs
    session_rows     rows of Unify's statements on the user's connection, within its transaction
    catalog          lists stored tables, user tables, views, columns and schemas; clears a table
    definitions      the SQL of views and macros, and the search path that a session sees
    ledger           one row per load, with the incremental cursor, committed together with the rows
    discards         rows that a load could not store because a value did not fit its declared type
    type_changes     the history of columns whose type was widened by a later load
    table_layouts    where the rows and columns of each stored table came from
    system_schema    the schema `unify`: views of the ledger, and tables that are refilled for each query
    maintenance      expires snapshots, compacts small files, deletes unused files
    saved_variables  variables that outlive a session: one Parquet file each in the home folder

Start with lake.Lake. Any number of processes read while one writes.
May import: language, config, engine, fs and the top-level modules.
"""
