"""Files and processes: durable writes, locks between processes, signals, and failpoints for crash tests.

    durable     fsync, atomic writes, files and folders that only their owner can read
    locks       FileLock: a lock between processes by flock(2), released when its process ends
    memory      resident memory of processes, and a limit for a block of this process
    machine     the identity of the machine's start
    process_limits  open files, processes and memory: what the system refuses, and what to do
    paths       paths as users write them: `~` and relative paths resolved
    sqlite      SQLite files: named statements, schema versions, messages for errors
    interrupts  Ctrl-C during a call that does not return to Python
    temporary_files  files that are removed when a signal ends the process
    failpoints  named points in the code where a test can kill the process or raise an error

Start with durable.atomic_write and locks.FileLock.
May import: the top-level modules (errors, model, text, durations, redaction, version).
"""
