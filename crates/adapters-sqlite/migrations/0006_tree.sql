-- The public tree above the leaves, and the checkpoints that were signed over it.

-- A hash over 256 neighbours of the level below, where level 0 are the leaves.
CREATE TABLE audit_nodes (
    level INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hash  BLOB    NOT NULL,

    PRIMARY KEY (level, place),
    CONSTRAINT audit_nodes_level CHECK (level > 0),
    CONSTRAINT audit_nodes_place CHECK (place >= 0),
    CONSTRAINT audit_nodes_hash CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_nodes_no_update BEFORE UPDATE ON audit_nodes
BEGIN
    SELECT RAISE(ABORT, 'audit_nodes is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_nodes_no_delete BEFORE DELETE ON audit_nodes
BEGIN
    SELECT RAISE(ABORT, 'audit_nodes is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_nodes_no_replace BEFORE INSERT ON audit_nodes
WHEN EXISTS (SELECT 1 FROM audit_nodes WHERE level = NEW.level AND place = NEW.place)
BEGIN
    SELECT RAISE(ABORT, 'audit_nodes is append-only: what is recorded stays');
END;

-- The newest checkpoint. Written with every turn of the sealer, so it is one row.
CREATE TABLE audit_tree (
    is_newest INTEGER NOT NULL PRIMARY KEY DEFAULT 1,
    size      INTEGER NOT NULL,
    root      BLOB    NOT NULL,
    note      TEXT    NOT NULL,
    signed_at INTEGER NOT NULL,

    CONSTRAINT audit_tree_is_one CHECK (is_newest = 1),
    CONSTRAINT audit_tree_size CHECK (size >= 0),
    CONSTRAINT audit_tree_root CHECK (length(root) = 32)
) STRICT;

CREATE TRIGGER audit_tree_grows BEFORE UPDATE ON audit_tree
WHEN NEW.size <= OLD.size AND (NEW.size, NEW.root) <> (OLD.size, OLD.root)
BEGIN
    SELECT RAISE(ABORT, 'audit_tree only grows');
END;
CREATE TRIGGER audit_tree_no_delete BEFORE DELETE ON audit_tree
BEGIN
    SELECT RAISE(ABORT, 'audit_tree is never emptied');
END;
CREATE TRIGGER audit_tree_no_replace BEFORE INSERT ON audit_tree
WHEN EXISTS (SELECT 1 FROM audit_tree)
BEGIN
    SELECT RAISE(ABORT, 'audit_tree has one row');
END;

-- Former checkpoints: one a minute at most while the tree grows, and whatever stood for a minute.
CREATE TABLE audit_checkpoints (
    size      INTEGER NOT NULL PRIMARY KEY,
    root      BLOB    NOT NULL,
    note      TEXT    NOT NULL,
    signed_at INTEGER NOT NULL,

    CONSTRAINT audit_checkpoints_size CHECK (size >= 0),
    CONSTRAINT audit_checkpoints_root CHECK (length(root) = 32)
) STRICT;

CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'audit_checkpoints is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'audit_checkpoints is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_checkpoints_no_replace BEFORE INSERT ON audit_checkpoints
WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE size = NEW.size)
BEGIN
    SELECT RAISE(ABORT, 'audit_checkpoints is append-only: what is recorded stays');
END;

-- The records of leaves whose events are gone, as they were hashed. While an event is there, its
-- record is made of its row.
CREATE TABLE audit_leaf_records (
    leaf_index INTEGER NOT NULL PRIMARY KEY REFERENCES audit_leaves (leaf_index),
    record     BLOB    NOT NULL,

    CONSTRAINT audit_leaf_records_record CHECK (length(record) > 0)
) STRICT;

CREATE TRIGGER audit_leaf_records_no_update BEFORE UPDATE ON audit_leaf_records
BEGIN
    SELECT RAISE(ABORT, 'audit_leaf_records is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_leaf_records_no_delete BEFORE DELETE ON audit_leaf_records
BEGIN
    SELECT RAISE(ABORT, 'audit_leaf_records is append-only: what is recorded stays');
END;
CREATE TRIGGER audit_leaf_records_no_replace BEFORE INSERT ON audit_leaf_records
WHEN EXISTS (SELECT 1 FROM audit_leaf_records WHERE leaf_index = NEW.leaf_index)
BEGIN
    SELECT RAISE(ABORT, 'audit_leaf_records is append-only: what is recorded stays');
END;
