"""MySQL and MariaDB as sources.

    adapter   adapter `mysql`: options, time limits, cancellation
    catalog   schemas (databases), tables and columns
    types     how each type is read exactly
    dialect   constants, and comparisons of texts whatever the collation
    writer    MySQLWriter: writes by INSERT of many rows
    targets   what the columns of a table accept, and columns for the types of DuckDB

Start with adapter.MySQLAdapter. May import: the modules of adapters.database, and what they may.
"""
