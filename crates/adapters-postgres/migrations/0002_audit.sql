-- The audit log: partitioned by severity, then by month of the id (a UUIDv7), so that retention is
-- a dropped partition and one key serves uniqueness, time order, paging and pruning.
--
-- What waits for the log is in audit_outbox, what waits for its place in the public tree is in
-- audit_pending, what has its place is in audit_leaves, which outlives the partitions.

-- Refuses whatever it is hung on.
CREATE FUNCTION tranche_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: it is append-only, and what is recorded stays',
        TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = 'Record a new event. Old ones leave by retention, a whole partition at a time.';
END
$$;

CREATE TABLE audit_events (
    id              uuid        NOT NULL,
    milestone_id    uuid,
    project_id      uuid,
    occurred_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    severity        text        COLLATE "C" NOT NULL,
    action          text        COLLATE "C" NOT NULL,
    actor_id        text        COLLATE "C" NOT NULL,
    actor_role      text        COLLATE "C",
    resource_type   text        COLLATE "C" NOT NULL,
    resource_id     text        COLLATE "C",
    previous_status text        COLLATE "C",
    new_status      text        COLLATE "C",
    changes         jsonb,
    metadata        jsonb,
    details         jsonb,
    ip_address      inet,
    user_agent      text,
    request_id      text,
    salt            bytea       NOT NULL,

    PRIMARY KEY (severity, id),
    CONSTRAINT audit_events_salt CHECK (octet_length(salt) = 16)
) PARTITION BY LIST (severity);

-- Each index costs ingest about a tenth: only what the lists page by.
CREATE INDEX audit_events_project ON audit_events (project_id, id) WHERE project_id IS NOT NULL;
CREATE INDEX audit_events_milestone ON audit_events (milestone_id, id)
    WHERE milestone_id IS NOT NULL;
CREATE INDEX audit_events_actor ON audit_events (actor_id, id);
CREATE INDEX audit_events_resource ON audit_events (resource_type, resource_id, id);

-- Row triggers are cloned to every partition, present and future. TRUNCATE has statement triggers
-- only, which are not: audit_partition() hangs one on each partition it makes.
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

CREATE TRIGGER milestone_evidence_append_only BEFORE UPDATE OR DELETE ON milestone_evidence
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER milestone_evidence_no_truncate BEFORE TRUNCATE ON milestone_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

-- What waits for the log: the columns of the log but the time of recording, which is not yet.
CREATE TABLE audit_outbox (
    LIKE audit_events INCLUDING CONSTRAINTS,
    PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE audit_outbox DROP COLUMN recorded_at;
ALTER TABLE audit_outbox ADD CONSTRAINT audit_outbox_severity
    CHECK (severity IN ('info', 'warning', 'critical'));

-- What waits for its place in the tree. The severity is here so that a look at the event's row
-- prunes partitions.
CREATE TABLE audit_pending (
    event_id  uuid  PRIMARY KEY,
    severity  text  COLLATE "C" NOT NULL,
    leaf_hash bytea NOT NULL,

    CONSTRAINT audit_pending_leaf_hash CHECK (octet_length(leaf_hash) = 32)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- What has its place. Leaves stay for ever.
CREATE TABLE audit_leaves (
    leaf_index bigint PRIMARY KEY,
    event_id   uuid   NOT NULL,
    leaf_hash  bytea  NOT NULL,

    CONSTRAINT audit_leaves_event UNIQUE (event_id),
    CONSTRAINT audit_leaves_index CHECK (leaf_index >= 0),
    CONSTRAINT audit_leaves_leaf_hash CHECK (octet_length(leaf_hash) = 32)
);
CREATE TRIGGER audit_leaves_append_only BEFORE UPDATE OR DELETE ON audit_leaves
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER audit_leaves_no_truncate BEFORE TRUNCATE ON audit_leaves
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

-- The lowest UUIDv7 of a moment: its first 48 bits are milliseconds since 1970.
CREATE FUNCTION audit_id_floor(moment timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

-- A severity's partitions, each severity with a default for months that nobody made ahead: a
-- missing month must never fail a write.
CREATE TABLE audit_events_critical PARTITION OF audit_events FOR VALUES IN ('critical')
    PARTITION BY RANGE (id);
CREATE TABLE audit_events_warning PARTITION OF audit_events FOR VALUES IN ('warning')
    PARTITION BY RANGE (id);
CREATE TABLE audit_events_info PARTITION OF audit_events FOR VALUES IN ('info')
    PARTITION BY RANGE (id);
CREATE TABLE audit_events_critical_default PARTITION OF audit_events_critical DEFAULT;
CREATE TABLE audit_events_warning_default PARTITION OF audit_events_warning DEFAULT;
CREATE TABLE audit_events_info_default PARTITION OF audit_events_info DEFAULT;

DO $$
DECLARE
    severity text;
BEGIN
    FOREACH severity IN ARRAY ARRAY['critical', 'warning', 'info'] LOOP
        EXECUTE format('CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON %I
            FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only()',
            'audit_events_' || severity);
        EXECUTE format('CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON %I
            FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only()',
            'audit_events_' || severity || '_default');
    END LOOP;
END
$$;

-- Makes the partition of a severity and of the month of a moment, and says whether it was missing.
-- Rows of that month that fell into the default meanwhile move over, all of them, as they are: the
-- only statement that may take a row out of a partition, under a lock that nobody writes past.
CREATE FUNCTION audit_partition(severity text, moment timestamptz) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    month_start CONSTANT timestamptz := date_trunc('month', moment, 'UTC');
    month_end   CONSTANT timestamptz :=
        (month_start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    first_id    CONSTANT uuid := audit_id_floor(month_start);
    end_id      CONSTANT uuid := audit_id_floor(month_end);
    parent      CONSTANT text := 'audit_events_' || severity;
    fallback    CONSTANT text := parent || '_default';
    part        CONSTANT text := parent || to_char(month_start AT TIME ZONE 'UTC', '_YYYY_MM');
    stray       boolean;
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE audit_events INCLUDING ALL)', part);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', fallback);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE id >= $1 AND id < $2)', fallback)
        INTO stray USING first_id, end_id;
    IF stray THEN
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER audit_events_append_only', fallback);
        EXECUTE format('WITH moved AS (DELETE FROM %I WHERE id >= $1 AND id < $2 RETURNING *)
            INSERT INTO %I SELECT * FROM moved', fallback, part) USING first_id, end_id;
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER audit_events_append_only', fallback);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, part, first_id, end_id);
    EXECUTE format('CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON %I
        FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only()', part);
    RETURN true;
END
$$;

-- Makes the partitions of this month and of as many after it, and says how many were missing.
CREATE FUNCTION audit_partitions(months_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    severity text;
    month integer;
BEGIN
    -- Replicas that start together take turns.
    PERFORM pg_advisory_xact_lock(7236273650212);
    FOREACH severity IN ARRAY ARRAY['critical', 'warning', 'info'] LOOP
        FOR month IN 0..months_ahead LOOP
            IF audit_partition(severity,
                (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => month))
                    AT TIME ZONE 'UTC') THEN
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
