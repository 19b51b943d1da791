"""Attaching the lake to a DuckDB connection.

    attach        LakeAttachment: for writing, for reading, restricted, or creating the lake
    new_lake      the tables and options of a new lake
    catalog_copy  copies of the catalog: for folders that cannot be written, and for restricted connections
    restricted    a connection that can reach the files of the lake and nothing else

Start with attach.LakeAttachment.attach. May import: names and ledger of the lake, its integrity, and what the
lake may import.
"""
