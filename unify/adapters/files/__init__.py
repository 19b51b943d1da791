"""Folders of files and object stores as sources: adapters `files`, `s3`, `gcs`, `azure` …

    paths         paths and patterns within a connection; nothing outside is reached; partitions
    store         the contract of a place with files: list, read, write, copy, remove, sign
    folder        a local folder
    object_store  S3, Google Cloud Storage and Azure Blob Storage, through obstore
    webdav        a folder of a WebDAV server
    sftp          a folder of an SFTP server
    web           files of a web server, by name
    duck_secrets  secrets of DuckDB, and those that keep it from every other address
    tables        which files make up a table
    spool         local copies of files that DuckDB does not read in place
    incremental   which files a load reads: all, or those that are new or changed
    reading       the SELECT over the files of a table, with types found over all rows
    adapter       FileAdapter: tables, relations and loads of one store
    adapters      the adapter classes with their options

Start with adapter.FileAdapter. What changes files is in interpreter.files.
May import: adapters.relation, base, options and spec; language, config, engine, fs and the top-level modules.
"""
