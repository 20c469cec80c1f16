-- Projects, milestones, disbursements and who may touch them.
--
-- Money is BIGINT stroops (10^-7 units), which is all that the ledger itself can hold. Every CHECK
-- repeats a rule of the domain, so that a row written past the application is refused here too.
--
-- PostgreSQL reads a CHECK's expression anew for every statement that writes to its table. The long
-- ones are therefore functions, compiled once for each connection, and the CHECK is a call.

CREATE TABLE projects (
    id                    uuid        PRIMARY KEY,
    name                  text        NOT NULL,
    nav                   bigint      NOT NULL,
    nav_reserved          bigint      NOT NULL,
    lp_tokens_outstanding bigint      NOT NULL,
    total_milestones      bigint      NOT NULL,
    completed_milestones  bigint      NOT NULL,
    last_milestone_date   timestamptz,
    wallet_account_id     text        COLLATE "C" NOT NULL,
    maker_checker         boolean     NOT NULL,
    burn_policy           text        COLLATE "C" NOT NULL,
    created_at            timestamptz NOT NULL,
    version               bigint      NOT NULL,

    CONSTRAINT projects_wallet UNIQUE (wallet_account_id),
    CONSTRAINT projects_nav CHECK (nav >= 0),
    CONSTRAINT projects_reserved CHECK (nav_reserved BETWEEN 0 AND nav),
    CONSTRAINT projects_lp_tokens CHECK (lp_tokens_outstanding >= 0),
    CONSTRAINT projects_counters CHECK (completed_milestones BETWEEN 0 AND total_milestones),
    CONSTRAINT projects_last_milestone
        CHECK ((last_milestone_date IS NULL) = (completed_milestones = 0)),
    CONSTRAINT projects_burn_policy CHECK (burn_policy IN ('exact_transfer', 'any_amount')),
    CONSTRAINT projects_version CHECK (version >= 1)
) WITH (fillfactor = 70); -- updated in place by every burn: room for it on the page

-- The event that proves each version a milestone ever had, deleted milestones included.
CREATE TABLE milestone_evidence (
    milestone_id uuid   NOT NULL,
    version      bigint NOT NULL,
    event_id     uuid   NOT NULL,

    PRIMARY KEY (milestone_id, version)
);

CREATE TABLE milestones (
    id                 uuid        PRIMARY KEY,
    project_id         uuid        NOT NULL REFERENCES projects (id),
    number             integer     NOT NULL,
    title              text        NOT NULL,
    description        text,
    target_amount      bigint      NOT NULL,
    status             text        COLLATE "C" NOT NULL,
    submitted_by       text        COLLATE "C",
    submitted_at       timestamptz,
    rejected_by        text        COLLATE "C",
    rejected_at        timestamptz,
    rejection_reason   text,
    approved_by        text        COLLATE "C",
    approved_at        timestamptz,
    transfer_reference text        COLLATE "C",
    transfer_amount    bigint,
    transfer_date      date,
    transfer_notes     text,
    disbursement_id    uuid,
    disbursed_by       text        COLLATE "C",
    disbursed_at       timestamptz,
    burned             bigint,
    burn_id            text        COLLATE "C",
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    version            bigint      NOT NULL,

    CONSTRAINT milestones_number UNIQUE (project_id, number),
    -- No commit changes a milestone without its evidence, whoever writes it.
    CONSTRAINT milestones_evidence FOREIGN KEY (id, version)
        REFERENCES milestone_evidence (milestone_id, version) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT milestones_number_positive CHECK (number >= 1),
    CONSTRAINT milestones_target CHECK (target_amount >= 0),
    CONSTRAINT milestones_amounts CHECK (transfer_amount >= 0 AND burned >= 0),
    CONSTRAINT milestones_version CHECK (version >= 1)
) WITH (fillfactor = 80);

