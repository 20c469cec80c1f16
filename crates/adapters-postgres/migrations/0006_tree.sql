-- The public tree above the leaves, and the checkpoints that were signed over it.

-- A hash over 256 neighbours of the level below, where level 0 are the leaves.
CREATE TABLE audit_nodes (
    level smallint NOT NULL,
    place bigint   NOT NULL,
    hash  bytea    NOT NULL,

    PRIMARY KEY (level, place),
    CONSTRAINT audit_nodes_level CHECK (level > 0),
    CONSTRAINT audit_nodes_place CHECK (place >= 0),
    CONSTRAINT audit_nodes_hash CHECK (octet_length(hash) = 32)
);
CREATE TRIGGER audit_nodes_append_only BEFORE UPDATE OR DELETE ON audit_nodes
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER audit_nodes_no_truncate BEFORE TRUNCATE ON audit_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

-- The newest checkpoint. Written with every turn of the sealer, so it is one row.
CREATE TABLE audit_tree (
    is_newest boolean     PRIMARY KEY DEFAULT true,
    size      bigint      NOT NULL,
    root      bytea       NOT NULL,
    note      text        NOT NULL,
    signed_at timestamptz NOT NULL,

    CONSTRAINT audit_tree_is_one CHECK (is_newest),
    CONSTRAINT audit_tree_size CHECK (size >= 0),
    CONSTRAINT audit_tree_root CHECK (octet_length(root) = 32)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
CREATE FUNCTION audit_tree_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size > OLD.size OR (NEW.size, NEW.root) = (OLD.size, OLD.root) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the tree of % leaves does not become one of %: it only grows',
        OLD.size, NEW.size USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_tree_grows BEFORE UPDATE ON audit_tree
    FOR EACH ROW EXECUTE FUNCTION audit_tree_grows();
CREATE TRIGGER audit_tree_stays BEFORE DELETE ON audit_tree
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER audit_tree_no_truncate BEFORE TRUNCATE ON audit_tree
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

-- Former checkpoints: one a minute at most while the tree grows, and whatever stood for a minute.
CREATE TABLE audit_checkpoints (
    size      bigint      PRIMARY KEY,
    root      bytea       NOT NULL,
    note      text        NOT NULL,
    signed_at timestamptz NOT NULL,

    CONSTRAINT audit_checkpoints_size CHECK (size >= 0),
    CONSTRAINT audit_checkpoints_root CHECK (octet_length(root) = 32)
);
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();

-- The records of leaves whose events are gone, as they were hashed. While an event is there, its
-- record is made of its row.
CREATE TABLE audit_leaf_records (
    leaf_index bigint PRIMARY KEY REFERENCES audit_leaves (leaf_index),
    record     bytea  NOT NULL,

    CONSTRAINT audit_leaf_records_record CHECK (octet_length(record) > 0)
);
CREATE TRIGGER audit_leaf_records_append_only BEFORE UPDATE OR DELETE ON audit_leaf_records
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
CREATE TRIGGER audit_leaf_records_no_truncate BEFORE TRUNCATE ON audit_leaf_records
    FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only();
