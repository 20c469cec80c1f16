-- Webhooks: who is told of which events, how far each was told, and who drives it now.

CREATE TABLE webhooks (
    id            TEXT    NOT NULL PRIMARY KEY,
    url           TEXT    NOT NULL,
    description   TEXT,
    filter        TEXT    NOT NULL,
    project_id    TEXT    REFERENCES projects (id),
    created_by    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    -- The leaf index from which on it was not told.
    position      INTEGER NOT NULL,
    delivered     INTEGER NOT NULL DEFAULT 0,
    delivered_at  INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    due_at        INTEGER,
    last_error    TEXT,
    disabled_at   INTEGER,
    disabled_why  TEXT,
    holder        TEXT,
    held_until    INTEGER,
    -- Grows with each lease: a driver that lost its lease writes nothing.
    fence         INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT webhooks_position CHECK (position >= 0),
    CONSTRAINT webhooks_attempts CHECK (attempts >= 0),
    CONSTRAINT webhooks_failing CHECK ((failing_since IS NULL) = (attempts = 0)),
    CONSTRAINT webhooks_disabled CHECK ((disabled_at IS NULL) = (disabled_why IS NULL)),
    CONSTRAINT webhooks_held CHECK ((holder IS NULL) = (held_until IS NULL))
) STRICT;

-- What signs, sealed under a master key. The one without an end is in force.
CREATE TABLE webhook_secrets (
    name       TEXT    NOT NULL PRIMARY KEY,
    webhook_id TEXT    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    key_id     TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE UNIQUE INDEX webhook_secrets_in_force ON webhook_secrets (webhook_id)
    WHERE expires_at IS NULL;
CREATE INDEX webhook_secrets_webhook ON webhook_secrets (webhook_id);
