-- The ledger: the only code that moves money. Each function is one round trip and safe to call again.
--
-- Locks are always taken in the order hold -> wallet -> limits -> grants, so two calls cannot wait for each other.
-- FOR NO KEY UPDATE, because FOR UPDATE would also wait for the key-share locks of foreign keys.
-- VOLATILE, because each statement must see what was committed while it waited for its lock.
--
-- The role of the web processes and workers can read these tables and write none of them: it calls the functions that
-- Python calls, which run with the rights of their owner (see the end of this file).
--
-- SQLSTATEs, which ledger.py turns into refusals:
--   OQ402 the balance does not cover it    OQ404 no such wallet          OQ409 the key was used for something else
--   OQ410 the reference is settled         OQ422 the amount is not one   OQ423 rows that never change were touched


-- Rows that never change ----------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows never change', TG_OP, TG_TABLE_NAME USING ERRCODE = 'OQ423';
END $$;

CREATE OR REPLACE TRIGGER transfer_immutable BEFORE UPDATE OR DELETE ON billing_transfer
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE OR REPLACE TRIGGER transfer_never_truncated BEFORE TRUNCATE ON billing_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- The user of a usage record may be erased; what was used and what it cost may not.
CREATE OR REPLACE TRIGGER usage_immutable BEFORE DELETE OR UPDATE OF
    id, wallet_id, reference, attempt, step, agent_id, model, provider, input_tokens, cached_input_tokens,
    output_tokens, input_price, cached_input_price, output_price, cost, created_at ON billing_usagerecord
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();

-- Erased means NULL: no usage is moved to another user.
CREATE OR REPLACE TRIGGER usage_user_only_forgotten BEFORE UPDATE OF user_id ON billing_usagerecord
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM OLD.user_id)
    EXECUTE FUNCTION ledger_refuse_change();

-- A balance moves only together with a new transfer: a stale row written back by mistake is refused.
CREATE OR REPLACE FUNCTION ledger_guard_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.currency <> OLD.currency OR NEW.workspace_id <> OLD.workspace_id
        OR NEW.last_sequence <> OLD.last_sequence + 1 THEN
        RAISE EXCEPTION 'the wallet changes only together with a new transfer' USING ERRCODE = 'OQ423';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER wallet_moves_with_transfers BEFORE UPDATE ON billing_wallet
    FOR EACH ROW WHEN (
        NEW.posted <> OLD.posted OR NEW.last_sequence <> OLD.last_sequence
        OR NEW.currency <> OLD.currency OR NEW.workspace_id <> OLD.workspace_id
    ) EXECUTE FUNCTION ledger_guard_wallet();

-- Room on each page for the next version of a busy row, beside the one before it.
ALTER TABLE billing_wallet SET (fillfactor = 50);
ALTER TABLE billing_creditgrant SET (fillfactor = 50);


-- Parts -----------------------------------------------------------------------------------------------------------------

-- The wallet of a workspace, locked.
CREATE OR REPLACE FUNCTION ledger_lock_wallet(p_workspace uuid) RETURNS billing_wallet LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wallet billing_wallet;
BEGIN
    SELECT * INTO wallet FROM billing_wallet WHERE workspace_id = p_workspace FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'workspace % has no wallet', p_workspace USING ERRCODE = 'OQ404';
    END IF;
    RETURN wallet;
END $$;

