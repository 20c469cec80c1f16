-- A project goes at once, however many trails it has: they are no longer there for anybody, and are
-- deleted in batches after it.

CREATE TABLE trail_removals (
    project_id uuid PRIMARY KEY
);

ALTER TABLE assessment_trails DROP CONSTRAINT assessment_trails_project;
ALTER TABLE trail_rollups DROP CONSTRAINT trail_rollups_project;

CREATE FUNCTION projects_leave_trails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trail_removals (project_id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER projects_leave_trails AFTER DELETE ON projects
    FOR EACH ROW EXECUTE FUNCTION projects_leave_trails();

-- As the foreign key did, but before the trail is written, and of a changed one too: whoever writes has
-- the project until it commits, so the two wait for one another in one order.
CREATE FUNCTION assessment_trails_of_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM projects WHERE id = NEW.project_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING CONSTRAINT = 'assessment_trails_project',
            TABLE = 'assessment_trails', MESSAGE = 'a trail of a project that is not there';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER assessment_trails_of_project BEFORE INSERT OR UPDATE ON assessment_trails
    FOR EACH ROW EXECUTE FUNCTION assessment_trails_of_project();

GRANT SELECT, INSERT, UPDATE, DELETE ON trail_removals TO tranche_application;
