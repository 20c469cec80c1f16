//! Everything that a role holds beside the application's tables, which `access` has, and every policy (S9):
//! what is not written here is held by nobody.

use super::subject::fresh;

/// Tables of the other roles, columns, schemas, functions that run with their owner's rights, and other
/// roles. Everybody is who has no name.
const HELD: &str = "\
everybody schema public: USAGE
tranche_application audit_partitions(): EXECUTE
tranche_application audit_parts(): EXECUTE
tranche_application schema public: USAGE
tranche_reader audit_archive: SELECT
tranche_reader audit_checkpoints: SELECT
tranche_reader audit_counts: SELECT
tranche_reader audit_events: SELECT
tranche_reader audit_expired: SELECT
tranche_reader audit_leaf_records: SELECT
tranche_reader audit_leaves: SELECT
tranche_reader audit_nodes: SELECT
tranche_reader audit_rollups: SELECT
tranche_reader audit_rollups_expired: SELECT
tranche_reader audit_tree: SELECT
tranche_reader milestone_evidence: SELECT
tranche_reader schema public: USAGE
tranche_retention audit_archive: SELECT
tranche_retention audit_archive_part(): EXECUTE
tranche_retention audit_archive_strays(): EXECUTE
tranche_retention audit_expire_part(): EXECUTE
tranche_retention audit_expiring: SELECT
tranche_retention audit_keep_leaf_records(): EXECUTE
tranche_retention audit_leaves: SELECT
tranche_retention audit_part_bounds(): EXECUTE
tranche_retention audit_part_bounds_hold(): EXECUTE
tranche_retention audit_retention_runs: INSERT SELECT UPDATE
tranche_retention schema public: USAGE";

const ASKED: &str = "WITH held (holder, thing, what) AS (
        SELECT grantee, relname::text, privilege_type FROM pg_class, aclexplode(relacl)
        WHERE relnamespace = 'public'::regnamespace
            AND grantee <> 'tranche_application'::regrole
        UNION SELECT grantee, attrelid::regclass || '.' || attname, privilege_type
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid, aclexplode(attacl)
        WHERE relnamespace = 'public'::regnamespace
            AND grantee <> 'tranche_application'::regrole
        UNION SELECT grantee, 'schema ' || nspname, privilege_type
        FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public'
        UNION SELECT grantee, proname || '()', privilege_type
        FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        WHERE pronamespace = 'public'::regnamespace AND prosecdef
        UNION SELECT member, 'role ' || roleid::regrole, 'MEMBER' FROM pg_auth_members
    ), roles (id, name) AS (
        SELECT 0::oid, 'everybody'
        UNION SELECT oid, rolname FROM pg_roles WHERE rolname LIKE 'tranche\\_%'
    )
    SELECT name || ' ' || thing || ': ' || string_agg(what, ' ' ORDER BY what)
    FROM held JOIN roles ON id = holder GROUP BY name, thing ORDER BY (name || ' ' || thing) COLLATE \"C\"";

/// Policies with the roles that they are for, which rows each lets be seen and which be written: all in the
/// scope of all, a project's own too, or never any.
const POLICIES: &str = "\
assessment_trails change_in_scope UPDATE application: own own
assessment_trails clean_up DELETE application: all -
assessment_trails read_in_scope SELECT application: own -
assessment_trails write_in_scope INSERT application: - own
audit_archive read_in_scope SELECT application,reader: own -
audit_archive read_in_scope_to_retain SELECT retention: all -
audit_archive write_in_scope INSERT application: - own
audit_dead_letters lock_in_scope UPDATE application: all never
audit_dead_letters read_in_scope SELECT application,reader: all -
audit_dead_letters take_in_scope DELETE application: all -
audit_dead_letters write_in_scope INSERT application: - all
audit_events read_in_scope SELECT application,reader: own -
audit_events write_in_scope INSERT application: - own
audit_leaf_records read_in_scope SELECT application,reader: all -
audit_outbox lock_in_scope UPDATE application: own never
audit_outbox read_in_scope SELECT application,reader: own -
audit_outbox take_in_scope DELETE application: own -
audit_outbox write_in_scope INSERT application: - own
audit_pending read_in_scope SELECT application,reader: all -
audit_pending take_in_scope DELETE application: all -
audit_pending write_in_scope INSERT application: - all
audit_rollups count_in_scope UPDATE application: all -
audit_rollups read_in_scope SELECT application,reader: all -
audit_rollups write_in_scope INSERT application: - all
audit_rollups_expired read_in_scope SELECT application,reader: all -
trail_rollups change_in_scope UPDATE application: own own
trail_rollups clean_up DELETE application: all -
trail_rollups read_in_scope SELECT application: own -
trail_rollups write_in_scope INSERT application: - own";

/// `access` has what the two conditions mean, on the tables that they are taken from here.
const WALLS: &str = "WITH named (text, name) AS (
        SELECT qual, 'own' FROM pg_policies
        WHERE tablename = 'audit_events' AND policyname = 'read_in_scope'
        UNION SELECT qual, 'all' FROM pg_policies
        WHERE tablename = 'audit_rollups' AND policyname = 'read_in_scope'
        UNION VALUES ('false', 'never')
    )
    SELECT replace(concat_ws(' ', tablename, policyname, cmd, array_to_string(roles, ',')), 'tranche_', '')
        || ': ' || coalesce((SELECT name FROM named WHERE text = qual), qual, '-')
        || ' ' || coalesce((SELECT name FROM named WHERE text = with_check), with_check, '-')
    FROM pg_policies JOIN pg_class ON oid = tablename::regclass AND relrowsecurity
    WHERE schemaname = 'public' AND permissive = 'PERMISSIVE'
    ORDER BY (tablename || ' ' || policyname) COLLATE \"C\"";

#[tokio::test]
async fn every_wall_is_as_it_is_written_here() {
    let subject = fresh().await;
    let walls: Vec<String> = sqlx::query_scalar(WALLS)
        .fetch_all(&subject.past)
        .await
        .expect("the policies");
    let expected: Vec<&str> = POLICIES.lines().collect();
    assert_eq!(walls, expected);
}

#[tokio::test]
async fn nobody_holds_more_than_is_written_here() {
    let subject = fresh().await;
    let held: Vec<String> = sqlx::query_scalar(ASKED)
        .fetch_all(&subject.past)
        .await
        .expect("the privileges");
    let expected: Vec<&str> = HELD.lines().collect();
    assert_eq!(held, expected);
    let unbound = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tranche\\_%'
        AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolcanlogin)";
    assert_eq!(subject.value(unbound).await, 0);
}
