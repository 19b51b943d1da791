"""Load: one attempt of one job, in a worker process: plan, read, stage, report.

    protocol     the messages between daemon and worker: LoadTask, LoadProgress, RequestBatch, TaskResult
    worker       the worker process: receives tasks, reports progress, ends with the daemon
    loader       TableLoader: runs one task, from the plan to the staged files
    attempt      LoadAttempt: reads the rows and stages them
    limits       the limits of a load: time, rows, bytes
    plan         what to read and by which strategy; the parent rows and the stored columns
    checkpoint   which pages the chunks of an attempt hold, for the next attempt
    resumption   takes over what an earlier attempt has read
    notes        LoadNotes: what the ledger says of a load beside its counts
    staging      the staging folder: the files of an attempt, completed by a manifest
    relational_loader  one load of a table of a database or store
    relational_plan    its plan: the stored state, and whether everything has to be read again
    relational_stage   copies the parts of a table to Parquet, side by side
    environment  the connection of a job, and the environment variables that it refers to

Start with loader.TableLoader.load.
May import: convert, adapters, lake, queue, status, language, config, engine, fs and the top-level modules.
"""
