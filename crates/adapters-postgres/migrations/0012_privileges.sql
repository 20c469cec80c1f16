-- What the roles may do with the tables and functions of retention and webhooks.

GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_secrets TO tranche_application;

GRANT SELECT, INSERT, UPDATE ON audit_holds TO tranche_application;
GRANT SELECT ON audit_retention_runs, audit_expiring, audit_expired, audit_rollups_expired,
    audit_counts TO tranche_application;
GRANT SELECT ON audit_expired, audit_rollups_expired, audit_counts TO tranche_reader;
GRANT EXECUTE ON FUNCTION audit_parts() TO tranche_application;

-- Events leave the log by this role alone.
GRANT SELECT, INSERT, UPDATE ON audit_retention_runs TO tranche_retention;
GRANT SELECT ON audit_archive, audit_leaves, audit_expiring TO tranche_retention;
CREATE POLICY read_in_scope_to_retain ON audit_archive FOR SELECT TO tranche_retention
    USING ((SELECT current_setting('tranche.scope', true)) = 'all');
GRANT EXECUTE ON FUNCTION
    audit_part_bounds(text, timestamptz),
    audit_part_bounds_hold(text, timestamptz),
    audit_archive_part(text, timestamptz, integer, timestamptz),
    audit_archive_strays(text, timestamptz, integer, timestamptz, integer),
    audit_keep_leaf_records(text, timestamptz, bigint[], bytea[], uuid),
    audit_expire_part(text, timestamptz, integer, timestamptz, timestamptz, uuid, text, bytea)
    TO tranche_retention;

-- Whoever migrates runs the service as a rule. Where this login may not grant the role, an administrator
-- does (docs/operations.md); until then the log takes and gives events, and none leaves it.
DO $$
DECLARE
    before CONSTANT text := current_setting('role');
BEGIN
    PERFORM set_config('role', 'tranche_retention', true);
    PERFORM set_config('role', before, true);
EXCEPTION WHEN insufficient_privilege THEN
    BEGIN
        EXECUTE format('GRANT tranche_retention TO %I', session_user);
    EXCEPTION
        WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
            NULL;
    END;
END
$$;
