"""Status channel: messages between the daemon and its clients, over ZeroMQ sockets on this machine.

    messages  the requests, replies and events, as structs and as JSON
    server    the daemon's side: publishes events, answers requests
    client    the client's side: sends requests, receives events, detects lost events
    instance  the instance lock: at most one daemon per home folder
    launch    starts and stops the daemon process

Start with messages, then client.StatusClient. Events only report progress; the queue and the ledger hold the
state.
May import: language, config, engine, fs and the top-level modules.
"""