-- Which columns a status fills, and which it leaves empty.
CREATE FUNCTION milestones_state(m milestones) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE m.status
        WHEN 'draft' THEN num_nonnulls(m.submitted_by, m.submitted_at,
                m.rejected_by, m.rejected_at, m.rejection_reason, m.approved_by, m.approved_at,
                m.transfer_reference, m.transfer_amount, m.transfer_date, m.transfer_notes,
                m.disbursement_id, m.disbursed_by, m.disbursed_at, m.burned, m.burn_id) = 0
        WHEN 'submitted' THEN num_nulls(m.submitted_by, m.submitted_at) = 0
            AND num_nonnulls(
                m.rejected_by, m.rejected_at, m.rejection_reason, m.approved_by, m.approved_at,
                m.transfer_reference, m.transfer_amount, m.transfer_date, m.transfer_notes,
                m.disbursement_id, m.disbursed_by, m.disbursed_at, m.burned, m.burn_id) = 0
        WHEN 'rejected' THEN num_nulls(m.submitted_by, m.submitted_at,
                m.rejected_by, m.rejected_at, m.rejection_reason) = 0
            AND num_nonnulls(m.approved_by, m.approved_at,
                m.transfer_reference, m.transfer_amount, m.transfer_date, m.transfer_notes,
                m.disbursement_id, m.disbursed_by, m.disbursed_at, m.burned, m.burn_id) = 0
        WHEN 'approved' THEN num_nulls(
                m.submitted_by, m.submitted_at, m.approved_by, m.approved_at) = 0
            AND CASE WHEN m.transfer_reference IS NULL
                THEN num_nonnulls(m.transfer_amount, m.transfer_date, m.transfer_notes) = 0
                ELSE num_nulls(m.transfer_amount, m.transfer_date) = 0 END
            AND num_nonnulls(m.rejected_by, m.rejected_at, m.rejection_reason,
                m.disbursement_id, m.disbursed_by, m.disbursed_at, m.burned, m.burn_id) = 0
        WHEN 'disbursing' THEN num_nulls(
                m.submitted_by, m.submitted_at, m.approved_by, m.approved_at,
                m.transfer_reference, m.transfer_amount, m.transfer_date, m.disbursement_id) = 0
            AND num_nonnulls(m.rejected_by, m.rejected_at, m.rejection_reason,
                m.disbursed_by, m.disbursed_at, m.burned, m.burn_id) = 0
        WHEN 'disbursed' THEN num_nulls(
                m.submitted_by, m.submitted_at, m.approved_by, m.approved_at,
                m.transfer_reference, m.transfer_amount, m.transfer_date,
                m.disbursed_by, m.disbursed_at, m.burned, m.burn_id) = 0
            AND num_nonnulls(
                m.rejected_by, m.rejected_at, m.rejection_reason, m.disbursement_id) = 0
        ELSE false
    END;
END
$$;
ALTER TABLE milestones ADD CONSTRAINT milestones_state CHECK (milestones_state(milestones));

CREATE UNIQUE INDEX milestones_transfer_reference ON milestones (project_id, transfer_reference)
    WHERE transfer_reference IS NOT NULL;

-- The key alone would let a row change under the evidence it has, vanish, or come back under the
-- evidence of its youth. So every change is a new version, a milestone begins with version 1 and
-- once only, and its absence is a version that needs evidence too, looked for at the commit.
CREATE FUNCTION milestones_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        RAISE EXCEPTION '% on % is refused: milestones leave one by one, each with its evidence',
            TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RAISE EXCEPTION '% on % is refused: milestone % is at version %, and the next state is the next',
        TG_OP, TG_TABLE_NAME, OLD.id, OLD.version
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE FUNCTION milestones_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <> 1 OR EXISTS (
        SELECT FROM milestone_evidence WHERE milestone_id = NEW.id AND version > 1
    ) THEN
        RAISE EXCEPTION '% on % is refused: milestone % does not begin with this version',
            TG_OP, TG_TABLE_NAME, NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION milestones_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM milestone_evidence WHERE milestone_id = OLD.id AND version = OLD.version + 1
    ) THEN
        RAISE EXCEPTION '% on % is refused: nothing proves that milestone % is gone',
            TG_OP, TG_TABLE_NAME, OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER milestones_begin BEFORE INSERT ON milestones
    FOR EACH ROW EXECUTE FUNCTION milestones_begin();
CREATE TRIGGER milestones_next BEFORE UPDATE ON milestones
    FOR EACH ROW WHEN (NEW.id <> OLD.id OR NEW.version <> OLD.version + 1)
    EXECUTE FUNCTION milestones_refuse();
CREATE TRIGGER milestones_no_truncate BEFORE TRUNCATE ON milestones
    FOR EACH STATEMENT EXECUTE FUNCTION milestones_refuse();
CREATE CONSTRAINT TRIGGER milestones_end AFTER DELETE ON milestones
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION milestones_end();

