"""Daemon: the background process that runs queued jobs, publishes loads and runs scheduled scripts.

    main            the process: instance lock, sockets, signals, main loop
    dispatcher      Dispatcher: gives jobs to workers and handles the results; one step per run_once()
    worker_pool     worker processes: started, watched, limited in memory and time, replaced
    jobs            the jobs in progress: transitions, decisions after a failure, recovery after a restart
    publisher       the thread that publishes staged loads and runs maintenance, one after the other
    command_queue   the order of the publisher's commands: short publications first
    scripts         starts scheduled scripts that are due and records how they ended
    script_process  one script as a process: started, limited in time, output captured
    watches         lets watches look when a table that they read has changed
    maintenance     decides when lake.maintenance runs
    disk_space      pauses work while the disk is full or a lock is held
    notifier        reports failures by webhook and mail, in a thread
    faults          what an error in the daemon ends: one job, or all work until the disk or lock is free
    log             the log file of the daemon: rotated, with secrets redacted

Start with main.Daemon.run, then dispatcher.Dispatcher.run_once.
May import: render, publish, sender, interpreter, load, convert, adapters, lake, queue, writes, status,
language, config, engine, fs and the top-level modules.
"""
