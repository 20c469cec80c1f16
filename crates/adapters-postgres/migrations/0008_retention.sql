-- Retention: holds, runs, what is on its way out and what is gone.
--
-- Parts of the log are changed by the functions below alone. They run with their owner's rights and
-- are narrow: each measures a part's age by itself, by the clock that is given and by the database's
-- own, and refuses what is younger by either.

CREATE TABLE audit_holds (
    id          uuid        PRIMARY KEY,
    severity    text        COLLATE "C",
    from_month  date,
    to_month    date,
    project_id  uuid,
    reason      text        NOT NULL,
    placed_by   text        NOT NULL,
    placed_at   timestamptz NOT NULL,
    lifted_by   text,
    lifted_at   timestamptz,
    lift_reason text,

    CONSTRAINT audit_holds_severity CHECK (severity IN ('info', 'warning', 'critical')),
    CONSTRAINT audit_holds_months CHECK (from_month <= to_month),
    CONSTRAINT audit_holds_lifted
        CHECK (num_nulls(lifted_by, lifted_at, lift_reason) IN (0, 3))
);

-- A hold is lifted once, and is otherwise as it was placed.
CREATE FUNCTION audit_holds_stay() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unlifted audit_holds;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL THEN
        unlifted := NEW;
        unlifted.lifted_by := NULL;
        unlifted.lifted_at := NULL;
        unlifted.lift_reason := NULL;
        IF unlifted IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% on audit_holds is refused: a hold is lifted once, and stays', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_holds_stay BEFORE UPDATE OR DELETE ON audit_holds
    FOR EACH ROW EXECUTE FUNCTION audit_holds_stay();
CREATE TRIGGER audit_holds_no_truncate BEFORE TRUNCATE ON audit_holds
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

