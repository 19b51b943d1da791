"""PostgreSQL clients: the protocol 3 of PostgreSQL, for psql, drivers and BI tools.

    server             PostgresServer: accepts connections, bounds them, cancels their statements
    connection         ClientConnection: one client, from its first byte to its last
    wire               MessageStream: messages over a socket, with limits on their size
    authentication     SCRAM-SHA-256 with the users of the home
    client_session     ClientSession: prepared statements, portals, transaction state, simple queries
    prepared           PreparedStatement, and StatementOpener, which describes and opens statements
    session_statements statements about the session: SET, SHOW, BEGIN, DECLARE, FETCH, COPY … TO STDOUT
    client_settings    ClientSettings: the settings of a client
    portals            Portal: a statement that runs, and its rows
    statement_runner   runs SQL and commands on a restricted session, and records them
    wire_types         types of PostgreSQL for those of DuckDB, and values as bytes
    parameters         values of parameters, and types of those that have none
    sqlstates          SQLSTATE of errors
    copy_formats       rows of COPY … TO STDOUT: text, csv, binary
    catalog            pg_catalog and information_schema (a package)

Start with server.PostgresServer, then connection and client_session. pygwire is imported by modules
of this package only, psycopg by catalog. One thread and one DuckDB a client.
May import: servers.statements, servers.users, servers.passwords, servers.event_log and what they may import.
"""
