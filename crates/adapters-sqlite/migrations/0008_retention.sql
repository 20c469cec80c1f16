-- Retention: holds, runs, and what is gone.
--
-- A row leaves the log only for the archive, and the archive only when its leaf record is kept and
-- audit_expired says so; audit_expired takes only what is old, by the clock that is given and by the
-- machine's own, and what no hold touches. So the triggers below are the only way past "append-only",
-- whoever writes.

CREATE TABLE audit_holds (
    id          TEXT    NOT NULL PRIMARY KEY,
    severity    TEXT,
    from_month  TEXT,
    to_month    TEXT,
    project_id  TEXT,
    reason      TEXT    NOT NULL,
    placed_by   TEXT    NOT NULL,
    placed_at   INTEGER NOT NULL,
    lifted_by   TEXT,
    lifted_at   INTEGER,
    lift_reason TEXT,

    CONSTRAINT audit_holds_severity CHECK (severity IN ('info', 'warning', 'critical')),
    CONSTRAINT audit_holds_months CHECK (from_month <= to_month),
    CONSTRAINT audit_holds_lifted CHECK ((lifted_by IS NULL) = (lifted_at IS NULL)
        AND (lifted_at IS NULL) = (lift_reason IS NULL))
) STRICT;
CREATE TRIGGER audit_holds_lifted_once BEFORE UPDATE ON audit_holds
WHEN OLD.lifted_at IS NOT NULL OR NEW.lifted_at IS NULL
    OR NEW.id <> OLD.id OR NEW.severity IS NOT OLD.severity
    OR NEW.from_month IS NOT OLD.from_month OR NEW.to_month IS NOT OLD.to_month
    OR NEW.project_id IS NOT OLD.project_id OR NEW.reason <> OLD.reason
    OR NEW.placed_by <> OLD.placed_by OR NEW.placed_at <> OLD.placed_at
BEGIN
    SELECT RAISE(ABORT, 'a hold is lifted once, and stays');
END;
CREATE TRIGGER audit_holds_no_delete BEFORE DELETE ON audit_holds
BEGIN
    SELECT RAISE(ABORT, 'a hold is lifted once, and stays');
END;
CREATE TRIGGER audit_holds_no_replace BEFORE INSERT ON audit_holds
WHEN EXISTS (SELECT 1 FROM audit_holds WHERE id = NEW.id OR rowid = NEW.rowid)
BEGIN
    SELECT RAISE(ABORT, 'a hold is lifted once, and stays');
END;

