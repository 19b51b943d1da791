"""Publishing: makes a staged load visible in the lake, in one transaction.

    publish           publish(): rows, schema changes, cursor and ledger row in one transaction, at most once
    schema_evolution  how the columns of a table change when a load has other columns or types
    plausibility      holds a new version back that has lost most rows or columns
    staged_rows       the staged rows in the columns of the table: newest row of each key, deletions left out
    registration      registers staged files as files of the table, without a copy
    merge             writes staged rows into the table: replace, append or merge by key

Start with publish.publish; daemon.publisher calls it.
May import: interpreter, load, convert, adapters, lake, queue, status, language, config, engine, fs and the
top-level modules.
"""
