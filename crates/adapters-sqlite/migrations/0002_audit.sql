-- The audit log, what waits for it, and the triggers that keep evidence and log.
--
-- SQLite drops a row that REPLACE displaces without a word unless the connection asks for it, and
-- every connection decides that for itself. So nothing here rests on a DELETE trigger alone: a
-- BEFORE INSERT trigger, which always runs, refuses to displace anything.

CREATE TABLE audit_events (
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

    CONSTRAINT audit_events_severity CHECK (severity IN ('info', 'warning', 'critical')),
    CONSTRAINT audit_events_salt CHECK (length(salt) = 16)
) STRICT;

CREATE INDEX audit_events_project ON audit_events (project_id, id) WHERE project_id IS NOT NULL;
CREATE INDEX audit_events_milestone ON audit_events (milestone_id, id)
    WHERE milestone_id IS NOT NULL;
CREATE INDEX audit_events_actor ON audit_events (actor_id, id);
CREATE INDEX audit_events_resource ON audit_events (resource_type, resource_id, id);

-- What waits for the log: the columns of the log but the time of recording, which is not yet.
CREATE TABLE audit_outbox (
    position        INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    milestone_id    TEXT,
    project_id      TEXT,
    occurred_at     INTEGER NOT NULL,
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

    CONSTRAINT audit_outbox_severity CHECK (severity IN ('info', 'warning', 'critical')),
    CONSTRAINT audit_outbox_salt CHECK (length(salt) = 16)
) STRICT;

CREATE INDEX audit_outbox_project ON audit_outbox (project_id, id) WHERE project_id IS NOT NULL;
CREATE INDEX audit_outbox_milestone ON audit_outbox (milestone_id, id)
    WHERE milestone_id IS NOT NULL;

-- What waits for its place in the public tree.
CREATE TABLE audit_pending (
    event_id TEXT NOT NULL PRIMARY KEY,
    leaf     BLOB NOT NULL,

    CONSTRAINT audit_pending_leaf CHECK (length(leaf) = 32)
) STRICT, WITHOUT ROWID;

-- The log and the evidence are append-only.
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM audit_events WHERE rowid = NEW.rowid)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: what is recorded stays');
END;
CREATE TRIGGER milestone_evidence_no_update BEFORE UPDATE ON milestone_evidence
BEGIN
    SELECT RAISE(ABORT, 'milestone_evidence is append-only: what is recorded stays');
END;
CREATE TRIGGER milestone_evidence_no_delete BEFORE DELETE ON milestone_evidence
BEGIN
    SELECT RAISE(ABORT, 'milestone_evidence is append-only: what is recorded stays');
END;
CREATE TRIGGER milestone_evidence_no_replace BEFORE INSERT ON milestone_evidence
WHEN EXISTS (SELECT 1 FROM milestone_evidence
    WHERE milestone_id = NEW.milestone_id AND version = NEW.version)
BEGIN
    SELECT RAISE(ABORT, 'milestone_evidence is append-only: what is recorded stays');
END;

-- What the foreign key to the evidence cannot see: a change without a new version, a row that
-- vanishes, a row that comes back or takes another's place.
CREATE TRIGGER milestones_next_version BEFORE UPDATE ON milestones
WHEN NEW.version <> OLD.version + 1
    OR NEW.id <> OLD.id OR NEW.project_id <> OLD.project_id OR NEW.number <> OLD.number
BEGIN
    SELECT RAISE(ABORT, 'a change of a milestone is its next version and keeps its place');
END;
CREATE TRIGGER milestones_keep_transfers BEFORE UPDATE ON milestones
WHEN EXISTS (SELECT 1 FROM milestones WHERE project_id = NEW.project_id
    AND transfer_reference = NEW.transfer_reference AND id <> NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the transfer reference is another milestone''s');
END;
CREATE TRIGGER milestones_absence BEFORE DELETE ON milestones
WHEN NOT EXISTS (SELECT 1 FROM milestone_evidence
    WHERE milestone_id = OLD.id AND version = OLD.version + 1)
BEGIN
    SELECT RAISE(ABORT, 'a milestone goes with evidence of its absence');
END;
CREATE TRIGGER milestones_first_version BEFORE INSERT ON milestones
WHEN NEW.version <> 1
    OR EXISTS (SELECT 1 FROM milestones WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM milestones WHERE project_id = NEW.project_id AND number = NEW.number)
    OR EXISTS (SELECT 1 FROM milestones WHERE rowid = NEW.rowid)
    OR EXISTS (SELECT 1 FROM milestone_evidence WHERE milestone_id = NEW.id AND version > 1)
BEGIN
    SELECT RAISE(ABORT, 'a milestone begins at version 1, in a place of its own');
END;
