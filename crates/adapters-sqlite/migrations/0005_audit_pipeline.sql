-- The audit pipeline: what the log refuses, what has its number, the roll-ups, and what each process
-- tells of itself.

-- What has its place in the public tree. Leaves stay for ever.
CREATE TABLE audit_leaves (
    leaf_index INTEGER NOT NULL PRIMARY KEY,
    event_id   TEXT    NOT NULL UNIQUE,
    leaf       BLOB    NOT NULL,

    CONSTRAINT audit_leaves_index CHECK (leaf_index >= 0),
    CONSTRAINT audit_leaves_leaf CHECK (length(leaf) = 32)
) STRICT;

CREATE TRIGGER audit_leaves_no_update BEFORE UPDATE ON audit_leaves
BEGIN
    SELECT RAISE(ABORT, 'audit_leaves is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_leaves_no_delete BEFORE DELETE ON audit_leaves
BEGIN
    SELECT RAISE(ABORT, 'audit_leaves is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_leaves_no_replace BEFORE INSERT ON audit_leaves
WHEN EXISTS (SELECT 1 FROM audit_leaves WHERE event_id = NEW.event_id)
    OR EXISTS (SELECT 1 FROM audit_leaves WHERE leaf_index = NEW.leaf_index)
BEGIN
    SELECT RAISE(ABORT, 'audit_leaves is append-only: what is recorded stays');
END;

-- Statistics: how many events there were in each hour and each day (UTC) of occurred_at.
CREATE TABLE audit_rollups (
    bucket        TEXT    NOT NULL,
    starts_at     INTEGER NOT NULL,
    severity      TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    events        INTEGER NOT NULL,

    PRIMARY KEY (bucket, starts_at, severity, action, resource_type),
    CONSTRAINT audit_rollups_bucket CHECK (bucket IN ('hour', 'day')),
    CONSTRAINT audit_rollups_starts_at CHECK (
        starts_at % (CASE bucket WHEN 'hour' THEN 3600000000 ELSE 86400000000 END) = 0),
    CONSTRAINT audit_rollups_events CHECK (events > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_dead_letters (
    id        TEXT    NOT NULL PRIMARY KEY,
    event_id  TEXT,
    content   TEXT    NOT NULL,
    error     TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    buried_at INTEGER NOT NULL,

    CONSTRAINT audit_dead_letters_source CHECK (source IN ('queue', 'spool', 'outbox'))
) STRICT;
-- An id may be two events': what differs is kept apart.
CREATE UNIQUE INDEX audit_dead_letters_event ON audit_dead_letters (event_id, content)
    WHERE event_id IS NOT NULL;

CREATE TABLE audit_reports (
    process TEXT    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    report  TEXT    NOT NULL
) STRICT;
