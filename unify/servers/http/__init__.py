"""HTTP server: one application of routes, behind one set of access rules and limits.

    server        HttpServer: uvicorn on a bound socket, in a thread
    app           build_app(): the routes, inside access rules and limits
    access        AccessControl: Host header, tokens, and who may use which route
    limits        RequestLimits: the size and the duration of a request
    protocol      TimedProtocol: the duration of a connection without a complete request
    responses     errors as JSON
    metrics       GET /metrics
    health        GET /health
    query         POST /query, GET and DELETE /statements/ID
    openapi       GET /openapi.json
    page          GET / and /static: the page, whose files are in the folder static; POST /session

Start with app.build_app. A route is a module that gives `route(…)`; it knows neither sockets nor tokens.
Everything here needs the packages of the extra `serve`.
May import: servers.statements, servers.monitoring, servers.users, servers.event_log and what they may import.
"""
