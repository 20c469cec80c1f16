-- Assessment trails: what a language model said of a project, why, and what it cost; and what each
-- project's trails spent, by hour and day.

CREATE TABLE assessment_trails (
    message_id        uuid           PRIMARY KEY,
    project_id        uuid           NOT NULL,
    model             text           COLLATE "C",
    -- As text, not jsonb: read back byte for byte, never searched.
    reasoning_traces  text,
    context_layers    text,
    -- A total is the sum of both, and so is not kept.
    prompt_tokens     bigint,
    completion_tokens bigint,
    prompt_cost       numeric(30, 12),
    completion_cost   numeric(30, 12),
    created_at        timestamptz    NOT NULL,
    completed_at      timestamptz,
    updated_at        timestamptz    NOT NULL,
    version           bigint         NOT NULL,

    CONSTRAINT assessment_trails_project FOREIGN KEY (project_id)
        REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT assessment_trails_tokens CHECK (CASE
        WHEN num_nulls(prompt_tokens, completion_tokens) = 2 THEN true
        ELSE num_nulls(prompt_tokens, completion_tokens) = 0
            AND prompt_tokens >= 0 AND completion_tokens >= 0
            AND prompt_tokens + completion_tokens <= 9007199254740991 END),
    CONSTRAINT assessment_trails_cost CHECK (CASE
        WHEN num_nulls(prompt_cost, completion_cost) = 2 THEN true
        ELSE num_nulls(prompt_cost, completion_cost) = 0
            AND prompt_cost >= 0 AND completion_cost >= 0
            AND prompt_cost + completion_cost < 1000000000000000000 END),
    CONSTRAINT assessment_trails_completed CHECK (
        (completed_at IS NOT NULL) = (num_nulls(model, prompt_tokens, prompt_cost) = 0)),
    CONSTRAINT assessment_trails_version CHECK (version >= 1)
) WITH (fillfactor = 90); -- a placeholder is completed in place: room for it on the page

-- Documents take up to 256 KiB each: this is faster than what is the default, where the
-- server has it.
DO $$
BEGIN
    ALTER TABLE assessment_trails
        ALTER COLUMN reasoning_traces SET COMPRESSION lz4,
        ALTER COLUMN context_layers SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

-- A project's newest, and the parts of hours at the ends of a range.
CREATE INDEX assessment_trails_project_time
    ON assessment_trails (project_id, created_at, message_id);
-- The oldest, for the clean-up.
CREATE INDEX assessment_trails_time ON assessment_trails (created_at);

-- Sums of the trails that a project has or had, by the hour and by the day of their creation, in UTC.
-- A day's sum is the sum of its hours'. Without a model: placeholders, whatever their model. Nothing
-- refuses a negative number here: it would refuse what lowers a sum before it has found it.
CREATE TABLE trail_rollups (
    project_id        uuid            NOT NULL,
    bucket            text            COLLATE "C" NOT NULL,
    starts_at         timestamptz     NOT NULL,
    model             text            COLLATE "C" NOT NULL,
    messages          bigint          NOT NULL,
    open              bigint          NOT NULL,
    prompt_tokens     numeric(39)     NOT NULL,
    completion_tokens numeric(39)     NOT NULL,
    prompt_cost       numeric(51, 12) NOT NULL,
    completion_cost   numeric(51, 12) NOT NULL,

    CONSTRAINT trail_rollups_pkey PRIMARY KEY (project_id, bucket, starts_at, model),
    CONSTRAINT trail_rollups_project FOREIGN KEY (project_id)
        REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT trail_rollups_bucket CHECK (bucket IN ('hour', 'day'))
) WITH (fillfactor = 50); -- updated in place by every trail

-- The oldest hours, for the clean-up.
CREATE INDEX trail_rollups_time ON trail_rollups (starts_at) WHERE bucket = 'hour';

-- Which daily clean-ups there were: each ends once, in whatever process.
CREATE TABLE trail_clean_ups (
    due_at     timestamptz PRIMARY KEY,
    held_until timestamptz,
    ended_at   timestamptz,
    trails     bigint,

    CONSTRAINT trail_clean_ups_ended CHECK (
        (ended_at IS NULL) = (trails IS NULL) AND trails >= 0)
);

-- A trail stays its message's and its project's.
GRANT SELECT, INSERT, DELETE ON assessment_trails TO tranche_application;
GRANT UPDATE (model, reasoning_traces, context_layers, prompt_tokens, completion_tokens, prompt_cost,
    completion_cost, created_at, completed_at, updated_at, version)
    ON assessment_trails TO tranche_application;
GRANT SELECT, INSERT, UPDATE, DELETE ON trail_rollups, trail_clean_ups TO tranche_application;

-- As 0009_access has it for events. Whoever sees one project deletes nothing: that is the clean-up's.
DO $$
DECLARE
    told    CONSTANT text := '(SELECT current_setting(''tranche.scope'', true))';
    all_    CONSTANT text := told || ' = ''all''';
    project CONSTANT text := all_ || ' OR project_id =
        (SELECT nullif(nullif(current_setting(''tranche.scope'', true), ''all''), '''')::uuid)';
    owner   text;
BEGIN
    FOREACH owner IN ARRAY ARRAY['assessment_trails', 'trail_rollups'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', owner);
        EXECUTE format('CREATE POLICY read_in_scope ON %I FOR SELECT
            TO tranche_application USING (%s)', owner, project);
        EXECUTE format('CREATE POLICY write_in_scope ON %I FOR INSERT
            TO tranche_application WITH CHECK (%s)', owner, project);
        EXECUTE format('CREATE POLICY change_in_scope ON %I FOR UPDATE
            TO tranche_application USING (%s) WITH CHECK (%s)', owner, project, project);
        EXECUTE format('CREATE POLICY clean_up ON %I FOR DELETE
            TO tranche_application USING (%s)', owner, all_);
    END LOOP;
END
$$;
