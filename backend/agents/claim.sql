-- Gives a worker the queued run that is to start next, claimed; no row when none may start.
--
-- A workspace has at most p_bound runs at work, and the workspace with the fewest at work comes first, then the one that
-- has waited longest: a flood of questions in one workspace delays only its own. Within a workspace p_hint comes first,
-- the run that the worker was notified of, then the oldest.
CREATE OR REPLACE FUNCTION agents_claim_run(
    p_hint uuid, p_owner text, p_now timestamptz, p_until timestamptz, p_bound int
) RETURNS SETOF agents_run LANGUAGE plpgsql VOLATILE ROWS 1 AS $$
DECLARE
    waiting record;
    chosen uuid;
BEGIN
    -- One claim after the other: two at once would both find the same workspace below its bound. VOLATILE, so that the
    -- statements below see what was claimed while this one waited. Nothing below waits for a lock.
    PERFORM pg_advisory_xact_lock(hashtextextended('agents_claim_run', 0));
    FOR waiting IN
        SELECT workspace_id FROM agents_run
        WHERE status IN ('queued', 'running', 'requires_action', 'cancelling')
        GROUP BY workspace_id
        HAVING bool_or(status = 'queued' AND NOT waits AND NOT awaits_knowledge)
            AND count(*) FILTER (WHERE status IN ('running', 'cancelling')) < p_bound
        ORDER BY count(*) FILTER (WHERE status IN ('running', 'cancelling')),
            min(created_at) FILTER (WHERE status = 'queued' AND NOT waits AND NOT awaits_knowledge)
    LOOP
        -- Another transaction that has a run locked is about to end it: the next one is as good.
        SELECT id INTO chosen FROM agents_run
        WHERE workspace_id = waiting.workspace_id AND status = 'queued' AND NOT waits AND NOT awaits_knowledge
        ORDER BY id <> p_hint, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            -- It need not reach the disk: the first step, committed in full, does so for both; without that nothing is
            -- sent to a provider.
            PERFORM set_config('synchronous_commit', 'off', true);
            RETURN QUERY UPDATE agents_run
                SET status = 'running', lease_owner = p_owner, lease_until = p_until, epoch = epoch + 1,
                    started_at = coalesce(started_at, p_now)  -- One that is continued began earlier.
                WHERE id = chosen RETURNING *;
            RETURN;
        END IF;
    END LOOP;
END $$;
