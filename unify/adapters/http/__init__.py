"""HTTP: one request at a time, with deadlines, retries, rate limits and a request log.

    messages     Request, Response, client options; Authentication, the base class of all auth strategies
    client       HttpClient: sends a request with auth, redirects, retries and rate limits
    session      sends one request over a pooled connection and reads the body, up to a size limit
    deadlines    shuts down the socket of a request at its deadline or when it is cancelled
    retry        decides whether to accept a response, retry or give up; reads rate limit headers
    error_rules  matches the `errors` rules of a spec with a response, outside its rows
    rate_limit   request rate limits, shared by all worker processes
    concurrency  the limit of concurrent requests, shared by all worker processes
    errors       errors of failed responses and of the HTTP libraries, with a message that says what to do
    webhook      posts JSON to an address, signed
    request_log  the latest requests, in files of the home folder: the system table `request_log`

Start with client.HttpClient.fetch. Only session sends anything.
May import: adapters.formats, paging, base, options and spec; language, config, engine, fs and the top-level
modules.
"""
