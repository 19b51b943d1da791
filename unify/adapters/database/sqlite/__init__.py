"""SQLite files as sources.

    adapter   adapter `sqlite`
    catalog   tables, views and columns
    types     how a column is read exactly: in SQLite each value has a type of its own
    writer    SQLiteWriter: writes by the sqlite3 of Python

Start with adapter.SQLiteAdapter. May import: the modules of adapters.database, and what they may.
"""
