-- Burns in flight side by side, each certain: further envelopes, channel accounts, people's
-- judgement, and what is kept of the ledger to compare the books with.

-- Further envelopes for the same slot: [{burn_id, envelope (base64), valid_until}], oldest first.
ALTER TABLE disbursements ADD COLUMN replacements TEXT NOT NULL DEFAULT '[]'
    CONSTRAINT disbursements_replacements
        CHECK (json_valid(replacements) AND json_type(replacements) = 'array');
-- Which of its burns the ledger holds. Rows settled before had only burn_id.
ALTER TABLE disbursements ADD COLUMN settled_burn_id TEXT
    CONSTRAINT disbursements_settled_burn CHECK (settled_burn_id IS NULL OR state = 'settled');
-- One person's judgement: {judgement, burn_id, ledger, why, by, at}.
ALTER TABLE disbursements ADD COLUMN proposal TEXT
    CONSTRAINT disbursements_proposal
        CHECK (proposal IS NULL OR (state = 'needs_operator' AND json_valid(proposal)));
-- In flight beside another one of its account since before accounts were leased.
ALTER TABLE disbursements ADD COLUMN shares_sequence_account INTEGER NOT NULL DEFAULT 0;

-- Every envelope that was ever kept may be on the ledger: none is forgotten. What is kept is the
-- beginning of what replaces it, but for the closing bracket.
CREATE TRIGGER disbursements_keep_envelopes BEFORE UPDATE OF replacements ON disbursements
WHEN substr(NEW.replacements, 1, length(OLD.replacements) - 1)
    <> substr(OLD.replacements, 1, length(OLD.replacements) - 1)
BEGIN
    SELECT RAISE(ABORT, 'a disbursement keeps its envelopes');
END;

UPDATE disbursements SET shares_sequence_account = 1
WHERE state IN ('prepared', 'submitted', 'needs_operator') AND EXISTS (
    SELECT 1 FROM disbursements other
    WHERE other.network = disbursements.network
        AND other.sequence_account = disbursements.sequence_account
        AND other.state IN ('prepared', 'submitted', 'needs_operator')
        AND other.id < disbursements.id);

-- The lease of a channel account, and of a wallet that is its own source: only a verdict ends it.
CREATE UNIQUE INDEX disbursements_sequence_account ON disbursements (network, sequence_account)
    WHERE state IN ('prepared', 'submitted', 'needs_operator') AND NOT shares_sequence_account;
CREATE INDEX disbursements_memo ON disbursements (network, memo);

-- The NAV at the opening: what went from it since is what was burned.
ALTER TABLE projects ADD COLUMN opening_nav INTEGER NOT NULL DEFAULT 0;
UPDATE projects SET opening_nav = nav + coalesce(
    (SELECT sum(amount) FROM disbursements WHERE project_id = projects.id AND state = 'settled'), 0);
CREATE TRIGGER projects_keep_opening BEFORE UPDATE OF opening_nav ON projects
WHEN NEW.opening_nav <> OLD.opening_nav
BEGIN
    SELECT RAISE(ABORT, 'the opening of a project is over');
END;

-- Accounts that lend their sequence numbers, once the ledger has shown them.
CREATE TABLE channel_accounts (
    network    TEXT    NOT NULL,
    account_id TEXT    NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    funded_at  INTEGER
) STRICT;

-- How far each ledger was watched: every burn of our wallets in these ledgers is in ledger_burns.
CREATE TABLE ledger_watch (
    network      TEXT    NOT NULL PRIMARY KEY,
    watched_from INTEGER NOT NULL,
    watched_to   INTEGER NOT NULL,
    at           INTEGER NOT NULL,

    CONSTRAINT ledger_watch_ledgers CHECK (
        watched_from BETWEEN 0 AND 4294967295 AND watched_to BETWEEN 0 AND 4294967295)
) STRICT;

CREATE TABLE ledger_burns (
    network           TEXT    NOT NULL,
    burn_id           TEXT    NOT NULL,
    ledger            INTEGER NOT NULL,
    wallet_account_id TEXT    NOT NULL,
    amount            INTEGER NOT NULL,
    memo              BLOB,
    seen_at           INTEGER NOT NULL,

    -- One transaction can burn for many wallets.
    PRIMARY KEY (network, burn_id, wallet_account_id),
    CONSTRAINT ledger_burns_ledger CHECK (ledger BETWEEN 0 AND 4294967295),
    CONSTRAINT ledger_burns_amount CHECK (amount >= 0),
    CONSTRAINT ledger_burns_memo CHECK (length(memo) = 32)
) STRICT, WITHOUT ROWID;

CREATE INDEX ledger_burns_by_memo ON ledger_burns (network, memo) WHERE memo IS NOT NULL;

CREATE TRIGGER ledger_burns_no_update BEFORE UPDATE ON ledger_burns
BEGIN
    SELECT RAISE(ABORT, 'ledger_burns is append-only: what the ledger showed stays');
END;
CREATE TRIGGER ledger_burns_no_delete BEFORE DELETE ON ledger_burns
BEGIN
    SELECT RAISE(ABORT, 'ledger_burns is append-only: what the ledger showed stays');
END;
CREATE TRIGGER ledger_burns_no_replace BEFORE INSERT ON ledger_burns
WHEN EXISTS (
    SELECT 1 FROM ledger_burns WHERE network = NEW.network AND burn_id = NEW.burn_id
        AND wallet_account_id = NEW.wallet_account_id)
BEGIN
    SELECT RAISE(ABORT, 'ledger_burns is append-only: what the ledger showed stays');
END;

-- What the ledger shows as burned is never paid again, whoever says that it failed.
CREATE TRIGGER disbursements_burned_insert BEFORE INSERT ON disbursements
WHEN NEW.state = 'failed' AND EXISTS (
    SELECT 1 FROM ledger_burns WHERE network = NEW.network AND memo = NEW.memo)
BEGIN
    SELECT RAISE(ABORT, 'the ledger holds a burn of the disbursement');
END;
CREATE TRIGGER disbursements_burned_update BEFORE UPDATE OF state ON disbursements
WHEN NEW.state = 'failed' AND EXISTS (
    SELECT 1 FROM ledger_burns WHERE network = NEW.network AND memo = NEW.memo)
BEGIN
    SELECT RAISE(ABORT, 'the ledger holds a burn of the disbursement');
END;
