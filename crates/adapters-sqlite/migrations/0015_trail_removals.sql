-- A project goes at once, however many trails it has: they are no longer there for anybody, and are
-- deleted in batches after it.

CREATE TABLE trail_removals (
    project_id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- SQLite takes no constraint away from a table, so both are made anew without their foreign keys.
CREATE TABLE assessment_trails_alone (
    message_id                  TEXT    NOT NULL PRIMARY KEY,
    project_id                  TEXT    NOT NULL,
    model                       TEXT,
    reasoning_traces            TEXT,
    context_layers              TEXT,
    prompt_tokens               INTEGER,
    completion_tokens           INTEGER,
    prompt_cost_units           INTEGER,
    prompt_cost_trillionths     INTEGER,
    completion_cost_units       INTEGER,
    completion_cost_trillionths INTEGER,
    created_at                  INTEGER NOT NULL,
    completed_at                INTEGER,
    updated_at                  INTEGER NOT NULL,
    version                     INTEGER NOT NULL,

    CONSTRAINT assessment_trails_tokens CHECK (
        (prompt_tokens IS NULL) = (completion_tokens IS NULL)
        AND prompt_tokens >= 0 AND completion_tokens >= 0
        AND prompt_tokens + completion_tokens <= 9007199254740991),
    CONSTRAINT assessment_trails_cost CHECK (
        (prompt_cost_units IS NULL) = (prompt_cost_trillionths IS NULL)
        AND (prompt_cost_units IS NULL) = (completion_cost_units IS NULL)
        AND (prompt_cost_units IS NULL) = (completion_cost_trillionths IS NULL)
        AND prompt_cost_units >= 0 AND completion_cost_units >= 0
        AND prompt_cost_units + completion_cost_units < 1000000000000000000
        AND prompt_cost_trillionths BETWEEN 0 AND 999999999999
        AND completion_cost_trillionths BETWEEN 0 AND 999999999999),
    CONSTRAINT assessment_trails_completed CHECK ((completed_at IS NOT NULL)
        = (model IS NOT NULL AND prompt_tokens IS NOT NULL AND prompt_cost_units IS NOT NULL)),
    CONSTRAINT assessment_trails_version CHECK (version >= 1)
) STRICT;

INSERT INTO assessment_trails_alone SELECT * FROM assessment_trails;
DROP TABLE assessment_trails;
ALTER TABLE assessment_trails_alone RENAME TO assessment_trails;
CREATE INDEX assessment_trails_project_time
    ON assessment_trails (project_id, created_at, message_id);
CREATE INDEX assessment_trails_time ON assessment_trails (created_at);

CREATE TABLE trail_rollups_alone (
    project_id                  TEXT    NOT NULL,
    bucket                      TEXT    NOT NULL,
    starts_at                   INTEGER NOT NULL,
    model                       TEXT    NOT NULL,
    messages                    INTEGER NOT NULL,
    open                        INTEGER NOT NULL,
    prompt_tokens_billions      INTEGER NOT NULL,
    prompt_tokens               INTEGER NOT NULL,
    completion_tokens_billions  INTEGER NOT NULL,
    completion_tokens           INTEGER NOT NULL,
    prompt_cost_billions        INTEGER NOT NULL,
    prompt_cost_units           INTEGER NOT NULL,
    prompt_cost_trillionths     INTEGER NOT NULL,
    completion_cost_billions    INTEGER NOT NULL,
    completion_cost_units       INTEGER NOT NULL,
    completion_cost_trillionths INTEGER NOT NULL,

    PRIMARY KEY (project_id, bucket, starts_at, model),
    CONSTRAINT trail_rollups_bucket CHECK (bucket IN ('hour', 'day')),
    CONSTRAINT trail_rollups_sums CHECK (messages >= 0 AND open >= 0
        AND prompt_tokens_billions >= 0 AND prompt_tokens BETWEEN 0 AND 999999999
        AND completion_tokens_billions >= 0 AND completion_tokens BETWEEN 0 AND 999999999
        AND prompt_cost_billions >= 0 AND prompt_cost_units BETWEEN 0 AND 999999999
        AND prompt_cost_trillionths BETWEEN 0 AND 999999999999
        AND completion_cost_billions >= 0 AND completion_cost_units BETWEEN 0 AND 999999999
        AND completion_cost_trillionths BETWEEN 0 AND 999999999999)
) STRICT, WITHOUT ROWID;

INSERT INTO trail_rollups_alone SELECT * FROM trail_rollups;
DROP TABLE trail_rollups;
ALTER TABLE trail_rollups_alone RENAME TO trail_rollups;
CREATE INDEX trail_rollups_time ON trail_rollups (starts_at) WHERE bucket = 'hour';

CREATE TRIGGER projects_leave_trails AFTER DELETE ON projects
BEGIN
    INSERT OR IGNORE INTO trail_removals (project_id) VALUES (OLD.id);
END;

-- As the foreign key did, and of a changed trail too.
CREATE TRIGGER assessment_trails_of_project BEFORE INSERT ON assessment_trails
WHEN NOT EXISTS (SELECT 1 FROM projects WHERE id = NEW.project_id)
BEGIN
    SELECT RAISE(ABORT, 'a trail of a project that is not there');
END;
CREATE TRIGGER assessment_trails_changed_of_project BEFORE UPDATE ON assessment_trails
WHEN NOT EXISTS (SELECT 1 FROM projects WHERE id = NEW.project_id)
BEGIN
    SELECT RAISE(ABORT, 'a trail of a project that is not there');
END;
