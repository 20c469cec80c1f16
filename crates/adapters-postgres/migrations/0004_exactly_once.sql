-- Burns in flight side by side, each certain: further envelopes, channel accounts, people's
-- judgement, and what is kept of the ledger to compare the books with.

ALTER TABLE disbursements
    -- Further envelopes for the same slot: [{burn_id, envelope (base64), valid_until}], oldest first.
    ADD COLUMN replacements    jsonb NOT NULL DEFAULT '[]',
    -- Which of its burns the ledger holds. Rows settled before had only burn_id.
    ADD COLUMN settled_burn_id text  COLLATE "C",
    -- One person's judgement: {judgement, burn_id, ledger, why, by, at}.
    ADD COLUMN proposal        jsonb,
    -- In flight beside another one of its account since before accounts were leased.
    ADD COLUMN shares_sequence_account boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION disbursements_state(d disbursements) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN jsonb_typeof(d.replacements) = 'array' AND CASE
        WHEN d.state IN ('prepared', 'submitted') THEN num_nonnulls(d.operator_reason, d.proposal,
                d.settled_at, d.settled_burn_id, d.settled_ledger,
                d.failed_at, d.failure_code, d.failure_detail) = 0
        WHEN d.state = 'needs_operator' THEN d.operator_reason IS NOT NULL AND num_nonnulls(
                d.settled_at, d.settled_burn_id, d.settled_ledger,
                d.failed_at, d.failure_code, d.failure_detail) = 0
        WHEN d.state = 'settled' THEN num_nulls(d.settled_at, d.settled_ledger) = 0
            AND (d.settled_burn_id IS NULL OR d.settled_burn_id = d.burn_id OR d.replacements
                @> jsonb_build_array(jsonb_build_object('burn_id', d.settled_burn_id)))
            AND num_nonnulls(d.operator_reason, d.proposal,
                d.failed_at, d.failure_code, d.failure_detail) = 0
        WHEN d.state = 'failed' THEN num_nulls(d.failed_at, d.failure_code, d.failure_detail) = 0
            AND num_nonnulls(d.operator_reason, d.proposal,
                d.settled_at, d.settled_burn_id, d.settled_ledger) = 0
        ELSE false
    END;
END
$$;

-- Every envelope that was ever kept may be on the ledger: none is forgotten.
CREATE FUNCTION disbursements_keep_envelopes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    FOR place IN 0..jsonb_array_length(OLD.replacements) - 1 LOOP
        IF NEW.replacements -> place IS DISTINCT FROM OLD.replacements -> place THEN
            RAISE EXCEPTION '% on % is refused: disbursement % keeps its envelopes',
                TG_OP, TG_TABLE_NAME, OLD.id
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;
CREATE TRIGGER disbursements_keep_envelopes BEFORE UPDATE OF replacements ON disbursements
    FOR EACH ROW WHEN (NEW.replacements <> OLD.replacements)
    EXECUTE FUNCTION disbursements_keep_envelopes();

UPDATE disbursements d SET shares_sequence_account = true
WHERE state IN ('prepared', 'submitted', 'needs_operator') AND EXISTS (
    SELECT FROM disbursements other
    WHERE other.network = d.network AND other.sequence_account = d.sequence_account
        AND other.state IN ('prepared', 'submitted', 'needs_operator') AND other.id < d.id);

-- The lease of a channel account, and of a wallet that is its own source: only a verdict ends it.
CREATE UNIQUE INDEX disbursements_sequence_account ON disbursements (network, sequence_account)
    WHERE state IN ('prepared', 'submitted', 'needs_operator') AND NOT shares_sequence_account;
CREATE INDEX disbursements_memo ON disbursements (network, memo);

-- The NAV at the opening: what went from it since is what was burned.
ALTER TABLE projects ADD COLUMN opening_nav bigint;
UPDATE projects p SET opening_nav = nav + coalesce(
    (SELECT sum(amount) FROM disbursements d WHERE d.project_id = p.id AND d.state = 'settled'), 0);
ALTER TABLE projects ALTER COLUMN opening_nav SET NOT NULL;

CREATE FUNCTION projects_keep_opening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the opening of project % is over',
        TG_OP, TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER projects_keep_opening BEFORE UPDATE OF opening_nav ON projects
    FOR EACH ROW WHEN (NEW.opening_nav <> OLD.opening_nav)
    EXECUTE FUNCTION projects_keep_opening();

-- Accounts that lend their sequence numbers, once the ledger has shown them.
CREATE TABLE channel_accounts (
    network    text        COLLATE "C" NOT NULL,
    account_id text        COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL,
    funded_at  timestamptz
);

-- How far each ledger was watched: every burn of our wallets in these ledgers is in ledger_burns.
CREATE TABLE ledger_watch (
    network      text        COLLATE "C" PRIMARY KEY,
    watched_from bigint      NOT NULL,
    watched_to   bigint      NOT NULL,
    at           timestamptz NOT NULL,

    CONSTRAINT ledger_watch_ledgers CHECK (
        watched_from BETWEEN 0 AND 4294967295 AND watched_to BETWEEN 0 AND 4294967295)
);

CREATE TABLE ledger_burns (
    network           text        COLLATE "C" NOT NULL,
    burn_id           text        COLLATE "C" NOT NULL,
    ledger            bigint      NOT NULL,
    wallet_account_id text        COLLATE "C" NOT NULL,
    amount            bigint      NOT NULL,
    memo              bytea,
    seen_at           timestamptz NOT NULL,

    -- One transaction can burn for many wallets.
    PRIMARY KEY (network, burn_id, wallet_account_id),
    CONSTRAINT ledger_burns_ledger CHECK (ledger BETWEEN 0 AND 4294967295),
    CONSTRAINT ledger_burns_amount CHECK (amount >= 0),
    CONSTRAINT ledger_burns_memo CHECK (octet_length(memo) = 32)
);
CREATE INDEX ledger_burns_by_memo ON ledger_burns (network, memo) WHERE memo IS NOT NULL;
CREATE TRIGGER ledger_burns_append_only BEFORE UPDATE OR DELETE ON ledger_burns
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER ledger_burns_no_truncate BEFORE TRUNCATE ON ledger_burns
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

-- What the ledger shows as burned is never paid again, whoever says that it failed.
CREATE FUNCTION disbursements_burned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM ledger_burns b WHERE b.network = NEW.network AND b.memo = NEW.memo) THEN
        RAISE EXCEPTION '% on % is refused: the ledger holds a burn of disbursement %',
            TG_OP, TG_TABLE_NAME, NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER disbursements_burned BEFORE INSERT OR UPDATE OF state ON disbursements
    FOR EACH ROW WHEN (NEW.state = 'failed')
    EXECUTE FUNCTION disbursements_burned();
