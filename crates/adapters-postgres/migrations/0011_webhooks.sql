-- Webhooks: who is told of which events, how far each was told, and who drives it now.

CREATE TABLE webhooks (
    id            uuid        PRIMARY KEY,
    url           text        NOT NULL,
    description   text,
    -- As text: it is read back as a whole, never searched.
    filter        text        NOT NULL,
    project_id    uuid        REFERENCES projects (id),
    created_by    text        NOT NULL,
    created_at    timestamptz NOT NULL,
    -- The leaf index from which on it was not told.
    position      bigint      NOT NULL,
    delivered     bigint      NOT NULL DEFAULT 0,
    delivered_at  timestamptz,
    attempts      integer     NOT NULL DEFAULT 0,
    failing_since timestamptz,
    due_at        timestamptz,
    last_error    text,
    disabled_at   timestamptz,
    disabled_why  text,
    holder        text        COLLATE "C",
    held_until    timestamptz,
    -- Grows with each lease: a driver that lost its lease writes nothing.
    fence         bigint      NOT NULL DEFAULT 0,

    CONSTRAINT webhooks_position CHECK (position >= 0),
    CONSTRAINT webhooks_attempts CHECK (attempts >= 0),
    CONSTRAINT webhooks_failing CHECK ((failing_since IS NULL) = (attempts = 0)),
    CONSTRAINT webhooks_disabled CHECK ((disabled_at IS NULL) = (disabled_why IS NULL)),
    CONSTRAINT webhooks_held CHECK ((holder IS NULL) = (held_until IS NULL))
) WITH (fillfactor = 50);

-- What signs, sealed under a master key. The one without an end is in force.
CREATE TABLE webhook_secrets (
    name       text        COLLATE "C" PRIMARY KEY,
    webhook_id uuid        NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    key_id     text        COLLATE "C" NOT NULL,
    sealed     bytea       NOT NULL,
    expires_at timestamptz
);
CREATE UNIQUE INDEX webhook_secrets_in_force ON webhook_secrets (webhook_id)
    WHERE expires_at IS NULL;
CREATE INDEX webhook_secrets_webhook ON webhook_secrets (webhook_id);
