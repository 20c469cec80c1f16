-- Leaf records are written by retention alone, and whatever tells of events is seen in a scope.

-- audit_keep_leaf_records() writes them with its owner's rights, each compared with its leaf.
REVOKE INSERT ON audit_leaf_records FROM tranche_application;

DO $$
DECLARE
    all_  CONSTANT text := '(SELECT current_setting(''tranche.scope'', true)) = ''all''';
    owner text;
BEGIN
    FOREACH owner IN ARRAY ARRAY['audit_leaf_records', 'audit_pending', 'audit_rollups_expired'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', owner);
        EXECUTE format('CREATE POLICY read_in_scope ON %I FOR SELECT
            TO tranche_application, tranche_reader USING (%s)', owner, all_);
    END LOOP;
    EXECUTE format('CREATE POLICY write_in_scope ON audit_pending FOR INSERT
        TO tranche_application WITH CHECK (%s)', all_);
    EXECUTE format('CREATE POLICY take_in_scope ON audit_pending FOR DELETE
        TO tranche_application USING (%s)', all_);
END
$$;
