-- The tables that the reference transactions run on beside the audit log: the least that an approval
-- and a settlement touch.

CREATE TABLE projects (
    id         bigint         PRIMARY KEY,
    name       text           NOT NULL,
    nav        numeric(20, 7) NOT NULL DEFAULT 0,
    completed  integer        NOT NULL DEFAULT 0,
    version    bigint         NOT NULL DEFAULT 0,
    updated_at timestamptz    NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE lp_prices (
    project_id bigint         PRIMARY KEY REFERENCES projects,
    price      numeric(20, 7) NOT NULL,
    supply     numeric(20, 7) NOT NULL,
    updated_at timestamptz    NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE milestones (
    id          bigint         PRIMARY KEY,
    project_id  bigint         NOT NULL REFERENCES projects,
    status      text           NOT NULL DEFAULT 'submitted',
    amount      numeric(20, 7) NOT NULL,
    approved_by text,
    updated_at  timestamptz    NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX ON milestones (project_id);

CREATE TABLE ledger_entries (
    id           bigint         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id   bigint         NOT NULL,
    milestone_id bigint         NOT NULL,
    kind         text           NOT NULL,
    amount       numeric(20, 7) NOT NULL,
    nav_after    numeric(20, 7),
    created_at   timestamptz    NOT NULL DEFAULT now()
);
CREATE INDEX ON ledger_entries (project_id, created_at DESC);

INSERT INTO projects (id, name, nav)
SELECT n, 'project ' || n, 1000000 FROM generate_series(1, 5000) n;
INSERT INTO lp_prices SELECT n, 1.0, 1000000 FROM generate_series(1, 5000) n;
INSERT INTO milestones (id, project_id, amount)
SELECT n, 1 + n % 5000, 100 + n % 900 FROM generate_series(1, 100000) n;
-- Project 2 is the hot one: milestones of its own, so that nothing but its row is contended.
INSERT INTO milestones (id, project_id, amount)
SELECT n, 2, 100 + n % 900 FROM generate_series(100001, 120000) n;
