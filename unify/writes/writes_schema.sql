-- The tables of writes.db, one section a schema version. A released section is never changed.
-- Moments are microseconds since 1970, UTC.

-- name: 1
CREATE TABLE write (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    uid          TEXT NOT NULL UNIQUE,
    tenant       TEXT NOT NULL,
    connection   TEXT NOT NULL,
    table_name   TEXT NOT NULL,
    mode         TEXT NOT NULL,
    origin       TEXT NOT NULL,
    state        TEXT NOT NULL CHECK
                 (state IN ('planned', 'approved', 'running', 'done', 'failed', 'cancelled')),
    name         TEXT NOT NULL DEFAULT '',
    rows         INTEGER NOT NULL,
    requested_by TEXT NOT NULL DEFAULT '',
    approved_by  TEXT NOT NULL DEFAULT '',
    attempt      INTEGER NOT NULL DEFAULT 0,
    requests     INTEGER NOT NULL DEFAULT 0,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    undo_of      INTEGER,
    refreshes    INTEGER NOT NULL DEFAULT 0,
    error        TEXT NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    approved_at  INTEGER,
    started_at   INTEGER,
    finished_at  INTEGER
);
CREATE INDEX write_open ON write (tenant, connection, table_name, id) WHERE state IN ('approved', 'running');

CREATE TABLE write_row (
    write      INTEGER NOT NULL REFERENCES write (id),
    number     INTEGER NOT NULL,
    action     TEXT NOT NULL,
    vals       TEXT NOT NULL,
    key        TEXT NOT NULL,
    before     TEXT,
    state      TEXT NOT NULL DEFAULT 'planned',
    batch      TEXT,
    attempts   INTEGER NOT NULL DEFAULT 0,
    status     INTEGER,
    created    TEXT NOT NULL DEFAULT '{}',
    message    TEXT NOT NULL DEFAULT '',
    sent_at    INTEGER,
    settled_at INTEGER,
    PRIMARY KEY (write, number)
) WITHOUT ROWID;
CREATE INDEX write_row_open ON write_row (write, state, number) WHERE state IN ('planned', 'sent');

-- name: 2
-- What an export with a name has written: the last acknowledged state of each row.
ALTER TABLE write_row ADD COLUMN identity TEXT NOT NULL DEFAULT '';
ALTER TABLE write_row ADD COLUMN content TEXT NOT NULL DEFAULT '';
ALTER TABLE write_row ADD COLUMN leaves INTEGER NOT NULL DEFAULT 0;
CREATE TABLE written_row (
    tenant     TEXT NOT NULL,
    connection TEXT NOT NULL,
    table_name TEXT NOT NULL,
    name       TEXT NOT NULL,
    identity   TEXT NOT NULL,
    vals       TEXT NOT NULL,
    key        TEXT NOT NULL,
    content    TEXT NOT NULL,
    write      INTEGER NOT NULL,
    is_known   INTEGER NOT NULL,
    PRIMARY KEY (tenant, connection, table_name, name, identity)
) WITHOUT ROWID;
CREATE TABLE request (
    write INTEGER NOT NULL REFERENCES write (id),
    at    INTEGER NOT NULL
);
CREATE INDEX request_at ON request (at);
-- When a table of a database was changed by a statement: stored copies that are older are outdated.
CREATE TABLE changed_table (
    name       TEXT PRIMARY KEY,
    changed_at INTEGER NOT NULL
) WITHOUT ROWID;

-- name: 3
-- What a plan was made for and compared with. ``target`` and ``options`` are JSON objects of digests.
ALTER TABLE write ADD COLUMN target TEXT NOT NULL DEFAULT '';
ALTER TABLE write ADD COLUMN baseline TEXT NOT NULL DEFAULT '';
ALTER TABLE write ADD COLUMN is_matched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE write ADD COLUMN digest TEXT NOT NULL DEFAULT '';
ALTER TABLE written_row ADD COLUMN options TEXT NOT NULL DEFAULT '';

-- name: 4
-- Of a statement on a database, which is one transaction: how many rows have which outcome. A JSON object;
-- '' if the rows tell.
ALTER TABLE write ADD COLUMN counts TEXT NOT NULL DEFAULT '';
