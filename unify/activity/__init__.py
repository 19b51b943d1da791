"""Activity: what the clients of servers and agents have run.

    store    ActivityStore: statements of clients and calls of agents, the last 10,000 of each
    records  StatementRecord, AgentCall, converted to and from rows of the database

Start with store.ActivityStore. The file is HOME/activity.db; the SQL is in named sections of activity.sql.
It is a log: a server that cannot write it goes on. The time is always an argument, aware UTC.
May import: config, engine, fs and the top-level modules.
"""