CREATE OR REPLACE FUNCTION ledger_refuse_insufficient(wallet billing_wallet, p_required bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'the balance does not cover this' USING ERRCODE = 'OQ402', DETAIL = json_build_object(
        'available', wallet.posted - wallet.held, 'required', p_required, 'currency', wallet.currency);
END $$;

-- Take an amount from the grants of a locked wallet, soonest-expiring first, as far as they go; paid money is the rest.
CREATE OR REPLACE FUNCTION ledger_spend_grants(p_wallet uuid, p_amount bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    rest bigint := p_amount;
    credit record;
BEGIN
    FOR credit IN
        SELECT transfer_id, remaining FROM billing_creditgrant WHERE wallet_id = p_wallet AND unspent
        ORDER BY expires_at NULLS LAST, priority, transfer_id FOR NO KEY UPDATE
    LOOP
        UPDATE billing_creditgrant SET remaining = remaining - least(rest, credit.remaining)
            WHERE transfer_id = credit.transfer_id;
        rest := rest - least(rest, credit.remaining);
        EXIT WHEN rest = 0;
    END LOOP;
END $$;

-- Post one transfer on a locked wallet and release `p_freed` of its holds. The caller has checked that it fits.
CREATE OR REPLACE FUNCTION ledger_post(
    wallet billing_wallet, p_freed bigint, p_id uuid, p_kind text, p_direction text, p_amount bigint, p_key text,
    p_reference text, p_description text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    balance bigint := wallet.posted + CASE p_direction WHEN 'credit' THEN p_amount ELSE -p_amount END;
BEGIN
    UPDATE billing_wallet SET posted = balance, held = held - p_freed, last_sequence = last_sequence + 1
        WHERE id = wallet.id;
    INSERT INTO billing_transfer
        (id, wallet_id, sequence, kind, direction, amount, balance_after, key, reference, description, created_at)
    VALUES (p_id, wallet.id, wallet.last_sequence + 1, p_kind, p_direction, p_amount, balance, p_key, p_reference,
        p_description, clock_timestamp());
END $$;


-- What Python calls -----------------------------------------------------------------------------------------------------

-- The empty wallet of a new workspace.
CREATE OR REPLACE FUNCTION ledger_open_wallet(p_workspace uuid, p_id uuid, p_currency text) RETURNS void
    LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO billing_wallet (id, workspace_id, currency, posted, held, last_sequence, created_at)
    VALUES (p_id, p_workspace, p_currency, 0, 0, 0, clock_timestamp());
END $$;

-- Set money aside. The same reference and amount again changes nothing.
CREATE OR REPLACE FUNCTION ledger_reserve(
    p_workspace uuid, p_id uuid, p_reference text, p_amount bigint, p_expires_at timestamptz
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wallet billing_wallet;
    hold billing_hold;
BEGIN
    IF p_amount IS NULL OR p_amount <= 0 THEN
        RAISE EXCEPTION 'an amount to hold must be positive' USING ERRCODE = 'OQ422';
    END IF;
    -- The unique reference is the lock of a hold that does not exist yet.
    INSERT INTO billing_hold
        (id, wallet_id, reference, amount, charged, shortfall, state, expires_at, created_at)
    SELECT p_id, id, p_reference, p_amount, 0, 0, 'open', p_expires_at, clock_timestamp()
        FROM billing_wallet WHERE workspace_id = p_workspace
    ON CONFLICT (reference) DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO hold FROM billing_hold WHERE reference = p_reference FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'workspace % has no wallet', p_workspace USING ERRCODE = 'OQ404';
        ELSIF hold.amount <> p_amount
            OR hold.wallet_id IS DISTINCT FROM (SELECT id FROM billing_wallet WHERE workspace_id = p_workspace) THEN
            RAISE EXCEPTION 'reference % holds something else', p_reference USING ERRCODE = 'OQ409';
        ELSIF hold.state <> 'open' THEN
            RAISE EXCEPTION 'the hold of % has ended', p_reference USING ERRCODE = 'OQ410';
        END IF;
        RETURN;
    END IF;
    wallet := ledger_lock_wallet(p_workspace);
    IF wallet.posted - wallet.held < p_amount THEN
        PERFORM ledger_refuse_insufficient(wallet, p_amount);
    END IF;
    UPDATE billing_wallet SET held = held + p_amount WHERE id = wallet.id;
END $$;

-- Record one request to a provider. Repeating a step returns the cost that was recorded first.
CREATE OR REPLACE FUNCTION ledger_record_usage(
    p_workspace uuid, p_id uuid, p_reference text, p_attempt int, p_step int, p_user uuid, p_agent uuid, p_api_key uuid,
    p_model text, p_provider text, p_input bigint, p_cached bigint, p_output bigint,
    p_input_price numeric, p_cached_price numeric, p_output_price numeric, p_cost numeric
) RETURNS numeric LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    hold_state text;
    wallet uuid;
    earlier billing_usagerecord;
BEGIN
    -- Exclusive, so that no step is written between a capture's sum and its end.
    SELECT state INTO hold_state FROM billing_hold WHERE reference = p_reference FOR NO KEY UPDATE;
    SELECT id INTO wallet FROM billing_wallet WHERE workspace_id = p_workspace;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'workspace % has no wallet', p_workspace USING ERRCODE = 'OQ404';
    END IF;
    IF hold_state IS DISTINCT FROM 'captured' THEN
        INSERT INTO billing_usagerecord
            (id, wallet_id, reference, attempt, step, user_id, agent_id, api_key_id, model, provider, input_tokens,
            cached_input_tokens, output_tokens, input_price, cached_input_price, output_price, cost, created_at)
        VALUES (p_id, wallet, p_reference, p_attempt, p_step, p_user, p_agent, p_api_key, p_model, p_provider, p_input,
            p_cached, p_output, p_input_price, p_cached_price, p_output_price, p_cost, clock_timestamp())
        ON CONFLICT (reference, attempt, step) DO NOTHING;
        IF FOUND THEN
            RETURN p_cost;
        END IF;
    END IF;
    SELECT * INTO earlier FROM billing_usagerecord
        WHERE reference = p_reference AND attempt = p_attempt AND step = p_step;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'reference % is settled', p_reference USING ERRCODE = 'OQ410';
    ELSIF (earlier.wallet_id, earlier.model, earlier.provider, earlier.input_tokens, earlier.cached_input_tokens,
        earlier.output_tokens) IS DISTINCT FROM (wallet, p_model, p_provider, p_input, p_cached, p_output) THEN
        RAISE EXCEPTION 'step % of % was recorded with another usage', p_step, p_reference USING ERRCODE = 'OQ409';
    END IF;
    RETURN earlier.cost;
END $$;

-- Charge what a reference used, once, and release the rest of its hold. Returns what was charged.
-- Usage is owed whether the hold is open, was released or never existed. What the wallet cannot cover, and what exceeds
-- p_most (the maximum charge), is recorded as the shortfall.
CREATE OR REPLACE FUNCTION ledger_capture(
    p_reference text, p_id uuid, p_hold uuid, p_description text, p_most bigint DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wallet billing_wallet;
    hold billing_hold;
    cost bigint;
    charge bigint;
    freed bigint;
BEGIN
    SELECT * INTO hold FROM billing_hold WHERE reference = p_reference FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        -- Nothing was set aside for it: a hold that holds nothing marks the reference as settled.
        INSERT INTO billing_hold
            (id, wallet_id, reference, amount, charged, shortfall, state, expires_at, created_at, ended_at)
        SELECT p_hold, wallet_id, p_reference, ceil(sum(usage.cost) * 1000000), 0, 0, 'released', clock_timestamp(),
            clock_timestamp(), clock_timestamp()
            FROM billing_usagerecord usage WHERE reference = p_reference
            GROUP BY wallet_id HAVING sum(usage.cost) > 0
        ON CONFLICT (reference) DO NOTHING;
        SELECT * INTO hold FROM billing_hold WHERE reference = p_reference FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN 0;
        END IF;
    END IF;
    IF hold.state = 'captured' THEN
        RETURN hold.charged;
    END IF;
    SELECT * INTO wallet FROM billing_wallet WHERE id = hold.wallet_id FOR NO KEY UPDATE;
    SELECT coalesce(ceil(sum(usage.cost) * 1000000), 0) INTO cost
        FROM billing_usagerecord usage WHERE reference = p_reference;
    freed := CASE hold.state WHEN 'open' THEN hold.amount ELSE 0 END;
    charge := least(cost, wallet.posted - wallet.held + freed, p_most);
    UPDATE billing_hold
        SET state = 'captured', charged = charge, shortfall = cost - charge, ended_at = clock_timestamp()
        WHERE id = hold.id;
    IF charge > 0 THEN
        PERFORM ledger_post(
            wallet, freed, p_id, 'usage', 'debit', charge, 'usage:' || p_reference, p_reference, p_description);
        PERFORM ledger_spend_grants(wallet.id, charge);
    ELSIF freed > 0 THEN
        UPDATE billing_wallet SET held = held - freed WHERE id = wallet.id;
    END IF;
    RETURN charge;
END $$;

-- Release a hold. Returns whether this call did it.
CREATE OR REPLACE FUNCTION ledger_release(p_reference text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    hold billing_hold;
BEGIN
    SELECT * INTO hold FROM billing_hold WHERE reference = p_reference FOR NO KEY UPDATE;
    IF NOT FOUND OR hold.state <> 'open' THEN
        RETURN false;
    END IF;
    UPDATE billing_hold SET state = 'released', ended_at = clock_timestamp() WHERE id = hold.id;
    UPDATE billing_wallet SET held = held - hold.amount WHERE id = hold.wallet_id;
    RETURN true;
END $$;

-- Move money into or out of a wallet. Repeating a key with the same payload returns the id of the first transfer.
CREATE OR REPLACE FUNCTION ledger_transfer(
    p_workspace uuid, p_id uuid, p_kind text, p_direction text, p_amount bigint, p_key text, p_reference text,
    p_description text, p_expires_at timestamptz, p_priority int
) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wallet billing_wallet;
    earlier billing_transfer;
BEGIN
    IF p_amount IS NULL OR p_amount <= 0 THEN
        RAISE EXCEPTION 'an amount to transfer must be positive' USING ERRCODE = 'OQ422';
    END IF;
    -- These follow from usage and from grants. One made by hand, or one that took their key, would let work go unpaid.
    IF p_kind IN ('usage', 'expiry') OR p_key LIKE 'usage:%' OR p_key LIKE 'expiry:%' THEN
        RAISE EXCEPTION 'a transfer of kind % with the key % is made by the ledger alone', p_kind, p_key
            USING ERRCODE = 'OQ423';
    END IF;
    wallet := ledger_lock_wallet(p_workspace);
    SELECT * INTO earlier FROM billing_transfer WHERE key = p_key;
    IF FOUND THEN
        IF (earlier.wallet_id, earlier.kind, earlier.direction, earlier.amount, earlier.reference)
            IS DISTINCT FROM (wallet.id, p_kind, p_direction, p_amount, p_reference) THEN
            RAISE EXCEPTION 'key % moved something else', p_key USING ERRCODE = 'OQ409';
        END IF;
        RETURN earlier.id;
    END IF;
    IF p_direction = 'debit' AND wallet.posted - wallet.held < p_amount THEN
        PERFORM ledger_refuse_insufficient(wallet, p_amount);
    END IF;
    PERFORM ledger_post(wallet, 0, p_id, p_kind, p_direction, p_amount, p_key, p_reference, p_description);
    IF p_kind = 'grant' THEN
        INSERT INTO billing_creditgrant (transfer_id, wallet_id, amount, remaining, expires_at, priority)
        VALUES (p_id, wallet.id, p_amount, p_amount, p_expires_at, p_priority);
    ELSIF p_direction = 'debit' THEN
        PERFORM ledger_spend_grants(wallet.id, p_amount);
    END IF;
    RETURN p_id;
END $$;

-- Expire the rest of an overdue grant, except what open holds depend on, which stays until they end. Returns how much.
CREATE OR REPLACE FUNCTION ledger_expire_grant(p_grant uuid, p_id uuid, p_reference text, p_description text)
    RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wallet billing_wallet;
    credit billing_creditgrant;
    expired bigint;
BEGIN
    SELECT * INTO wallet FROM billing_wallet
        WHERE id = (SELECT wallet_id FROM billing_creditgrant WHERE transfer_id = p_grant) FOR NO KEY UPDATE;
    SELECT * INTO credit FROM billing_creditgrant WHERE transfer_id = p_grant AND expires_at <= clock_timestamp()
        FOR NO KEY UPDATE;
    expired := least(credit.remaining, wallet.posted - wallet.held);
    IF expired IS NULL OR expired <= 0 THEN
        RETURN 0;
    END IF;
    UPDATE billing_creditgrant SET remaining = remaining - expired WHERE transfer_id = p_grant;
    -- What is left before it tells the parts of one grant apart: it only ever falls.
    PERFORM ledger_post(wallet, 0, p_id, 'expiry', 'debit', expired,
        'expiry:' || p_grant || ':' || credit.remaining, p_reference, p_description);
    RETURN expired;
END $$;


-- The books, for people and for `manage.py check_ledger` -----------------------------------------------------------------

-- Every transfer as its two sides; the house accounts are derived here and stored nowhere. Sums to zero by its shape.
CREATE OR REPLACE VIEW ledger_postings AS
    SELECT transfer.id AS transfer_id, transfer.created_at, wallet.currency, side.account, side.amount
    FROM billing_transfer transfer
    JOIN billing_wallet wallet ON wallet.id = transfer.wallet_id
    CROSS JOIN LATERAL (VALUES
        ('wallet:' || wallet.id, transfer.signed_amount),
        (CASE transfer.kind
            WHEN 'top_up' THEN 'house:payments' WHEN 'refund' THEN 'house:refunds'
            WHEN 'usage' THEN 'house:revenue' WHEN 'adjustment' THEN 'house:adjustments'
            ELSE 'house:credits' END, -transfer.signed_amount)
    ) AS side (account, amount);

-- One row for each discrepancy. Empty when the books are right.
CREATE OR REPLACE VIEW ledger_discrepancies AS
    WITH moved AS (
        SELECT wallet_id, sum(signed_amount) AS posted, count(*) AS transfers, max(sequence) AS last_sequence
        FROM billing_transfer GROUP BY wallet_id
    ), held AS (
        SELECT wallet_id, sum(amount) AS held FROM billing_hold WHERE state = 'open' GROUP BY wallet_id
    ), credit AS (
        SELECT wallet_id, sum(remaining) AS remaining FROM billing_creditgrant GROUP BY wallet_id
    ), chain AS (
        SELECT wallet_id, sequence, balance_after,
            sum(signed_amount) OVER (PARTITION BY wallet_id ORDER BY sequence) AS running
        FROM billing_transfer
    ), used AS (
        SELECT reference, ceil(sum(cost) * 1000000) AS cost FROM billing_usagerecord GROUP BY reference
    )
    SELECT wallet.id AS wallet_id, wallet.workspace_id, 'posted is not the sum of its transfers' AS problem,
        coalesce(moved.posted, 0)::numeric AS expected, wallet.posted::numeric AS found, '' AS reference
        FROM billing_wallet wallet LEFT JOIN moved ON moved.wallet_id = wallet.id
        WHERE wallet.posted <> coalesce(moved.posted, 0)
    UNION ALL
    SELECT wallet.id, wallet.workspace_id, 'held is not the sum of its open holds', coalesce(held.held, 0), wallet.held, ''
        FROM billing_wallet wallet LEFT JOIN held ON held.wallet_id = wallet.id
        WHERE wallet.held <> coalesce(held.held, 0)
    UNION ALL
    SELECT wallet.id, wallet.workspace_id, 'its transfers do not count 1, 2, 3', wallet.last_sequence,
        coalesce(moved.transfers, 0), ''
        FROM billing_wallet wallet LEFT JOIN moved ON moved.wallet_id = wallet.id
        WHERE (wallet.last_sequence, wallet.last_sequence)
            <> (coalesce(moved.transfers, 0), coalesce(moved.last_sequence, 0))
    UNION ALL
    SELECT wallet.id, wallet.workspace_id, 'unspent grants exceed the balance', wallet.posted, credit.remaining, ''
        FROM billing_wallet wallet JOIN credit ON credit.wallet_id = wallet.id WHERE credit.remaining > wallet.posted
    UNION ALL
    SELECT wallet.id, wallet.workspace_id, 'balance_after is not the running sum', chain.running, chain.balance_after,
        'sequence ' || chain.sequence
        FROM billing_wallet wallet JOIN chain ON chain.wallet_id = wallet.id
        WHERE chain.running <> chain.balance_after
    UNION ALL
    SELECT wallet.id, wallet.workspace_id, 'a settled reference was not charged what it used', coalesce(used.cost, 0),
        hold.charged + hold.shortfall, hold.reference
        FROM billing_hold hold JOIN billing_wallet wallet ON wallet.id = hold.wallet_id
        LEFT JOIN used ON used.reference = hold.reference
        WHERE hold.state = 'captured' AND hold.charged + hold.shortfall <> coalesce(used.cost, 0)
    UNION ALL
    SELECT wallet.id, wallet.workspace_id, 'a settled hold and its usage transfer differ', coalesce(hold.charged, 0),
        coalesce(transfer.amount, 0), coalesce(hold.reference, transfer.reference)
        FROM (SELECT * FROM billing_hold WHERE charged > 0) hold
        FULL JOIN (SELECT * FROM billing_transfer WHERE kind = 'usage') transfer
            ON transfer.key = 'usage:' || hold.reference AND transfer.wallet_id = hold.wallet_id
        JOIN billing_wallet wallet ON wallet.id = coalesce(hold.wallet_id, transfer.wallet_id)
        WHERE hold.charged IS DISTINCT FROM transfer.amount
    UNION ALL
    SELECT wallet.id, wallet.workspace_id, 'a grant and its transfer differ', transfer.amount,
        coalesce(credit.amount, 0), transfer.key
        FROM billing_transfer transfer JOIN billing_wallet wallet ON wallet.id = transfer.wallet_id
        LEFT JOIN billing_creditgrant credit
            ON credit.transfer_id = transfer.id AND credit.wallet_id = transfer.wallet_id
        WHERE transfer.kind = 'grant' AND credit.amount IS DISTINCT FROM transfer.amount;


-- Who may call what ------------------------------------------------------------------------------------------------------

-- Only these run with the rights of the tables' owner. Their search path is fixed, and temporary objects come last in it,
-- so that no object of the caller's takes the place of a table, function or operator that they name.
ALTER FUNCTION ledger_open_wallet SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION ledger_reserve SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION ledger_record_usage SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION ledger_capture SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION ledger_release SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION ledger_transfer SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION ledger_expire_grant SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;

-- A new function may be called by every role. roles.py grants the seven above to the one that needs them.
REVOKE ALL ON FUNCTION ledger_open_wallet, ledger_reserve, ledger_record_usage, ledger_capture, ledger_release,
    ledger_transfer, ledger_expire_grant, ledger_post, ledger_spend_grants, ledger_refuse_insufficient,
    ledger_lock_wallet, ledger_guard_wallet, ledger_refuse_change FROM PUBLIC;
