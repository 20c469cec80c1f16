-- The keys under which sensitive details are sealed, one for each subject. Erasing one is all that
-- it takes to erase what it sealed, in every copy of the log.

CREATE TABLE audit_subject_keys (
    id         TEXT    PRIMARY KEY,
    -- HMAC-SHA-256 of the subject's id.
    subject    BLOB    CHECK (length(subject) = 32),
    key_id     TEXT,
    sealed     BLOB,
    created_at INTEGER NOT NULL,
    erased_at  INTEGER,
    erased_by  TEXT,

    -- Once it is erased nothing but when and by whom is left.
    CHECK (CASE WHEN erased_at IS NULL
        THEN subject IS NOT NULL AND key_id IS NOT NULL AND sealed IS NOT NULL AND erased_by IS NULL
        ELSE coalesce(subject, key_id, sealed) IS NULL AND erased_by IS NOT NULL END)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX audit_subject_keys_in_force ON audit_subject_keys (subject)
    WHERE erased_at IS NULL;

-- What is erased stays erased, and a key is only ever sealed anew or erased.
CREATE TRIGGER audit_subject_keys_stay BEFORE UPDATE ON audit_subject_keys
WHEN OLD.erased_at IS NOT NULL OR NEW.id <> OLD.id OR NEW.created_at <> OLD.created_at
    OR (NEW.erased_at IS NULL AND NEW.subject <> OLD.subject)
BEGIN
    SELECT RAISE(ABORT, 'a key is sealed anew or erased, and stays so');
END;
CREATE TRIGGER audit_subject_keys_no_delete BEFORE DELETE ON audit_subject_keys
BEGIN
    SELECT RAISE(ABORT, 'a key is sealed anew or erased, and stays so');
END;

-- Where an order came from, sealed: the key's id and what it opens.
ALTER TABLE disbursements ADD COLUMN origin_key TEXT;
ALTER TABLE disbursements ADD COLUMN origin_sealed BLOB;
