"""Publishing: makes a staged load visible in the lake, in one transaction.

    publish           publish(): rows, schema changes, cursor and ledger row in one transaction, at most once
    schema_evolution  how the columns of a table change when a load has other columns or types
    plausibility      holds a new version back that has lost most rows or columns
    merge             writes staged files into the table: replace, append or merge by key

Start with publish.publish; daemon.publisher calls it.
May import: interpreter, load, convert, adapters, lake, queue, status, language, config, engine, fs and the
top-level modules.
"""
