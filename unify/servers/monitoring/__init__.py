"""State of a home for monitoring: read-only, without loads, in constant memory.

    service         MonitoringService: one reader at a time, beside an event loop
    metrics         the metrics of a home: names, types, labels
    exposition      renders metrics in the text format of Prometheus
    monitor         HomeMonitor: one summary from daemon, queue, lake and file system
    daemon_monitor  whether the daemon runs, what its loads wait for; counts of requests and notifications
    lake_monitor    the totals of loads, and the size of the lake
    ledger_totals   totals of all loads, brought up to date from the ledger
    log_tail        lines that other processes append to a file

Start with monitor.HomeMonitor.read and metrics.home_metrics. Only exposition and service import packages of
the extra `serve`.
May import: interpreter, adapters, lake, queue, status, config, engine, fs and the top-level modules.
"""
