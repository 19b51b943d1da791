"""Sender: sends the rows of approved writes, in a worker process, exactly once or with the outcome unknown.

    runner          JobRunner: what a worker does with a task
    pending_writes  PendingWrites: the jobs for the writes that are to be sent
    writes          run_writes: one task, the approved writes of a table
    attempt         WriteAttempt: the rows of one write, and what became of each
    cancellation    ends the waits and the request of a write that is cancelled

Start with writes.run_writes. The state of each row is in the store of `unify.writes`.
May import: load, adapters, queue, writes, config, fs and the top-level modules.
"""
