"""Writing: statements that change rows of an API, from the text to a plan, its approval and its outcome.

    write_commands  WriteCommands: runs, plans, approves, cancels and retries writes
    row_source      the rows of a statement, as JSON values with their keys
    rows_to_write   a SELECT, run once into a temporary table
    write_sender    WriteSender: seals, approves and sends plans, and waits for the outcome
    export_planner  the rows of an export that are inserted, updated, deleted
    leaving_rows    the rows that an export deletes or clears, because they are gone from its source
    mail_planner    the rows of a SELECT as a mail
    sync_commands   SyncCommands: rows that are written again and again
    sync_runner     one run of a sync
    undo_planner    the rows that take a write back
    plan            WritePlan: what a statement writes, and how many rows it removes
    returning       RETURNING over the rows of a write
    row_checks      what a plan may contain: columns, values and their types, keys, numbers of rows
    write_report    plans and outcomes in words
    database        statements that write to a database

Start with write_commands.WriteCommands.run. Requests are sent by `unify.sender` in a worker.
May import: what `interpreter.query` may, and query.
"""
