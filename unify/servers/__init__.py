"""Servers: what programs and people reach over the network, in a process of their own (`unify serve`).

    main        run_servers(): starts the servers that were asked for, and stops them at a signal
    addresses   host and port of a server: parsed, and bound to a socket
    exposure    which servers other machines may reach
    signals     SIGINT, SIGTERM and SIGHUP stop a server
    tls         the certificate and key of a server
    users       UserStore: users with roles, and hashes of their tokens and passwords
    passwords   passwords as SCRAM-SHA-256 verifiers
    tokens      tokens: made, hashed, verified in constant time
    sessions    OwnerSessions: the owner's sign-in to the page of `unify ui`
    browser     opens the page
    event_log   events on stderr, with the words of the daemon's log
    statements  statements of clients: run in threads, bounded, cancelled (a package)
    http        the HTTP server, its access rules, limits and routes (a package)
    postgres    the server for PostgreSQL clients (a package)
    mcp         agents: the MCP server over stdio or HTTP (a package)
    monitoring  the state of a home for monitoring, and its metrics (a package)

Start with main.run_servers, or mcp.main.run_agents. A server starts the daemon where a statement needs a
load; it ends alone, and the daemon goes on.
May import: render, publish, interpreter, load, convert, adapters, lake, queue, status, language, config,
engine, fs and the top-level modules; not shell, daemon, authoring or homes.
"""
