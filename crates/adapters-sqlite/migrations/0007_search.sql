-- Reading the log: what its lists page by, its archive, and who the actors are.

-- An index for each condition that is asked alone, because walking the log for something rare reads
-- all of it.
DROP INDEX audit_events_resource;
CREATE INDEX audit_events_severity ON audit_events (severity, id);
CREATE INDEX audit_events_action ON audit_events (action, id);
CREATE INDEX audit_events_resource_type ON audit_events (resource_type, id);
CREATE INDEX audit_events_resource ON audit_events (resource_id, id) WHERE resource_id IS NOT NULL;

-- What retention took out of the log and kept: the same rows in the same shape.
CREATE TABLE audit_archive (
    id              TEXT    NOT NULL PRIMARY KEY,
    milestone_id    TEXT,
    project_id      TEXT,
    occurred_at     INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    severity        TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    actor_id        TEXT    NOT NULL,
    actor_role      TEXT,
    resource_type   TEXT    NOT NULL,
    resource_id     TEXT,
    previous_status TEXT,
    new_status      TEXT,
    changes         TEXT,
    metadata        TEXT,
    details         TEXT,
    ip_address      TEXT,
    user_agent      TEXT,
    request_id      TEXT,
    salt            BLOB    NOT NULL,

    CONSTRAINT audit_archive_severity CHECK (severity IN ('info', 'warning', 'critical')),
    CONSTRAINT audit_archive_salt CHECK (length(salt) = 16)
) STRICT;

CREATE INDEX audit_archive_project ON audit_archive (project_id, id) WHERE project_id IS NOT NULL;
CREATE INDEX audit_archive_milestone ON audit_archive (milestone_id, id)
    WHERE milestone_id IS NOT NULL;
CREATE INDEX audit_archive_actor ON audit_archive (actor_id, id);
CREATE INDEX audit_archive_severity ON audit_archive (severity, id);
CREATE INDEX audit_archive_action ON audit_archive (action, id);
CREATE INDEX audit_archive_resource_type ON audit_archive (resource_type, id);
CREATE INDEX audit_archive_resource ON audit_archive (resource_id, id) WHERE resource_id IS NOT NULL;

CREATE TRIGGER audit_archive_no_update BEFORE UPDATE ON audit_archive
BEGIN
    SELECT RAISE(ABORT, 'audit_archive is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_archive_no_delete BEFORE DELETE ON audit_archive
BEGIN
    SELECT RAISE(ABORT, 'audit_archive is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_archive_no_replace BEFORE INSERT ON audit_archive
WHEN EXISTS (SELECT 1 FROM audit_archive WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM audit_archive WHERE rowid = NEW.rowid)
BEGIN
    SELECT RAISE(ABORT, 'audit_archive is append-only: what is recorded stays');
END;

-- Who the actors of the events are, as far as their credentials told.
CREATE TABLE actors (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT,
    email      TEXT,
    updated_at INTEGER NOT NULL,

    CONSTRAINT actors_known CHECK (name IS NOT NULL OR email IS NOT NULL)
) STRICT, WITHOUT ROWID;
