-- Reading the log: what its lists page by, its archive, and who the actors are.

-- An index for each condition that is asked alone, because walking the log for something rare reads
-- all of it. Each costs ingest a few percent, so no index is for two conditions together.
CREATE INDEX audit_events_action ON audit_events (action, id);
CREATE INDEX audit_events_resource_type ON audit_events (resource_type, id);
DROP INDEX audit_events_resource;
CREATE INDEX audit_events_resource ON audit_events (resource_id, id) WHERE resource_id IS NOT NULL;

-- What retention took out of the log and kept: the same rows in the same shape, so that a partition
-- moves over as it is. It has no default partition: nothing is inserted here.
CREATE TABLE audit_archive (LIKE audit_events INCLUDING ALL) PARTITION BY LIST (severity);
CREATE TABLE audit_archive_critical PARTITION OF audit_archive FOR VALUES IN ('critical')
    PARTITION BY RANGE (id);
CREATE TABLE audit_archive_warning PARTITION OF audit_archive FOR VALUES IN ('warning')
    PARTITION BY RANGE (id);
CREATE TABLE audit_archive_info PARTITION OF audit_archive FOR VALUES IN ('info')
    PARTITION BY RANGE (id);

CREATE TRIGGER audit_archive_append_only BEFORE UPDATE OR DELETE ON audit_archive
    FOR EACH ROW EXECUTE FUNCTION tranche_append_only();
DO $$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['', '_critical', '_warning', '_info'] LOOP
        EXECUTE format('CREATE TRIGGER audit_archive_no_truncate BEFORE TRUNCATE ON %I
            FOR EACH STATEMENT EXECUTE FUNCTION tranche_append_only()', 'audit_archive' || part);
    END LOOP;
END
$$;

-- Whether a text, in small ASCII letters, is in a key, a string or a whole number of the document.
-- COLLATE "C" makes lower() the same wherever the database was made: ASCII alone.
CREATE FUNCTION audit_document_says(document jsonb, said text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
    SELECT EXISTS (
        SELECT FROM jsonb_path_query(document, 'strict $.**') part
        WHERE CASE jsonb_typeof(part)
            WHEN 'string' THEN strpos(lower((part #>> '{}') COLLATE "C"), said) > 0
            WHEN 'number' THEN strpos(part::text, '.') = 0 AND strpos(part::text, said) > 0
            WHEN 'object' THEN EXISTS (
                SELECT FROM jsonb_object_keys(part) name
                WHERE strpos(lower(name COLLATE "C"), said) > 0)
            ELSE false
        END)
$$;

-- Who the actors of the events are, as far as their credentials told.
CREATE TABLE actors (
    id         text        COLLATE "C" PRIMARY KEY,
    name       text,
    email      text,
    updated_at timestamptz NOT NULL,

    CONSTRAINT actors_known CHECK (num_nonnulls(name, email) > 0)
);
