-- The audit pipeline: what the log refuses, what waits for its number, the roll-ups, and what each
-- process tells of itself.

-- The numberer counts from the pending row alone: a look at each event's own row would go through
-- the partitions.
ALTER TABLE audit_pending
    ADD COLUMN occurred_at   timestamptz,
    ADD COLUMN action        text COLLATE "C",
    ADD COLUMN resource_type text COLLATE "C";
UPDATE audit_pending p
SET occurred_at = e.occurred_at, action = e.action, resource_type = e.resource_type
FROM audit_events e WHERE e.severity = p.severity AND e.id = p.event_id;
ALTER TABLE audit_pending
    ALTER COLUMN occurred_at   SET NOT NULL,
    ALTER COLUMN action        SET NOT NULL,
    ALTER COLUMN resource_type SET NOT NULL;

-- Statistics: how many events there were in each hour and each day (UTC) of occurred_at. Written by
-- the numberer alone, so that no two transactions meet in a row.
CREATE TABLE audit_rollups (
    bucket        text        COLLATE "C" NOT NULL,
    starts_at     timestamptz NOT NULL,
    severity      text        COLLATE "C" NOT NULL,
    action        text        COLLATE "C" NOT NULL,
    resource_type text        COLLATE "C" NOT NULL,
    events        bigint      NOT NULL,

    PRIMARY KEY (bucket, starts_at, severity, action, resource_type),
    CONSTRAINT audit_rollups_bucket CHECK (bucket IN ('hour', 'day')),
    CONSTRAINT audit_rollups_starts_at CHECK (starts_at = date_trunc(bucket, starts_at, 'UTC')),
    CONSTRAINT audit_rollups_events CHECK (events > 0)
) WITH (fillfactor = 70);

-- Text, never jsonb: what jsonb refuses must be kept too.
CREATE TABLE audit_dead_letters (
    id        uuid        PRIMARY KEY,
    event_id  uuid,
    content   text        NOT NULL,
    error     text        NOT NULL,
    source    text        COLLATE "C" NOT NULL,
    buried_at timestamptz NOT NULL,

    CONSTRAINT audit_dead_letters_source CHECK (source IN ('queue', 'spool', 'outbox'))
);
-- An id may be two events': what differs is kept apart.
CREATE UNIQUE INDEX audit_dead_letters_event ON audit_dead_letters (event_id, md5(content))
    WHERE event_id IS NOT NULL;

CREATE TABLE audit_reports (
    process text        COLLATE "C" PRIMARY KEY,
    at      timestamptz NOT NULL,
    report  text        NOT NULL
);
