-- What the service is to approve and to settle: 5,000 projects with milestones handed in and burns
-- in flight, and one hot project whose burns are all its own. Every trigger and key is in force;
-- what is left out is the log of how these rows came about.
--
-- How many of each: the settings seed.approvals, seed.settlements and seed.hot.

-- Ids as the service makes them: version 7, in the order of time, noise behind.
CREATE FUNCTION pg_temp.seed_id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(1750000000000 + n * 250), 12, '0') || '7' || substr(noise, 1, 3)
            || 'a' || substr(noise, 4, 15))::uuid
    FROM md5(kind || n) noise
$$;

CREATE TEMPORARY TABLE seed AS
SELECT n, kind, CASE kind WHEN 'hot' THEN 5001 ELSE 1 + n % 5000 END AS project,
       10000000 * (100 + n % 900) AS amount, timestamptz '2026-01-05' + n * interval '1 s' AS at,
       pg_temp.seed_id('milestone', n) AS milestone_id,
       pg_temp.seed_id('disbursement', n) AS disbursement_id
FROM (
    SELECT row_number() OVER (ORDER BY md5(kind || n)) AS n, kind
    FROM (SELECT 'approve' AS kind, n
          FROM generate_series(1, current_setting('seed.approvals')::bigint) n
          UNION ALL
          SELECT 'settle', n FROM generate_series(1, current_setting('seed.settlements')::bigint) n
          UNION ALL
          SELECT 'hot', n FROM generate_series(1, current_setting('seed.hot')::bigint) n) wanted
) shuffled;

INSERT INTO projects (id, name, nav, nav_reserved, lp_tokens_outstanding, total_milestones,
    completed_milestones, wallet_account_id, maker_checker, burn_policy, created_at, version,
    opening_nav)
SELECT pg_temp.seed_id('project', number), 'Project ' || number, 1000000000000000,
       coalesce(sum(amount) FILTER (WHERE kind <> 'approve'), 0), 500000000000000, count(kind), 0,
       'G' || upper(substr(md5('w' || number) || md5('x' || number), 1, 55)), true,
       'exact_transfer', '2026-01-01', 1, 1000000000000000
FROM generate_series(1, 5001) number LEFT JOIN seed ON seed.project = number
GROUP BY number;

INSERT INTO milestone_evidence (milestone_id, version, event_id)
SELECT milestone_id, 1, pg_temp.seed_id('event', n) FROM seed;
INSERT INTO milestones (id, project_id, number, title, description, target_amount, status,
    submitted_by, submitted_at, approved_by, approved_at, transfer_reference, transfer_amount,
    transfer_date, created_at, updated_at, version)
SELECT milestone_id, pg_temp.seed_id('project', project), n, 'Milestone ' || n,
       'Foundations of block ' || n || ', inspected and signed off by the site engineer', amount,
       CASE WHEN handed_in THEN 'submitted' ELSE 'approved' END, 'usr_000007', at,
       CASE WHEN NOT handed_in THEN 'usr_000001' END, CASE WHEN NOT handed_in THEN at END,
       CASE WHEN NOT handed_in THEN 'TRF-' || n END, CASE WHEN NOT handed_in THEN amount END,
       CASE WHEN NOT handed_in THEN date '2026-01-05' END, at, at, 1
FROM (SELECT *, kind = 'approve' AS handed_in FROM seed ORDER BY n) seed;

INSERT INTO disbursements (id, project_id, milestone_id, amount, wallet_account_id, ordered_by_id,
    ordered_by_role, ip_address, user_agent, request_id, prepared_at, burn_id, envelope, memo,
    network, sequence_account, sequence, valid_until, signed_at_ledger, state, attempts, version)
SELECT seed.disbursement_id, m.project_id, m.id, seed.amount, p.wallet_account_id, 'usr_000003',
       'treasurer', '10.1.2.3',
       'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0',
       'ce463c942d4305c9', seed.at, md5('b' || n) || md5('c' || n),
       decode(repeat(md5('e' || n), 20), 'hex'), decode(md5('m' || n) || md5('n' || n), 'hex'),
       'the bench', 'C' || n, n, seed.at + interval '3 min', 1000000, 'submitted', 1, 2
FROM seed
JOIN milestones m ON m.id = seed.milestone_id
JOIN projects p ON p.id = m.project_id
WHERE kind <> 'approve'
ORDER BY n;

INSERT INTO milestone_evidence (milestone_id, version, event_id)
SELECT milestone_id, 2, pg_temp.seed_id('second event', n) FROM seed WHERE kind <> 'approve';
UPDATE milestones m SET status = 'disbursing', disbursement_id = seed.disbursement_id, version = 2
FROM seed WHERE m.id = seed.milestone_id AND kind <> 'approve';

DROP TABLE seed;
