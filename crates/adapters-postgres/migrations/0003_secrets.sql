-- Secrets of the service itself, each sealed under a master key: the pepper of API keys.

CREATE TABLE secrets (
    name   text  COLLATE "C" PRIMARY KEY,
    key_id text  COLLATE "C" NOT NULL,
    sealed bytea NOT NULL
);
