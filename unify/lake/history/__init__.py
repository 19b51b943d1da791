"""Earlier versions of the lake: what a table was, and which tables have changed.

    versions        table_at(): the names of a table and of its columns at a time
    changed_tables  find_changed_tables(): which tables have changed since a snapshot
    first_load      repairs the history of lakes made by earlier versions

Start with versions.table_at. May import: lake.protocols and catalog, and what the lake may import.
"""
