"""Pagination: which request comes next. Nothing in here sends anything.

    base        PageRequest, PageInfo, Paginator, PagingState: the contract of a paginator
    paginators  make_paginator(): the paginator of a `paging` section; cursors and next links
    numbered    page numbers and offsets, which can be fetched in parallel
    links       the Link header (RFC 8288) and URLs of the next page in a body
    hints       what the first response says of more pages
    hint_names  which members and headers are hints
    ways        rules: how hints become a `paging` section
    envelopes   well-known APIs whose responses do not name their parameters
    detect      `paging: auto`: follows the hints of the first response, or fails and names them
    row_tally   compares the rows that came with the total that the API reports
    loop_guard  stops at a server that returns the first page again

Start with base.Paginator and paginators.make_paginator; rest.scope_reader drives them.
May import: adapters.spec; language, config, engine, fs and the top-level modules.
"""
