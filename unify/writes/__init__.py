"""Writes: planned changes of rows in the systems behind connections, and what became of each row.

    store     WriteStore: plans, approvals, and the state of each row before and after its request
    database  WriteDatabase: the SQLite file
    records   NewWrite, Write, SentBatch, converted to and from rows of the database

Start with store.WriteStore. The file is HOME/writes.db; the SQL is in named sections of the .sql files.
The time is always an argument, aware UTC.
May import: config, engine, fs and the top-level modules.
"""
