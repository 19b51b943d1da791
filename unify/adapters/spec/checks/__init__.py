"""Checks of a spec that was read: its parts have to be consistent. They send no requests and run no queries.

    spec    names, parents, views, and variables outside the tables
    table   the keys of one table
    job     the job of a table
    write   how a table is written
    sql     one SELECT over the connection's own tables; finds cycles
    values  what all of them use: variables in texts, distinct names, rules for errors

Start with spec.validate_spec. The checks add problems to a ProblemReport.
May import: the other modules of adapters.spec, and what these may import.
"""
