-- Projects, milestones, disbursements and who may touch them.
--
-- Money is INTEGER stroops (10^-7 units), which is all that the ledger itself can hold. Times are
-- INTEGER microseconds since 1970 (datetime(x / 1000000, 'unixepoch') reads them), ids are TEXT in
-- the hyphenated lower-case form, whose order is the order of time. Every CHECK repeats a rule of
-- the domain, so that a row written past the application is refused here too.

CREATE TABLE projects (
    id                    TEXT    NOT NULL PRIMARY KEY,
    name                  TEXT    NOT NULL,
    nav                   INTEGER NOT NULL,
    nav_reserved          INTEGER NOT NULL,
    lp_tokens_outstanding INTEGER NOT NULL,
    total_milestones      INTEGER NOT NULL,
    completed_milestones  INTEGER NOT NULL,
    last_milestone_date   INTEGER,
    wallet_account_id     TEXT    NOT NULL,
    maker_checker         INTEGER NOT NULL,
    burn_policy           TEXT    NOT NULL,
    created_at            INTEGER NOT NULL,
    version               INTEGER NOT NULL,

    CONSTRAINT projects_nav CHECK (nav >= 0),
    CONSTRAINT projects_reserved CHECK (nav_reserved BETWEEN 0 AND nav),
    CONSTRAINT projects_lp_tokens CHECK (lp_tokens_outstanding >= 0),
    CONSTRAINT projects_counters CHECK (completed_milestones BETWEEN 0 AND total_milestones),
    CONSTRAINT projects_last_milestone
        CHECK ((last_milestone_date IS NULL) = (completed_milestones = 0)),
    CONSTRAINT projects_maker_checker CHECK (maker_checker IN (0, 1)),
    CONSTRAINT projects_burn_policy CHECK (burn_policy IN ('exact_transfer', 'any_amount')),
    CONSTRAINT projects_version CHECK (version >= 1)
) STRICT;

CREATE UNIQUE INDEX projects_wallet ON projects (wallet_account_id);

