"""A home folder as a whole: checked, repaired, backed up and restored.

    report           Finding and HomeReport: what a check found, and what heals it
    databases        copies of SQLite files as of one commit, and their integrity
    catalog_copy     a copy of the lake's catalog, and the data files that it names
    catalog_check    the catalog: missing, damaged, of another lake, an older copy
    data_files       data files: missing, of another size, unreadable, unknown to the catalog
    ledger_check     the ledger against the tables
    check            check_home(): all of these, the queue, saved variables, staging and permissions
    archive          the archive: its members, their checksums, and the names that they may have
    backup           write_backup(): an archive of a home as of one commit
    literal_secrets  secrets that connections.yaml and notify.yaml hold in plain text
    restore          restore_home(): a home from an archive, put in place by one rename
    repair           repair_home(): what a check found and can be repaired without loss

Start with check.check_home. No network is used, and no file of the home is changed unless a function says so.
May import: load, adapters, lake, queue, status, config, engine, fs and the top-level modules.
"""
