"""Databases as sources: each adapter implements adapters.relation.RelationalAdapter.

    attachment    extensions, secrets and hidden aliases of attached databases; translation of their errors
    error_messages  messages of servers within errors of DuckDB
    columns       a column with the SQL that reads it exactly, and what it is compared as
    conditions    conditions and orders that a server may apply without changing the result
    aggregates    groups of rows that the server counts and sums, in place of rows
    statement     one SELECT for the server within one SELECT for DuckDB
    sql_sections  named statements in .sql files
    server_loads  loads of tables that are read by one statement
    adapter       DatabaseAdapter: what the adapters of databases with a language of their own have in common
    bulk          loads: which rows a refresh reads, and how their state goes on
    writing       how rows become one transaction at a database
    postgres      adapter `postgres`
    mysql         adapter `mysql`, for MariaDB also
    sqlite        adapter `sqlite`: a SQLite database file
    drivers       adapters `odbc` and `adbc`: databases that DuckDB cannot reach
    duckdb_file   adapter `duckdb`: a DuckDB database file
    duckdb_writer  DuckDBFileWriter: writes such a file

May import: adapters.relation, base, options and spec; language, config, engine, fs and the top-level modules.
"""
