"""Writing to databases: how rows become one transaction. The contract is adapters.table_writes.

    conversions  a value of DuckDB as one of a column, exactly, and what may be wrong with it
    statements   the statements of a write in SQL
    sql_writer   SqlWriter: loads rows, straight or staged, and applies them, in one transaction
    session_writer  SessionWriter: an SqlWriter with a connection of its own

Start with sql_writer.SqlWriter; the writers of the systems are in their packages (postgres.writer …).
May import: the modules of adapters.database, and what they may.
"""
