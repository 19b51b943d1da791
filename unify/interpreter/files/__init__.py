"""Files: import of files into tables, export of rows to files.

    importer  `import` and `show files`: creates or extends a table from files
    reader    the SELECT that reads files with exact types; local files, globs and URLs
    exporter  `export`: writes the rows of a SELECT to a file
    writer    file formats by suffix; replaces or extends a file atomically
    excel     Excel workbooks, with the optional package openpyxl

Start with importer.FileImporter and exporter.FileExporter.
May import: interpreter.connections, variables, results, freshness and system_columns; adapters, lake, queue,
status, language, config, engine, fs and the top-level modules; not convert or load.
"""
