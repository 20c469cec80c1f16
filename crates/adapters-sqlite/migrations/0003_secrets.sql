-- Secrets of the service itself, each sealed under a master key: the pepper of API keys.

CREATE TABLE secrets (
    name   TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
