-- The same events in one table, with the indexes that an audit log usually has.
CREATE TABLE usual_log (
    id            uuid        PRIMARY KEY,
    occurred_at   timestamptz NOT NULL,
    severity      text        NOT NULL,
    action        text        NOT NULL,
    actor_id      text        NOT NULL,
    project_id    uuid,
    milestone_id  uuid,
    resource_type text        NOT NULL,
    resource_id   text        NOT NULL,
    changes       jsonb,
    metadata      jsonb,
    details       jsonb,
    ip_address    inet,
    user_agent    text,
    request_id    text
);
INSERT INTO usual_log SELECT id, occurred_at, severity, action, actor_id, project_id, milestone_id,
        resource_type, resource_id, changes, metadata, details, ip_address, user_agent, request_id
    FROM audit_events;
CREATE INDEX ON usual_log (occurred_at DESC);
CREATE INDEX ON usual_log (severity, occurred_at DESC);
CREATE INDEX ON usual_log (action, occurred_at DESC);
CREATE INDEX ON usual_log (actor_id, occurred_at DESC);
CREATE INDEX ON usual_log (project_id, occurred_at DESC);
CREATE INDEX ON usual_log (milestone_id, occurred_at DESC);
CREATE INDEX ON usual_log (resource_type, resource_id, occurred_at DESC);
CREATE INDEX ON usual_log USING gin (details jsonb_path_ops);
