"""Statements that write to a database, as one transaction there.

    writes      DatabaseWrites: opens the table, confirms and runs statements
    statements  which rows a statement chooses, and the columns that they become
    merges      MERGE INTO as update, upsert or mirror
    plans       DatabaseWritePlanner: what a statement writes, checked against the table
    rows        the rows in a temporary table, checked and converted
    copies      the stored rows of a table that was changed
    history     the record of statements in unify.writes
    report      plans and outcomes in words

Start with writes.DatabaseWrites.run_statement; the database does adapters.table_writes.DatabaseWriter.
May import: what `interpreter.query` may, and query.
"""
