"""Files as DuckDB reads them: what format they have, and the SELECT that keeps every value.

    formats  file formats and compressions, by suffix and by the first bytes; table names from file names
    scan     the SELECT that reads files of one format, with types found over all rows
    excel    Excel workbooks, with the optional package openpyxl

Start with scan.build_file_query. `import`, `export` and the connections to files and object stores use it.
May import: engine and the top-level modules.
"""
