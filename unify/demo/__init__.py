"""Sample API: an HTTP server that imitates GitHub's API, with invented data.

    server        the process: `python -m unify.demo.server` on 127.0.0.1
    routes        the response to each path, without a network
    listing       list requests: filters, order, pages, Link header
    searching     search requests: words and qualifiers such as `is:open`
    data          the records: accounts, repositories, issues, pull requests, commits
    world         generates the sample data; the same on every machine
    words         the names and texts of the sample data
    shapes        accounts as JSON; JSON encoding
    repo_shapes   repositories, commits, labels and milestones as JSON
    issue_shapes  issues and pull requests as JSON

Start with server.serve, then routes.Routes.
May import: nothing of unify outside demo.
"""
