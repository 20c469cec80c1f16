-- The same trails as one row of JSON a message, without sums: the usual design.
CREATE TABLE usual_trails (
    message_id uuid        PRIMARY KEY,
    project_id uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    trail      jsonb       NOT NULL
);
INSERT INTO usual_trails SELECT message_id, project_id, created_at, jsonb_build_object(
        'model', model, 'reasoning_traces', reasoning_traces::jsonb,
        'context_layers', context_layers::jsonb, 'completed_at', completed_at,
        'tokens', jsonb_build_object('prompt', prompt_tokens, 'completion', completion_tokens,
            'total', prompt_tokens + completion_tokens),
        'cost', jsonb_build_object('prompt', prompt_cost, 'completion', completion_cost,
            'total', prompt_cost + completion_cost))
    FROM assessment_trails;
CREATE INDEX ON usual_trails (project_id, created_at);
CREATE INDEX ON usual_trails (created_at);