CREATE TABLE audit_retention_runs (
    begun           INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    due_at          INTEGER,
    started_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    started_by      TEXT    NOT NULL,
    archived_parts  INTEGER NOT NULL DEFAULT 0,
    archived_events INTEGER NOT NULL DEFAULT 0,
    expired_parts   INTEGER NOT NULL DEFAULT 0,
    expired_events  INTEGER NOT NULL DEFAULT 0,
    held_parts      INTEGER NOT NULL DEFAULT 0,
    failed_parts    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What is gone, for those who miss its rows: several pieces a month, each gone in one transaction.
CREATE TABLE audit_expired (
    id             TEXT    NOT NULL PRIMARY KEY,
    severity       TEXT    NOT NULL,
    month          TEXT    NOT NULL,
    first_id       TEXT    NOT NULL,
    last_id        TEXT    NOT NULL,
    events         INTEGER NOT NULL,
    first_leaf     INTEGER NOT NULL,
    last_leaf      INTEGER NOT NULL,
    keep_days      INTEGER NOT NULL,
    expired_at     INTEGER NOT NULL,
    run_id         TEXT    NOT NULL,
    archive_file   TEXT,
    archive_sha256 BLOB,

    CONSTRAINT audit_expired_events CHECK (events > 0 AND first_id <= last_id),
    CONSTRAINT audit_expired_keep_days CHECK (keep_days > 0),
    CONSTRAINT audit_expired_file CHECK ((archive_file IS NULL) = (archive_sha256 IS NULL)),
    CONSTRAINT audit_expired_sha256 CHECK (length(archive_sha256) = 32)
) STRICT;
CREATE INDEX audit_expired_at ON audit_expired (expired_at);
CREATE INDEX audit_expired_range ON audit_expired (severity, last_id);
CREATE TRIGGER audit_expired_no_update BEFORE UPDATE ON audit_expired
BEGIN
    SELECT RAISE(ABORT, 'audit_expired is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_expired_no_delete BEFORE DELETE ON audit_expired
BEGIN
    SELECT RAISE(ABORT, 'audit_expired is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_expired_no_replace BEFORE INSERT ON audit_expired
WHEN EXISTS (SELECT 1 FROM audit_expired WHERE id = NEW.id OR rowid = NEW.rowid)
BEGIN
    SELECT RAISE(ABORT, 'audit_expired is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_expired_is_old BEFORE INSERT ON audit_expired
WHEN coalesce(unixepoch(NEW.month || '-01', '+1 month') * 1000000 + NEW.keep_days * 86400000000
        > min(NEW.expired_at, unixepoch() * 1000000), 1)
BEGIN
    SELECT RAISE(ABORT, 'the month is not over for as long as its events are kept');
END;
CREATE TRIGGER audit_expired_is_not_held BEFORE INSERT ON audit_expired
WHEN EXISTS (SELECT 1 FROM audit_holds h
    WHERE h.lifted_at IS NULL AND coalesce(h.severity = NEW.severity, 1)
        AND coalesce(h.from_month <= NEW.month, 1) AND coalesce(h.to_month >= NEW.month, 1)
        AND (h.project_id IS NULL OR EXISTS (SELECT 1 FROM audit_archive a
            WHERE a.project_id = h.project_id AND a.severity = NEW.severity
                AND a.id BETWEEN NEW.first_id AND NEW.last_id)))
BEGIN
    SELECT RAISE(ABORT, 'a hold is on the part');
END;

-- What the roll-ups count of events that are gone; the roll-ups themselves stay what they were.
CREATE TABLE audit_rollups_expired (
    expired_id    TEXT    NOT NULL,
    bucket        TEXT    NOT NULL,
    starts_at     INTEGER NOT NULL,
    severity      TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    events        INTEGER NOT NULL,

    PRIMARY KEY (bucket, starts_at, severity, action, resource_type, expired_id)
) STRICT, WITHOUT ROWID;

-- Statistics of what there is: the roll-ups without what is gone. A bucket may come several times,
-- to be taken off.
CREATE VIEW audit_counts AS
    SELECT bucket, starts_at, severity, action, resource_type, events FROM audit_rollups
    UNION ALL
    SELECT bucket, starts_at, severity, action, resource_type, -events FROM audit_rollups_expired
    WHERE expired_id IN (SELECT id FROM audit_expired);

DROP TRIGGER audit_events_no_delete;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
WHEN NOT EXISTS (SELECT 1 FROM audit_archive a
    WHERE a.id = OLD.id AND a.milestone_id IS OLD.milestone_id AND a.project_id IS OLD.project_id
        AND a.occurred_at IS OLD.occurred_at AND a.recorded_at IS OLD.recorded_at
        AND a.severity IS OLD.severity AND a.action IS OLD.action AND a.actor_id IS OLD.actor_id
        AND a.actor_role IS OLD.actor_role AND a.resource_type IS OLD.resource_type
        AND a.resource_id IS OLD.resource_id AND a.previous_status IS OLD.previous_status
        AND a.new_status IS OLD.new_status AND a.changes IS OLD.changes
        AND a.metadata IS OLD.metadata AND a.details IS OLD.details
        AND a.ip_address IS OLD.ip_address AND a.user_agent IS OLD.user_agent
        AND a.request_id IS OLD.request_id AND a.salt IS OLD.salt)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only: what is recorded stays');
END;
DROP TRIGGER audit_archive_no_delete;
CREATE TRIGGER audit_archive_no_delete BEFORE DELETE ON audit_archive
WHEN NOT EXISTS (SELECT 1 FROM audit_expired e
        WHERE e.severity = OLD.severity AND e.last_id >= OLD.id AND e.first_id <= OLD.id)
    OR NOT EXISTS (SELECT 1 FROM audit_leaf_records r JOIN audit_leaves l USING (leaf_index)
        WHERE l.event_id = OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_archive is append-only: what is recorded stays');
END;
