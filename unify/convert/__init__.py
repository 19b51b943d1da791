"""Conversion: rows as a source sent them (JSON text) to typed Parquet files with one schema.

    stage       RowStage: takes the pages of one load, converts them in the background; the rules of types
    selection   which fields become columns: `columns`, `exclude` and `only` of a spec
    chunks      collects rows in newline-delimited files of some megabytes
    infer       schema inference: the fields of the rows, and a type that holds all values of each
    exact_json  reads and writes JSON without changing a digit of a number
    decode      checks rows against the inferred schema with msgspec; removes unwanted fields
    layout      ColumnLayout: the columns at one moment; how DuckDB reads the rows into them
    columns     plans names, types and order of the columns; widens the types of earlier loads
    casts       declared types, and SQL that casts a text to a type or to NULL if it does not fit
    sql         SQL that reads a chunk and writes a Parquet file; SQL for cursors and discarded rows
    rewrite     rewrites rows that DuckDB cannot read exactly
    engine      the DuckDB of a conversion: in memory, with a memory limit
    converter   Converter: infers the schema from chunks and writes each as a Parquet file
    preview     converts pages without a lake: for `unify spec try`, `spec test` and live tables

Start with stage.RowStage. The steps of a conversion: infer, columns, sql, converter.
May import: adapters, lake, queue, status, language, config, engine, fs and the top-level modules.
"""