CREATE TABLE audit_retention_runs (
    id              uuid        PRIMARY KEY,
    begun           bigint      GENERATED ALWAYS AS IDENTITY,
    due_at          timestamptz,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    started_by      text        NOT NULL,
    archived_parts  bigint      NOT NULL DEFAULT 0,
    archived_events bigint      NOT NULL DEFAULT 0,
    expired_parts   bigint      NOT NULL DEFAULT 0,
    expired_events  bigint      NOT NULL DEFAULT 0,
    held_parts      bigint      NOT NULL DEFAULT 0,
    failed_parts    bigint      NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX audit_retention_runs_begun ON audit_retention_runs (begun);

-- An archived part on its way out: how far its leaf records are kept.
CREATE TABLE audit_expiring (
    part       text   COLLATE "C" PRIMARY KEY,
    id         uuid   NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    kept_to    uuid   NOT NULL,
    first_id   uuid,
    events     bigint NOT NULL,
    first_leaf bigint,
    last_leaf  bigint,
    complete   boolean NOT NULL
);

-- What is gone, for those who miss its rows.
CREATE TABLE audit_expired (
    id             uuid        PRIMARY KEY,
    severity       text        COLLATE "C" NOT NULL,
    month          date        NOT NULL,
    first_id       uuid,
    last_id        uuid,
    events         bigint      NOT NULL,
    first_leaf     bigint,
    last_leaf      bigint,
    keep_days      integer     NOT NULL,
    expired_at     timestamptz NOT NULL,
    run_id         uuid        NOT NULL,
    archive_file   text,
    archive_sha256 bytea,

    CONSTRAINT audit_expired_file CHECK ((archive_file IS NULL) = (archive_sha256 IS NULL)),
    CONSTRAINT audit_expired_sha256 CHECK (octet_length(archive_sha256) = 32)
);
CREATE INDEX audit_expired_at ON audit_expired (expired_at);
CREATE TRIGGER audit_expired_append_only BEFORE UPDATE OR DELETE ON audit_expired
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER audit_expired_no_truncate BEFORE TRUNCATE ON audit_expired
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

-- What the roll-ups count of events that are gone, or will be: it counts from the moment at which
-- audit_expired has its id, and the roll-ups themselves stay what they were.
CREATE TABLE audit_rollups_expired (
    expired_id    uuid        NOT NULL,
    bucket        text        COLLATE "C" NOT NULL,
    starts_at     timestamptz NOT NULL,
    severity      text        COLLATE "C" NOT NULL,
    action        text        COLLATE "C" NOT NULL,
    resource_type text        COLLATE "C" NOT NULL,
    events        bigint      NOT NULL,

    PRIMARY KEY (bucket, starts_at, severity, action, resource_type, expired_id)
);

-- Statistics of what there is: the roll-ups without what is gone. A bucket may come twice, once to be
-- taken off.
CREATE VIEW audit_counts WITH (security_invoker = true) AS
    SELECT bucket, starts_at, severity, action, resource_type, events FROM audit_rollups
    UNION ALL
    SELECT bucket, starts_at, severity, action, resource_type, -events FROM audit_rollups_expired gone
    WHERE EXISTS (SELECT FROM audit_expired e WHERE e.id = gone.expired_id);

-- An archived part takes no more rows.
CREATE FUNCTION audit_archive_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'INSERT into % is refused: it is in the archive', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

-- A severity's part for the month of a moment: below the log, or below the archive.
CREATE FUNCTION audit_part(place text, severity text, moment timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF severity NOT IN ('info', 'warning', 'critical') OR place NOT IN ('events', 'archive') THEN
        RAISE EXCEPTION 'there are no % of severity %', place, severity
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN 'audit_' || place || '_' || severity
        || to_char(date_trunc('month', moment, 'UTC') AT TIME ZONE 'UTC', '_YYYY_MM');
END
$$;

-- Whether a table is a part there now.
CREATE FUNCTION audit_is_part(place text, severity text, part text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_inherits
        WHERE inhrelid = to_regclass(part)
            AND inhparent = to_regclass('audit_' || place || '_' || severity))
$$;

-- The first moment after a month.
CREATE FUNCTION audit_month_end(moment timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
$$;

-- Refuses a month that is not over for so many days.
CREATE FUNCTION audit_is_old(moment timestamptz, days integer, as_of timestamptz) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF days < 1 OR days IS NULL OR as_of IS NULL OR audit_month_end(moment)
        + make_interval(hours => 24 * days) > least(as_of, clock_timestamp()) THEN
        RAISE EXCEPTION 'the month of % is not over for % days', moment::date, days
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

-- The holds in force that touch a part. A hold on a project touches the parts that have its events.
CREATE FUNCTION audit_holds_on(part text, of_severity text, moment timestamptz) RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    month CONSTANT date := date_trunc('month', moment AT TIME ZONE 'UTC')::date;
    hold record;
    touches boolean;
    found uuid[] := '{}';
BEGIN
    FOR hold IN SELECT h.id, h.project_id FROM audit_holds h
        WHERE h.lifted_at IS NULL AND coalesce(h.severity = of_severity, true)
            AND coalesce(h.from_month <= month, true) AND coalesce(h.to_month >= month, true)
        ORDER BY h.id
    LOOP
        touches := hold.project_id IS NULL;
        IF NOT touches THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE project_id = $1 AND severity = $2
                AND id >= audit_id_floor($3) AND id < audit_id_floor($4))', part)
            INTO touches
            USING hold.project_id, of_severity, date_trunc('month', moment, 'UTC'),
                audit_month_end(moment);
        END IF;
        IF touches THEN
            found := found || hold.id;
        END IF;
    END LOOP;
    RETURN found;
END
$$;

-- Every part, its size, and the holds on it. A small part is counted, of a large one the catalogue's
-- estimate is told; what has no part of its own is told by month.
CREATE FUNCTION audit_parts() RETURNS TABLE (
    name text, severity text, month date, archived boolean, events bigint, bytes bigint,
    held_by uuid[]
) LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    part record;
    stray record;
BEGIN
    FOR part IN SELECT c.oid, c.relname::text AS relname, c.reltuples, p.place, s.severity,
            substring(c.relname FROM '\d{4}_\d{2}$') AS label
        FROM unnest(ARRAY['critical', 'warning', 'info']) AS s (severity)
        CROSS JOIN unnest(ARRAY['archive', 'events']) AS p (place)
        JOIN pg_inherits i ON i.inhparent = to_regclass('audit_' || p.place || '_' || s.severity)
        JOIN pg_class c ON c.oid = i.inhrelid
    LOOP
        IF part.label IS NOT NULL THEN
            name := part.relname;
            severity := part.severity;
            month := to_date(part.label, 'YYYY_MM');
            archived := part.place = 'archive';
            bytes := pg_total_relation_size(part.oid);
            events := part.reltuples;
            IF events < 0 OR bytes < 16 * 1024 * 1024 THEN
                EXECUTE format('SELECT count(*) FROM %I', name) INTO events;
            END IF;
            held_by := audit_holds_on(name, severity, month::timestamp AT TIME ZONE 'UTC');
            RETURN NEXT;
        ELSE
            FOR stray IN EXECUTE format(
                'SELECT date_trunc(''month'', to_timestamp((''x'' || left(replace(id::text, ''-'', ''''),
                    12))::bit(48)::bigint / 1000.0) AT TIME ZONE ''UTC'')::date AS month,
                    count(*) AS events FROM %I GROUP BY 1', part.relname)
            LOOP
                name := part.relname;
                severity := part.severity;
                month := stray.month;
                archived := part.place = 'archive';
                bytes := NULL;
                events := stray.events;
                held_by := audit_holds_on(name, severity, month::timestamp AT TIME ZONE 'UTC');
                RETURN NEXT;
            END LOOP;
        END IF;
    END LOOP;
END
$$;

-- Says of a part what the archive demands, so that attaching it there need not look at its rows.
-- Not looked at here either: audit_part_bounds_hold() does, while others write.
CREATE FUNCTION audit_part_bounds(severity text, moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    part CONSTANT text := audit_part('events', severity, moment);
BEGIN
    IF audit_is_part('events', severity, part) AND NOT EXISTS (SELECT FROM pg_constraint
        WHERE conrelid = to_regclass(part) AND conname = 'audit_part_bounds') THEN
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT audit_part_bounds
            CHECK (severity = %L AND id >= %L::uuid AND id < %L::uuid) NOT VALID', part, severity,
            audit_id_floor(date_trunc('month', moment, 'UTC')),
            audit_id_floor(audit_month_end(moment)));
    END IF;
END
$$;
CREATE FUNCTION audit_part_bounds_hold(severity text, moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    part CONSTANT text := audit_part('events', severity, moment);
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass(part)
        AND conname = 'audit_part_bounds' AND NOT convalidated) THEN
        EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT audit_part_bounds', part);
    END IF;
END
$$;

-- Refuses while an event of a part waits for its place in the tree.
CREATE FUNCTION audit_is_sealed(of_severity text, moment timestamptz) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF EXISTS (SELECT FROM audit_pending p WHERE p.severity = of_severity
        AND p.event_id >= audit_id_floor(date_trunc('month', moment, 'UTC'))
        AND p.event_id < audit_id_floor(audit_month_end(moment))) THEN
        RAISE EXCEPTION 'events of % wait for their place in the tree', moment::date
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

-- Moves a part into the archive: catalogue work, however many rows it has. Says how many rows the
-- catalogue believes that it has.
CREATE FUNCTION audit_archive_part(severity text, moment timestamptz, days integer,
    as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    part   CONSTANT text := audit_part('events', severity, moment);
    target CONSTANT text := audit_part('archive', severity, moment);
BEGIN
    PERFORM audit_is_old(moment, days, as_of);
    IF NOT audit_is_part('events', severity, part) THEN
        RETURN 0;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass(part)
        AND conname = 'audit_part_bounds' AND convalidated) THEN
        RAISE EXCEPTION 'the bounds of % are not known to hold', part
            USING ERRCODE = 'restrict_violation';
    END IF;
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', 'audit_events_' || severity, part);
    -- Nobody writes to it any more: what waits now is all that will.
    PERFORM audit_is_sealed(severity, moment);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', part, target);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        'audit_archive_' || severity, target,
        audit_id_floor(date_trunc('month', moment, 'UTC')),
        audit_id_floor(audit_month_end(moment)));
    EXECUTE format('CREATE TRIGGER audit_archive_closed BEFORE INSERT ON %I
        FOR EACH ROW EXECUTE FUNCTION audit_archive_closed()', target);
    RETURN (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(target));
END
$$;

-- Moves up to so many rows of a month that have no part of their own into the archive, and says how
-- many: events that came when their month's part had left already.
CREATE FUNCTION audit_archive_strays(severity text, moment timestamptz, days integer,
    as_of timestamptz, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    fallback CONSTANT text := audit_part('events', severity, moment);
    source   CONSTANT text := 'audit_events_' || severity || '_default';
    target   CONSTANT text := audit_part('archive', severity, moment);
    first_id CONSTANT uuid := audit_id_floor(date_trunc('month', moment, 'UTC'));
    end_id   CONSTANT uuid := audit_id_floor(audit_month_end(moment));
    moved    bigint;
BEGIN
    PERFORM audit_is_old(moment, days, as_of);
    PERFORM audit_is_sealed(severity, moment);
    IF audit_is_part('events', severity, fallback) THEN
        RAISE EXCEPTION '% has a part of its own', fallback USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (SELECT FROM audit_expiring e WHERE e.part = target) THEN
        RAISE EXCEPTION '% is on its way out: what came late follows it', target
            USING ERRCODE = 'restrict_violation';
    END IF;
    EXECUTE format('ALTER TABLE %I DISABLE TRIGGER audit_events_append_only', source);
    IF to_regclass(target) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE audit_events INCLUDING ALL)', target);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            'audit_archive_' || severity, target, first_id, end_id);
        EXECUTE format('CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON %I
            FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only()', target);
    ELSE
        EXECUTE format('DROP TRIGGER IF EXISTS audit_archive_closed ON %I', target);
    END IF;
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM %I WHERE id >= $1 AND id < $2 LIMIT $3)) RETURNING *)
        INSERT INTO %I SELECT * FROM moved', source, source, target)
        USING first_id, end_id, most;
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('CREATE TRIGGER audit_archive_closed BEFORE INSERT ON %I
        FOR EACH ROW EXECUTE FUNCTION audit_archive_closed()', target);
    EXECUTE format('ALTER TABLE %I ENABLE TRIGGER audit_events_append_only', source);
    RETURN moved;
END
$$;

-- Keeps the leaf records of the next events of an archived part, up to and with this id, and counts
-- them for the statistics. Every one of these events must have its leaf, and each record must be what
-- its leaf's hash is of. No id: there must be no more events, and the part may go.
CREATE FUNCTION audit_keep_leaf_records(severity text, moment timestamptz,
    leaf_indexes bigint[], leaf_records bytea[], up_to uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    target CONSTANT text := audit_part('archive', severity, moment);
    so_far audit_expiring;
    here   bigint;
    kept   record;
BEGIN
    IF NOT audit_is_part('archive', severity, target) THEN
        RAISE EXCEPTION '% is not in the archive', target USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO audit_expiring (part, kept_to, events, complete)
        VALUES (target, '00000000-0000-0000-0000-000000000000', 0, false)
        ON CONFLICT (part) DO NOTHING;
    SELECT * INTO STRICT so_far FROM audit_expiring e WHERE e.part = target FOR UPDATE;
    IF up_to IS NULL THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I WHERE id > $1 LIMIT 1) more', target)
            INTO here USING so_far.kept_to;
        IF here > 0 THEN
            RAISE EXCEPTION '% has more events', target USING ERRCODE = 'restrict_violation';
        END IF;
        UPDATE audit_expiring e SET complete = true WHERE e.part = target;
        RETURN;
    END IF;
    INSERT INTO audit_leaf_records (leaf_index, record)
        SELECT * FROM unnest(leaf_indexes, leaf_records) ON CONFLICT DO NOTHING;
    EXECUTE format('SELECT count(*) FROM %I WHERE id > $1 AND id <= $2', target)
        INTO here USING so_far.kept_to, up_to;
    EXECUTE format('SELECT count(*) AS events, min(id::text)::uuid AS first_id,
            min(l.leaf_index) AS first_leaf, max(l.leaf_index) AS last_leaf
        FROM %I e JOIN audit_leaves l ON l.event_id = e.id
        JOIN audit_leaf_records r ON r.leaf_index = l.leaf_index
        WHERE e.id > $1 AND e.id <= $2
            AND sha256(''\x00''::bytea || r.record) = l.leaf_hash', target)
        INTO kept USING so_far.kept_to, up_to;
    IF here <> kept.events OR here = 0 THEN
        RAISE EXCEPTION 'of % events of % up to %, % have their leaf records', here, target, up_to,
            kept.events USING ERRCODE = 'restrict_violation';
    END IF;
    EXECUTE format('INSERT INTO audit_rollups_expired AS so_far
            (expired_id, bucket, starts_at, severity, action, resource_type, events)
        SELECT $1, bucket, date_trunc(bucket, occurred_at, ''UTC''), severity, action, resource_type,
            count(*)
        FROM %I CROSS JOIN (VALUES (''hour''), (''day'')) AS b (bucket)
        WHERE id > $2 AND id <= $3 GROUP BY 2, 3, 4, 5, 6
        ON CONFLICT (bucket, starts_at, severity, action, resource_type, expired_id)
            DO UPDATE SET events = so_far.events + excluded.events', target)
        USING so_far.id, so_far.kept_to, up_to;
    UPDATE audit_expiring e SET kept_to = up_to, events = e.events + here, complete = false,
        first_id = coalesce(e.first_id, kept.first_id),
        first_leaf = least(e.first_leaf, kept.first_leaf),
        last_leaf = greatest(e.last_leaf, kept.last_leaf)
        WHERE e.part = target;
END
$$;

-- Lets an archived part go for good, and remembers it: catalogue work, however many rows it has.
CREATE FUNCTION audit_expire_part(severity text, moment timestamptz, days integer,
    as_of timestamptz, expired_at timestamptz, run_id uuid, archive_file text,
    archive_sha256 bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    target CONSTANT text := audit_part('archive', severity, moment);
    ready  audit_expiring;
BEGIN
    PERFORM audit_is_old(moment, days, as_of);
    IF NOT audit_is_part('archive', severity, target) THEN
        RAISE EXCEPTION '% is not in the archive', target USING ERRCODE = 'restrict_violation';
    END IF;
    -- A hold is placed before this or after it.
    LOCK TABLE audit_holds IN SHARE MODE;
    IF audit_holds_on(target, severity, moment) <> '{}' THEN
        RAISE EXCEPTION 'a hold is on %', target USING ERRCODE = 'restrict_violation';
    END IF;
    DELETE FROM audit_expiring e WHERE e.part = target AND e.complete RETURNING e.* INTO ready;
    IF ready.part IS NULL THEN
        RAISE EXCEPTION 'the leaf records of % are not all kept', target
            USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO audit_expired VALUES (ready.id, severity,
        date_trunc('month', moment AT TIME ZONE 'UTC')::date, ready.first_id,
        CASE WHEN ready.events > 0 THEN ready.kept_to END, ready.events, ready.first_leaf,
        ready.last_leaf, days, expired_at, run_id, archive_file, archive_sha256);
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', 'audit_archive_' || severity, target);
    EXECUTE format('DROP TABLE %I', target);
    RETURN ready.events;
END
$$;

-- Nobody but those who are granted it runs retention; what a function finds is what this schema has,
-- and nobody's temporary table of the same name.
DO $$
DECLARE
    narrow regprocedure;
BEGIN
    FOREACH narrow IN ARRAY ARRAY[
        'audit_holds_on(text, text, timestamptz)',
        'audit_parts()',
        'audit_part_bounds(text, timestamptz)',
        'audit_part_bounds_hold(text, timestamptz)',
        'audit_archive_part(text, timestamptz, integer, timestamptz)',
        'audit_archive_strays(text, timestamptz, integer, timestamptz, integer)',
        'audit_keep_leaf_records(text, timestamptz, bigint[], bytea[], uuid)',
        'audit_expire_part(text, timestamptz, integer, timestamptz, timestamptz, uuid, text, bytea)'
    ]::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp',
            narrow, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', narrow);
    END LOOP;
END
$$;
