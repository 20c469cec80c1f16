-- An audit log with the index set that such a log usually has.

CREATE TABLE a_full (
    id              uuid        NOT NULL,
    occurred_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    severity        smallint    NOT NULL,
    action          text        NOT NULL,
    actor_id        text        NOT NULL,
    project_id      uuid,
    resource_type   text        NOT NULL,
    resource_id     text        NOT NULL,
    previous_status text,
    new_status      text,
    changes         jsonb,
    metadata        jsonb,
    ip              inet,
    user_agent      text
) PARTITION BY RANGE (occurred_at);

DO $$
DECLARE
    month timestamptz;
BEGIN
    FOR month IN SELECT generate_series(date_trunc('month', now()) - interval '1 month',
            date_trunc('month', now()) + interval '1 month', interval '1 month') LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF a_full FOR VALUES FROM (%L) TO (%L)',
            'a_full' || to_char(month, '_YYYYMM'), month, month + interval '1 month');
    END LOOP;
END
$$;

ALTER TABLE a_full ADD PRIMARY KEY (id, occurred_at);
CREATE INDEX ON a_full (occurred_at DESC, id);
CREATE INDEX ON a_full (project_id, occurred_at DESC);
CREATE INDEX ON a_full (resource_type, resource_id, occurred_at DESC);
CREATE INDEX ON a_full (actor_id, occurred_at DESC);
CREATE INDEX ON a_full (action, occurred_at DESC);
CREATE INDEX ON a_full (severity, occurred_at) WHERE severity >= 1;