CREATE TABLE disbursements (
    id                uuid        PRIMARY KEY,
    project_id        uuid        NOT NULL REFERENCES projects (id),
    milestone_id      uuid        NOT NULL REFERENCES milestones (id),
    amount            bigint      NOT NULL,
    wallet_account_id text        COLLATE "C" NOT NULL,
    ordered_by_id     text        COLLATE "C" NOT NULL,
    ordered_by_role   text        COLLATE "C" NOT NULL,
    ip_address        inet,
    user_agent        text,
    request_id        text,
    prepared_at       timestamptz NOT NULL,
    burn_id           text        COLLATE "C" NOT NULL,
    envelope          bytea       NOT NULL,
    memo              bytea       NOT NULL,
    network           text        COLLATE "C" NOT NULL,
    sequence_account  text        COLLATE "C" NOT NULL,
    sequence          bigint      NOT NULL,
    valid_until       timestamptz NOT NULL,
    signed_at_ledger  bigint      NOT NULL,
    state             text        COLLATE "C" NOT NULL,
    operator_reason   text,
    settled_at        timestamptz,
    settled_ledger    bigint,
    failed_at         timestamptz,
    failure_code      text        COLLATE "C",
    failure_detail    text,
    attempts          bigint      NOT NULL,
    leased_until      timestamptz,
    version           bigint      NOT NULL,

    CONSTRAINT disbursements_burn UNIQUE (network, burn_id),
    CONSTRAINT disbursements_amount CHECK (amount > 0),
    CONSTRAINT disbursements_memo CHECK (octet_length(memo) = 32),
    CONSTRAINT disbursements_ledgers CHECK (
        signed_at_ledger BETWEEN 0 AND 4294967295 AND settled_ledger BETWEEN 0 AND 4294967295),
    CONSTRAINT disbursements_attempts CHECK (attempts >= 0),
    CONSTRAINT disbursements_version CHECK (version >= 1)
) WITH (fillfactor = 80);

-- Which columns a state fills, and which it leaves empty.
CREATE FUNCTION disbursements_state(d disbursements) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE
        WHEN d.state IN ('prepared', 'submitted') THEN num_nonnulls(d.operator_reason,
                d.settled_at, d.settled_ledger, d.failed_at, d.failure_code, d.failure_detail) = 0
        WHEN d.state = 'needs_operator' THEN d.operator_reason IS NOT NULL AND num_nonnulls(
                d.settled_at, d.settled_ledger, d.failed_at, d.failure_code, d.failure_detail) = 0
        WHEN d.state = 'settled' THEN num_nulls(d.settled_at, d.settled_ledger) = 0
            AND num_nonnulls(d.operator_reason, d.failed_at, d.failure_code, d.failure_detail) = 0
        WHEN d.state = 'failed' THEN num_nulls(d.failed_at, d.failure_code, d.failure_detail) = 0
            AND num_nonnulls(d.operator_reason, d.settled_at, d.settled_ledger) = 0
        ELSE false
    END;
END
$$;
ALTER TABLE disbursements
    ADD CONSTRAINT disbursements_state CHECK (disbursements_state(disbursements));

-- A slot stays taken when its burn is settled, and when it failed by using its sequence number: the
-- ledger will never take that number again, so a node that offers it lags, and the answer is to plan
-- again. Only a burn that expired unused gives its slot back.
CREATE UNIQUE INDEX disbursements_slot ON disbursements (network, sequence_account, sequence)
    WHERE state <> 'failed' OR failure_code <> 'expired';
CREATE UNIQUE INDEX disbursements_open ON disbursements (milestone_id)
    WHERE state IN ('prepared', 'submitted', 'needs_operator');
CREATE INDEX disbursements_lease ON disbursements (leased_until NULLS FIRST, id)
    WHERE state IN ('prepared', 'submitted', 'needs_operator');
CREATE INDEX disbursements_milestone ON disbursements (milestone_id);
CREATE INDEX disbursements_project ON disbursements (project_id, id);
CREATE INDEX disbursements_by_state ON disbursements (state, id);

-- Not indexed on this side: disbursements are never deleted.
ALTER TABLE milestones ADD CONSTRAINT milestones_disbursement
    FOREIGN KEY (disbursement_id) REFERENCES disbursements (id);

CREATE TABLE wallets (
    account_id  text  COLLATE "C" PRIMARY KEY,
    custody     text  COLLATE "C" NOT NULL,
    key_id      text  COLLATE "C" NOT NULL,
    sealed_seed bytea NOT NULL
);

CREATE TABLE api_keys (
    id         text        COLLATE "C" PRIMARY KEY,
    subject    text        COLLATE "C" NOT NULL,
    roles      text[]      NOT NULL,
    project_id uuid,
    hash       bytea       NOT NULL,
    rate_limit text,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,

    CONSTRAINT api_keys_hash CHECK (octet_length(hash) = 32)
);

CREATE TABLE idempotency_keys (
    subject       text        COLLATE "C" NOT NULL,
    key           text        COLLATE "C" NOT NULL,
    fingerprint   bytea       NOT NULL,
    made          uuid,
    answer_status integer,
    answer_body   text,
    created_at    timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (subject, key),
    CONSTRAINT idempotency_keys_fingerprint CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT idempotency_keys_answer CHECK (
        (answer_status IS NULL) = (answer_body IS NULL) AND answer_status BETWEEN 100 AND 999)
);

