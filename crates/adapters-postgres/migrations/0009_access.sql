-- Who may do what: three roles, and Row Level Security on whatever tells of events.
--
-- The service takes tranche_application on every connection but those that change the schema,
-- whoever its URL logs in as. Roles are the cluster's and privileges the database's, so that any
-- number of databases share these names and nothing else. The schema's owner is policed by triggers
-- alone.
--
-- tranche.scope says how far a transaction sees: 'all', or a project's id. Where nothing says it,
-- no event is seen or written.

DO $$
DECLARE
    wanted CONSTANT text[] := ARRAY['tranche_application', 'tranche_reader', 'tranche_retention'];
    before CONSTANT text := current_setting('role');
    one    text;
BEGIN
    FOREACH one IN ARRAY wanted LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', one);
            EXCEPTION
                -- The migration of another database of this cluster was first.
                WHEN duplicate_object OR unique_violation THEN
                    NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the role % is missing and % may not make it: an administrator must run CREATE ROLE %; GRANT % TO %;',
                        one, session_user, array_to_string(wanted, '; CREATE ROLE '),
                        wanted[1], quote_ident(session_user)
                        USING ERRCODE = 'insufficient_privilege';
            END;
        END IF;
        IF EXISTS (SELECT FROM pg_roles
            WHERE rolname = one AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcanlogin)) THEN
            RAISE EXCEPTION 'the role % may do too much: an administrator must run ALTER ROLE % NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOLOGIN;',
                one, one USING ERRCODE = 'insufficient_privilege';
        END IF;
    END LOOP;
    BEGIN
        PERFORM set_config('role', wanted[1], true);
        PERFORM set_config('role', before, true);
    EXCEPTION WHEN insufficient_privilege THEN
        BEGIN
            EXECUTE format('GRANT %I TO %I', wanted[1], session_user);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% may not take the role %: an administrator must run GRANT % TO %;',
                    session_user, wanted[1], wanted[1], quote_ident(session_user)
                    USING ERRCODE = 'insufficient_privilege';
        END;
    END;
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s',
        current_schema(), array_to_string(wanted, ', '));
END
$$;

-- Partitions have no privileges: they are reached through their parents, and so by the policies.
GRANT SELECT ON _sqlx_migrations TO tranche_application;
GRANT SELECT, INSERT, UPDATE, DELETE ON projects, milestones, disbursements, audit_reports
    TO tranche_application;
GRANT SELECT, INSERT, UPDATE
    ON wallets, secrets, api_keys, actors, idempotency_keys, channel_accounts, ledger_watch, audit_rollups,
    audit_tree
    TO tranche_application;
GRANT SELECT, INSERT
    ON milestone_evidence, ledger_burns, audit_events, audit_leaves, audit_leaf_records,
    audit_nodes, audit_checkpoints
    TO tranche_application;
GRANT SELECT ON audit_archive TO tranche_application;
GRANT SELECT, INSERT, DELETE ON audit_pending, audit_outbox, audit_dead_letters
    TO tranche_application;
-- To lock a row takes the privilege to change it. A policy refuses the change itself.
GRANT UPDATE (id) ON audit_outbox, audit_dead_letters TO tranche_application;

GRANT SELECT ON audit_events, audit_archive, audit_rollups, audit_leaves, audit_leaf_records,
    audit_nodes, audit_checkpoints, audit_tree, milestone_evidence TO tranche_reader;

-- Each sub-select is evaluated once in a statement, not once a row.
DO $$
DECLARE
    told    CONSTANT text := '(SELECT current_setting(''tranche.scope'', true))';
    all_    CONSTANT text := told || ' = ''all''';
    project CONSTANT text := all_ || ' OR project_id =
        (SELECT nullif(nullif(current_setting(''tranche.scope'', true), ''all''), '''')::uuid)';
    owner   text;
    sees    text;
BEGIN
    FOR owner, sees IN VALUES ('audit_events', project), ('audit_archive', project),
        ('audit_outbox', project),
        ('audit_dead_letters', all_), ('audit_rollups', all_)
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', owner);
        EXECUTE format('CREATE POLICY read_in_scope ON %I FOR SELECT
            TO tranche_application, tranche_reader USING (%s)', owner, sees);
        EXECUTE format('CREATE POLICY write_in_scope ON %I FOR INSERT
            TO tranche_application WITH CHECK (%s)', owner, sees);
    END LOOP;
    FOR owner, sees IN VALUES ('audit_outbox', project), ('audit_dead_letters', all_) LOOP
        EXECUTE format('CREATE POLICY take_in_scope ON %I FOR DELETE
            TO tranche_application USING (%s)', owner, sees);
        EXECUTE format('CREATE POLICY lock_in_scope ON %I FOR UPDATE
            TO tranche_application USING (%s) WITH CHECK (false)', owner, sees);
    END LOOP;
    EXECUTE format('CREATE POLICY count_in_scope ON audit_rollups FOR UPDATE
        TO tranche_application USING (%s)', all_);
END
$$;

-- Making partitions is the owner's work, which the application may ask for.
REVOKE EXECUTE ON FUNCTION audit_partition(text, timestamptz), audit_partitions(integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_partitions(integer) TO tranche_application;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION audit_partitions(integer) SECURITY DEFINER
        SET search_path = %I, pg_temp', current_schema());
END
$$;
