"""Spec language: the YAML that describes an API, from the file to a checked AdapterSpec. No HTTP.

    model           AdapterSpec and TableSpec: the keys of the language, and a spec that was read
    table_keys      the keys of a table that are mappings, such as for_each and incremental
    elements        options and views, which summaries of specs have too
    auth            the authentication schemes and their keys
    paging          the pagination styles and their keys
    job             the job whose result a table reads, and its keys
    write           how rows are written, and its keys
    schema          derives the schema of a Struct's keys: text, number, list, object, union
    moments         times: what texts of APIs mean, and how they are written in requests
    formats         the formats of texts: names, durations, URLs, paths, column types, numbers
    loader          finds, reads and checks spec files; caches a summary of each on disk
    parse           reads YAML nodes as Structs; collects every problem with line and column
    checks          checks that the parts of a spec are consistent, such as names, references and variables
    expressions     checks an SQL expression over the columns of a row
    template        `{name}` variables in texts and request bodies: found, and replaced by values

Start with model.AdapterSpec, then loader.load_spec. rest_specs/README.md documents the language.
May import: language, config, engine, fs and the top-level modules.
"""
