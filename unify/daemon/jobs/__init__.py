"""Jobs: the state of each job in progress, from its claim to its end.

    running_jobs   RunningJobs: carries out the transitions of what workers and the publisher report
    running_job    RunningJob: one attempt, its status, its row in the ledger if it fails
    transitions    the state machine of a job: state and event to next state, action and log event
    policies       decisions without I/O: retry or end after a failure; when to refresh a table next
    shared_tables  find_shared_tables(): the tables that read the responses of a load
    recovery       recover_jobs(): takes over the jobs of an older daemon

Start with running_jobs.RunningJobs.apply.
May import: daemon.publisher, worker_pool, notifier and log; sender, publish, load, adapters, queue, config,
fs and the top-level modules.
"""
