"""Databases as sources: each adapter implements adapters.relation.RelationalAdapter.

    attachment   hidden aliases of attached databases; translation of their errors
    bulk         loads: which rows a refresh reads, and how their state goes on
    duckdb_file  adapter `duckdb`: a DuckDB database file

May import: adapters.relation, base, options and spec; language, config, engine, fs and the top-level modules.
"""
