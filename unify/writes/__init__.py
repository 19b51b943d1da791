"""Writes: planned changes of rows in the systems behind connections, and what became of each row.

    store         WriteStore: plans, approvals, and the state of each row before and after its request
    database      WriteDatabase: the SQLite file
    records       NewWrite, Write, WriteRow, converted to and from rows of the database
    seal          the digest of a plan
    written_rows  WrittenRows: what exports with a name have written
    ended_writes  EndedWrites: statements on databases, recorded when they have ended
    copies        ends what is open in the copy of a backup

Start with store.WriteStore. The file is HOME/writes.db; the SQL is in named sections of the .sql files.
The time is always an argument, aware UTC.
May import: config, engine, fs and the top-level modules.
"""
