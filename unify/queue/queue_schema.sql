-- The queue's tables, one section a schema version. A released section is never changed: a new version gets
-- a section of its own, which migrates the version before it.
-- Moments are microseconds since 1970, UTC.

-- name: 1
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES ('epoch', 0);

CREATE TABLE job (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    uid          TEXT NOT NULL UNIQUE,
    tenant       TEXT NOT NULL,
    action       TEXT NOT NULL,
    connection   TEXT NOT NULL,
    table_name   TEXT NOT NULL,
    origin       TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK
                 (state IN ('queued', 'running', 'publishing', 'done', 'failed', 'cancelled', 'dead')),
    attempt      INTEGER NOT NULL DEFAULT 0,
    failures     INTEGER NOT NULL DEFAULT 0,
    epoch        INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    start_at     INTEGER NOT NULL,
    started_at   INTEGER,
    finished_at  INTEGER,
    waits_for    INTEGER,
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    error        TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX job_active ON job (tenant, connection, table_name, action)
    WHERE state IN ('queued', 'running', 'publishing');
CREATE INDEX job_queued ON job (priority, created_at, id) WHERE state = 'queued';
CREATE INDEX job_busy ON job (tenant, connection, table_name) WHERE state IN ('running', 'publishing');
CREATE INDEX job_waiting ON job (waits_for) WHERE waits_for IS NOT NULL;
CREATE INDEX job_ended ON job (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE schedule (
    tenant     TEXT NOT NULL,
    connection TEXT NOT NULL,
    table_name TEXT NOT NULL,
    origin     TEXT NOT NULL,
    every_s    REAL,
    next_at    INTEGER,
    last_at    INTEGER,
    starting   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, connection, table_name)
) WITHOUT ROWID;

-- name: 2
ALTER TABLE job ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;

-- name: 3
ALTER TABLE schedule ADD COLUMN zone TEXT NOT NULL DEFAULT '';
ALTER TABLE schedule ADD COLUMN first TEXT NOT NULL DEFAULT '';

CREATE TABLE script (
    tenant   TEXT NOT NULL,
    name     TEXT NOT NULL,
    path     TEXT NOT NULL,
    folder   TEXT NOT NULL,
    origin   TEXT NOT NULL,
    every_s  REAL,
    next_at  INTEGER,
    last_at  INTEGER,
    starting TEXT NOT NULL DEFAULT '',
    zone     TEXT NOT NULL DEFAULT '',
    first    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX script_path ON script (tenant, path);

CREATE TABLE script_run (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    path        TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('running', 'success', 'failed', 'interrupted')),
    epoch       INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    exit_status INTEGER,
    output      TEXT NOT NULL DEFAULT '',
    error       TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX script_run_going ON script_run (tenant, name) WHERE status = 'running';
CREATE INDEX script_run_name ON script_run (tenant, name, id);

-- name: 4
-- table_name '': the whole connection.
CREATE TABLE pause (
    tenant     TEXT NOT NULL,
    connection TEXT NOT NULL,
    table_name TEXT NOT NULL,
    paused_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, connection, table_name)
) WITHOUT ROWID;

-- name: 5
-- '', 'held' (failed, but its staged rows are kept) or 'accepted'.
ALTER TABLE job ADD COLUMN held TEXT NOT NULL DEFAULT '';

-- name: 6
-- deaths: daemons that died during the job; boot: of the machine at the claim; unrecorded: the job failed,
-- and the ledger of the lake does not have it yet.
ALTER TABLE job ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN unrecorded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_unrecorded ON job (id) WHERE unrecorded;

-- name: 7
-- statement: what runs instead of a file; after_…: the table after whose loads it runs; variable: an
-- environment variable that it reads.
ALTER TABLE script ADD COLUMN statement TEXT NOT NULL DEFAULT '';
ALTER TABLE script ADD COLUMN after_connection TEXT NOT NULL DEFAULT '';
ALTER TABLE script ADD COLUMN after_table TEXT NOT NULL DEFAULT '';
ALTER TABLE script ADD COLUMN variable TEXT NOT NULL DEFAULT '';

CREATE TABLE sync (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    definition TEXT NOT NULL,
    cursor     TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE sync_run (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('running', 'success', 'success_with_failures', 'fatal')),
    reason     TEXT NOT NULL DEFAULT '',
    read       INTEGER NOT NULL DEFAULT 0,
    filtered   INTEGER NOT NULL DEFAULT 0,
    formatted  INTEGER NOT NULL DEFAULT 0,
    written    INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    write      INTEGER,
    cursor     TEXT NOT NULL DEFAULT '',
    callback   TEXT NOT NULL DEFAULT '',
    pid        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER
);
CREATE INDEX sync_run_name ON sync_run (tenant, name, id);

-- name: 8
-- Runs of which nothing tells whether their rows were added.
ALTER TABLE sync_run ADD COLUMN is_unknown INTEGER NOT NULL DEFAULT 0;

-- name: 9
-- on_demand: it stays scheduled without a due time, until it is triggered by its name.
ALTER TABLE script ADD COLUMN on_demand INTEGER NOT NULL DEFAULT 0;

-- uid: of the folder with the last result; version: its number; sequence: of the last delivery; snapshot:
-- the lake's, up to which the daemon has looked for changes; result_of: that of the last result.
CREATE TABLE watch (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    uid        TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    version    INTEGER NOT NULL DEFAULT 0,
    sequence   INTEGER NOT NULL DEFAULT 0,
    snapshot   INTEGER NOT NULL,
    rows       INTEGER NOT NULL DEFAULT 0,
    result_of  INTEGER NOT NULL,
    looked_at  INTEGER,
    changed_at INTEGER,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE delivery (
    uid          TEXT NOT NULL,
    sequence     INTEGER NOT NULL,
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    target       TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    version      INTEGER NOT NULL,
    inserted     INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    deleted      INTEGER NOT NULL,
    note         TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    next_at      INTEGER,
    delivered_at INTEGER,
    error        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (uid, sequence)
) WITHOUT ROWID;
CREATE INDEX delivery_tenant ON delivery (tenant, created_at);
