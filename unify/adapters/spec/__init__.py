"""Spec language: the YAML that describes an API, from the file to a checked AdapterSpec. No HTTP.

    model           AdapterSpec, TableSpec and their parts: a checked spec with its defaults
    loader          finds, reads and checks spec files; caches a summary of each on disk
    schema          the kinds of schema that keys have: text, number, list, object, union
    keys            every key of the language: its schema, default, meaning and an example
    request_keys    the same for the keys of requests: auth, paging, limits, errors
    parse           reads YAML nodes against the schema; collects every problem with line and column
    formats         the format of single texts: names, durations, URLs, paths, column types, numbers
    build           builds the AdapterSpec from the values that were read
    validate        checks that the parts of a spec are consistent, such as names, references and views
    validate_table  checks that the parts of one table are consistent, and the variables in its texts
    sql             checks SQL in a spec: one SELECT over the connection's own tables; finds cycles
    template        `{name}` variables in texts and request bodies: found, and replaced by values

Start with model.AdapterSpec, then loader.read_spec. rest_specs/README.md documents the language.
May import: language, config, engine, fs and the top-level modules.
"""
