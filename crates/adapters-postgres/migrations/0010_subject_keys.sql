-- The keys under which sensitive details are sealed, one for each subject. Erasing one is all that
-- it takes to erase what it sealed, in every copy of the log.

CREATE TABLE audit_subject_keys (
    id         uuid        PRIMARY KEY,
    -- HMAC-SHA-256 of the subject's id.
    subject    bytea,
    key_id     text        COLLATE "C",
    sealed     bytea,
    created_at timestamptz NOT NULL,
    erased_at  timestamptz,
    erased_by  text        COLLATE "C",

    CONSTRAINT audit_subject_keys_subject CHECK (octet_length(subject) = 32),
    -- Once it is erased nothing but when and by whom is left.
    CONSTRAINT audit_subject_keys_state CHECK (CASE WHEN erased_at IS NULL
        THEN num_nulls(subject, key_id, sealed) = 0 AND erased_by IS NULL
        ELSE num_nonnulls(subject, key_id, sealed) = 0 AND erased_by IS NOT NULL END)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 0);
CREATE UNIQUE INDEX audit_subject_keys_in_force ON audit_subject_keys (subject)
    WHERE erased_at IS NULL;

-- What is erased stays erased, and a key is only ever sealed anew or erased.
CREATE FUNCTION audit_subject_keys_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: a key is sealed anew or erased, and stays so',
        TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_subject_keys_stay BEFORE UPDATE ON audit_subject_keys
    FOR EACH ROW WHEN (OLD.erased_at IS NOT NULL OR NEW.id <> OLD.id
        OR NEW.created_at <> OLD.created_at
        OR (NEW.erased_at IS NULL AND NEW.subject <> OLD.subject))
    EXECUTE FUNCTION audit_subject_keys_refuse();
CREATE TRIGGER audit_subject_keys_no_delete BEFORE DELETE ON audit_subject_keys
    FOR EACH ROW EXECUTE FUNCTION audit_subject_keys_refuse();
CREATE TRIGGER audit_subject_keys_no_truncate BEFORE TRUNCATE ON audit_subject_keys
    FOR EACH STATEMENT EXECUTE FUNCTION audit_subject_keys_refuse();

GRANT SELECT, INSERT, UPDATE ON audit_subject_keys TO tranche_application;

-- Where an order came from, sealed: the key's id and what it opens.
ALTER TABLE disbursements
    ADD COLUMN origin_key    uuid,
    ADD COLUMN origin_sealed bytea,
    ADD CONSTRAINT disbursements_origin CHECK (num_nulls(origin_key, origin_sealed) <> 1);
