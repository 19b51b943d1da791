"""DuckDB: what concerns the DuckDB library itself, without the warehouse.

    duckdb      the part of DuckDB's Python API that Unify uses, without what it need not import
    connection  opens and configures DuckDB, loads its extensions, quotes text as SQL literals
    types       DuckDB type names as a tree; casts that fetch values without loss; quoted identifiers
    nested      SQL that converts parts of nested values, such as those that Python cannot hold
    widening    the narrowest type that holds the values of two types; SQL that converts to it
    tokens      a statement split by DuckDB's tokenizer; the table of CREATE TABLE and ALTER TABLE
    statements  what a statement is: its kind, whether it writes, gives rows, reads a pipe
    constant_runs  long lists of constants, skipped where a statement is searched for tables and words
    exact       types that Parquet cannot store exactly, such as HUGEINT: converted or rejected
    stored_types  the type in which the lake stores the values of a DuckDB type exactly
    files       file formats, and the SELECT that reads files with exact types
    sources     detects statements whose source, such as a pipe, can be read only once
    volatility  detects functions, such as nextval, for which a statement is not run twice
    unsupported  what a lake does not support, with the statement that works instead
    errors      translates DuckDB's exceptions to the errors of unify.errors

Start with connection.connect.
May import: the top-level modules (errors, model, text, durations, redaction, version).
"""
