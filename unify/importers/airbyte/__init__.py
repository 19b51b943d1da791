"""Imports Airbyte declarative manifests (YAML). No template engine and no Python of theirs is run.

    manifest        reads a manifest: $ref, $parameters, types, streams
    known           components in Python whose meaning is known
    streams         the whole import: streams to tables
    stream_builder  one stream: its parts put together
    options         options of the connection specification, and what conditions assume of them
    context         folds the texts of a component to templates of the spec language
    requests        addresses, parameters, headers and bodies
    auth            authenticators
    partitions      partition routers as for_each
    paginators      paginators as paging
    stop_rules      conditions that end the pages
    cursors         time cursors as incremental
    records         extractors, filters, transformations, schemas
    error_rules     error handlers as errors
    jinja           Jinja expressions

Start with streams.import_airbyte. May import: importers.common, importers.model and the top-level modules.
"""
