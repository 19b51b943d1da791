"""Agents: the MCP server (`unify mcp`), over stdio or HTTP.

    main      run_agents(): starts the server and stops it at a signal
    server    build_server(): tools, resources, prompts and instructions
    tools     AgentTools: what the tools do
    limits    AgentLimits: what the owner allows, and the budget of API requests
    approvals propose_write, and the person who approves what it plans
    runner    StatementRunner of agents: threads, time limits, the log of calls
    bounded   rows bounded in SQL: cells, columns, bytes
    catalog   tables and columns as agents see them
    texts     instructions and prompts

Start with server.build_server. The package `mcp` is imported by server, approvals and main only. Every tool
runs on a restricted session; limits are the owner's, and an argument can only lower them.
May import: servers.http, servers.statements, servers.users, servers.event_log and what they may import.
"""