-- The event that proves each version a milestone ever had, deleted milestones included.
CREATE TABLE milestone_evidence (
    milestone_id TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    event_id     TEXT    NOT NULL,

    PRIMARY KEY (milestone_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE milestones (
    id                 TEXT    NOT NULL PRIMARY KEY,
    project_id         TEXT    NOT NULL REFERENCES projects (id),
    number             INTEGER NOT NULL,
    title              TEXT    NOT NULL,
    description        TEXT,
    target_amount      INTEGER NOT NULL,
    status             TEXT    NOT NULL,
    submitted_by       TEXT,
    submitted_at       INTEGER,
    rejected_by        TEXT,
    rejected_at        INTEGER,
    rejection_reason   TEXT,
    approved_by        TEXT,
    approved_at        INTEGER,
    transfer_reference TEXT,
    transfer_amount    INTEGER,
    transfer_date      TEXT,
    transfer_notes     TEXT,
    disbursement_id    TEXT    REFERENCES disbursements (id),
    disbursed_by       TEXT,
    disbursed_at       INTEGER,
    burned             INTEGER,
    burn_id            TEXT,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    version            INTEGER NOT NULL,

    -- No commit changes a milestone without its evidence, whoever writes it.
    CONSTRAINT milestones_evidence FOREIGN KEY (id, version)
        REFERENCES milestone_evidence (milestone_id, version) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT milestones_number_range CHECK (number BETWEEN 1 AND 2147483647),
    CONSTRAINT milestones_target CHECK (target_amount >= 0),
    CONSTRAINT milestones_amounts CHECK (transfer_amount >= 0 AND burned >= 0),
    CONSTRAINT milestones_version CHECK (version >= 1),
    CONSTRAINT milestones_state CHECK (CASE status
        WHEN 'draft' THEN coalesce(
                submitted_by, submitted_at, rejected_by, rejected_at, rejection_reason,
                approved_by, approved_at, transfer_reference, transfer_amount, transfer_date,
                transfer_notes, disbursement_id, disbursed_by, disbursed_at, burned, burn_id)
            IS NULL
        WHEN 'submitted' THEN submitted_by IS NOT NULL AND submitted_at IS NOT NULL
            AND coalesce(rejected_by, rejected_at, rejection_reason,
                approved_by, approved_at, transfer_reference, transfer_amount, transfer_date,
                transfer_notes, disbursement_id, disbursed_by, disbursed_at, burned, burn_id)
            IS NULL
        WHEN 'rejected' THEN submitted_by IS NOT NULL AND submitted_at IS NOT NULL
            AND rejected_by IS NOT NULL AND rejected_at IS NOT NULL
            AND rejection_reason IS NOT NULL
            AND coalesce(
                approved_by, approved_at, transfer_reference, transfer_amount, transfer_date,
                transfer_notes, disbursement_id, disbursed_by, disbursed_at, burned, burn_id)
            IS NULL
        WHEN 'approved' THEN submitted_by IS NOT NULL AND submitted_at IS NOT NULL
            AND approved_by IS NOT NULL AND approved_at IS NOT NULL
            AND CASE WHEN transfer_reference IS NULL
                THEN coalesce(transfer_amount, transfer_date, transfer_notes) IS NULL
                ELSE transfer_amount IS NOT NULL AND transfer_date IS NOT NULL END
            AND coalesce(rejected_by, rejected_at, rejection_reason,
                disbursement_id, disbursed_by, disbursed_at, burned, burn_id) IS NULL
        WHEN 'disbursing' THEN submitted_by IS NOT NULL AND submitted_at IS NOT NULL
            AND approved_by IS NOT NULL AND approved_at IS NOT NULL
            AND transfer_reference IS NOT NULL AND transfer_amount IS NOT NULL
            AND transfer_date IS NOT NULL AND disbursement_id IS NOT NULL
            AND coalesce(rejected_by, rejected_at, rejection_reason,
                disbursed_by, disbursed_at, burned, burn_id) IS NULL
        WHEN 'disbursed' THEN submitted_by IS NOT NULL AND submitted_at IS NOT NULL
            AND approved_by IS NOT NULL AND approved_at IS NOT NULL
            AND transfer_reference IS NOT NULL AND transfer_amount IS NOT NULL
            AND transfer_date IS NOT NULL
            AND disbursed_by IS NOT NULL AND disbursed_at IS NOT NULL
            AND burned IS NOT NULL AND burn_id IS NOT NULL
            AND coalesce(rejected_by, rejected_at, rejection_reason, disbursement_id) IS NULL
        ELSE 0
    END)
) STRICT;

CREATE UNIQUE INDEX milestones_number ON milestones (project_id, number);
CREATE UNIQUE INDEX milestones_transfer_reference ON milestones (project_id, transfer_reference)
    WHERE transfer_reference IS NOT NULL;

CREATE TABLE disbursements (
    id                TEXT    NOT NULL PRIMARY KEY,
    project_id        TEXT    NOT NULL REFERENCES projects (id),
    milestone_id      TEXT    NOT NULL REFERENCES milestones (id),
    amount            INTEGER NOT NULL,
    wallet_account_id TEXT    NOT NULL,
    ordered_by_id     TEXT    NOT NULL,
    ordered_by_role   TEXT    NOT NULL,
    ip_address        TEXT,
    user_agent        TEXT,
    request_id        TEXT,
    prepared_at       INTEGER NOT NULL,
    burn_id           TEXT    NOT NULL,
    envelope          BLOB    NOT NULL,
    memo              BLOB    NOT NULL,
    network           TEXT    NOT NULL,
    sequence_account  TEXT    NOT NULL,
    sequence          INTEGER NOT NULL,
    valid_until       INTEGER NOT NULL,
    signed_at_ledger  INTEGER NOT NULL,
    state             TEXT    NOT NULL,
    operator_reason   TEXT,
    settled_at        INTEGER,
    settled_ledger    INTEGER,
    failed_at         INTEGER,
    failure_code      TEXT,
    failure_detail    TEXT,
    attempts          INTEGER NOT NULL,
    leased_until      INTEGER,
    version           INTEGER NOT NULL,

    CONSTRAINT disbursements_amount CHECK (amount > 0),
    CONSTRAINT disbursements_memo CHECK (length(memo) = 32),
    CONSTRAINT disbursements_ledgers CHECK (
        signed_at_ledger BETWEEN 0 AND 4294967295 AND settled_ledger BETWEEN 0 AND 4294967295),
    CONSTRAINT disbursements_attempts CHECK (attempts >= 0),
    CONSTRAINT disbursements_version CHECK (version >= 1),
    CONSTRAINT disbursements_state CHECK (CASE
        WHEN state IN ('prepared', 'submitted') THEN coalesce(operator_reason,
                settled_at, settled_ledger, failed_at, failure_code, failure_detail) IS NULL
        WHEN state = 'needs_operator' THEN operator_reason IS NOT NULL AND coalesce(
                settled_at, settled_ledger, failed_at, failure_code, failure_detail) IS NULL
        WHEN state = 'settled' THEN settled_at IS NOT NULL AND settled_ledger IS NOT NULL
            AND coalesce(operator_reason, failed_at, failure_code, failure_detail) IS NULL
        WHEN state = 'failed' THEN failed_at IS NOT NULL AND failure_code IS NOT NULL
            AND failure_detail IS NOT NULL
            AND coalesce(operator_reason, settled_at, settled_ledger) IS NULL
        ELSE 0
    END)
) STRICT;

-- A slot stays taken when its burn is settled, and when it failed by using its sequence number: the
-- ledger will never take that number again, so a node that offers it lags, and the answer is to plan
-- again. Only a burn that expired unused gives its slot back.
CREATE UNIQUE INDEX disbursements_slot ON disbursements (network, sequence_account, sequence)
    WHERE state <> 'failed' OR failure_code <> 'expired';
CREATE UNIQUE INDEX disbursements_burn ON disbursements (network, burn_id);
CREATE UNIQUE INDEX disbursements_open ON disbursements (milestone_id)
    WHERE state IN ('prepared', 'submitted', 'needs_operator');
CREATE INDEX disbursements_lease ON disbursements (leased_until, id)
    WHERE state IN ('prepared', 'submitted', 'needs_operator');
CREATE INDEX disbursements_milestone ON disbursements (milestone_id);
CREATE INDEX disbursements_project ON disbursements (project_id, id);
CREATE INDEX disbursements_by_state ON disbursements (state, id);

CREATE TABLE wallets (
    account_id  TEXT NOT NULL PRIMARY KEY,
    custody     TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    sealed_seed BLOB NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    roles      TEXT    NOT NULL, -- comma-separated
    project_id TEXT,
    hash       BLOB    NOT NULL,
    rate_limit TEXT,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,

    CONSTRAINT api_keys_hash CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE idempotency_keys (
    subject       TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    fingerprint   BLOB    NOT NULL,
    made          TEXT,
    answer_status INTEGER,
    answer_body   TEXT,
    created_at    INTEGER NOT NULL DEFAULT (unixepoch() * 1000000),

    PRIMARY KEY (subject, key),
    CONSTRAINT idempotency_keys_fingerprint CHECK (length(fingerprint) = 32),
    CONSTRAINT idempotency_keys_answer CHECK (
        (answer_status IS NULL) = (answer_body IS NULL) AND answer_status BETWEEN 100 AND 999)
) STRICT;

