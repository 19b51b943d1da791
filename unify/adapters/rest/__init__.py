"""REST adapter: reads the tables of a spec as pages of undecoded rows.

    opening          opens the RESTAdapter of a connection: options, limits, timeouts, hints
    adapter          RESTAdapter: lists tables, reads pages, checks credentials, signs in
    table_source     TableSource: a table of a spec prepared for a connection
    request_builder  builds a request from the spec, options, parent row, page and cursor
    read_plan        ReadPlan: the scopes of a read (`for_each` row, time window), their requests, in words
    scope_reader     ScopeReader: reads the pages of one scope
    response_page    ResponsePageInfo: one response as a page, and what identifies its rows
    rows             which rows of a page are kept, and columns that are computed from them
    jobs             jobs of the API, whose result is a table
    page_fetcher     PageFetcher: threads that fetch pages of several scopes, in the order of each scope
    shared_responses  responses that several tables of one request read
    deleted_rows     the list of deleted rows of a table
    row_writer       RowWriter: rows of a write as requests
    write_outcomes   reads from a response what became of each row of a write
    incremental      the value of `{cursor}` in a request; time windows; timestamp formats
    pushdown         conditions of a query as parameters of the request

Start with adapter.RESTAdapter.pages.
May import: adapters.auth, plugins, http, formats, paging, base, options and spec; language, config, engine,
fs and the top-level modules.
"""
