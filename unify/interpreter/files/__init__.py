"""Files: import of files into tables, export of rows to files.

    importer  `import` and `show files`: creates or extends a table from files
    reader    the files of an import: local files, globs, pipes and URLs
    stores    files of connections: lists, copies, removes, signs; import from and export to them
    table_targets  `export` to a table of a folder or store: new files, and the removal of old ones
    exporter  `export`: writes the rows of a SELECT to a file
    writer    replaces or extends a file atomically

Start with importer.FileImporter and exporter.FileExporter.
May import: interpreter.connections, variables, results, freshness and system_columns; adapters, lake, queue,
status, language, config, engine, fs and the top-level modules; not convert or load.
"""
