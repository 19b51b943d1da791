"""Adapters: sources of rows, and which adapter serves which connection.

    base      the contract: Adapter, Page, Read, TableConfig (load settings), UserPrompt (sign-in)
    options   checks the options of a connection against its adapter, and resolves their values
    registry  opens the adapter of a connection: a spec, a built-in class or that of an installed package
    write_target  what a write is planned for: the account, and how the table is written
    plugins   adapter classes of installed packages (entry point group `unify.adapters`)
    spec      the YAML language that describes a REST API
    built_in  the adapters of databases, stores and mail by name
    relation  the contract of databases and stores: RelationalAdapter, whose tables DuckDB reads
    table_writes  the contract of databases whose tables are written: DatabaseWriter
    table_settings  the settings of a table against its columns: what is wrong, and what a load reads
    database  databases: the built-in relational adapters
    files     folders of files and object stores: further built-in relational adapters
    mail      results as mails over SMTP
    rest      RESTAdapter: reads the tables of a spec
    paging    pagination: which request comes next
    formats   records of a response body: JSON, JSON lines, CSV, XML
    http      the HTTP client: retries, rate limits, deadlines, request log
    auth      authentication: static credentials, OAuth 2, JWT, AWS signatures

Start with base.Adapter, then registry.open_adapter.
Layers within the package, top first: write_target; registry; built_in; database, files, mail and rest;
table_settings; relation, auth and plugins; http; formats; paging, base, options and table_writes; spec.
May import: language, config, engine, fs and the top-level modules.
"""
