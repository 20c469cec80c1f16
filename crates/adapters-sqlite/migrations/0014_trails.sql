-- Assessment trails: what a language model said of a project, why, and what it cost; and what each
-- project's trails spent, by hour and day.
--
-- SQLite has no exact decimals, and its integers end at 2^63. So a cost is whole units and 10^-12
-- units, and a sum is several integers of which each has room: sums of such columns over millions of
-- rows are exact.

CREATE TABLE assessment_trails (
    message_id                  TEXT    NOT NULL PRIMARY KEY,
    project_id                  TEXT    NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    model                       TEXT,
    reasoning_traces            TEXT,
    context_layers              TEXT,
    -- A total is the sum of both, and so is not kept.
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

-- A project's newest, and the parts of hours at the ends of a range.
CREATE INDEX assessment_trails_project_time
    ON assessment_trails (project_id, created_at, message_id);
-- The oldest, for the clean-up.
CREATE INDEX assessment_trails_time ON assessment_trails (created_at);

-- Sums of the trails that a project has or had, by the hour and by the day of their creation, in UTC.
-- A day's sum is the sum of its hours'. Without a model: placeholders, whatever their model. Tokens are
-- billions and a rest, costs are billions of units, units, and trillionths.
CREATE TABLE trail_rollups (
    project_id                  TEXT    NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
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

-- The oldest hours, for the clean-up.
CREATE INDEX trail_rollups_time ON trail_rollups (starts_at) WHERE bucket = 'hour';

-- Which daily clean-ups there were: each ends once, in whatever process.
CREATE TABLE trail_clean_ups (
    due_at     INTEGER NOT NULL PRIMARY KEY,
    held_until INTEGER,
    ended_at   INTEGER,
    trails     INTEGER,

    CONSTRAINT trail_clean_ups_ended CHECK (
        (ended_at IS NULL) = (trails IS NULL) AND (trails IS NULL OR trails >= 0))
) STRICT;
