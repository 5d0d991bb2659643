// Limits that work items share by a key, in SQL. Neighbours: work.ts asks how many items of a key may be taken and counts those that it takes,
// turns.ts writes the numbers of a limit into the items, function.ts has the rules F1–F5.
//
// Semantics: those of memory/limits.ts and ../../rate.ts, whose R1 and R2 stand in `limit_ahead`.
// L1. What runs under a key is counted from the locks of its items, so nothing can go wrong between the two. One whose lock has run out counts no more.
// L2. Items are found by limit and tag together (a lane): with one of them alone, a fetch would look through what it does not take.
// L3. Who takes from a key has its row in `limits` locked, and counts after that; another one does not wait for it but leaves the key out.
// L4. When an item with a limit ends or is given back, in whatever way, everybody is told by NOTIFY in the same transaction. That lines up commits, but
//     such items are few by their nature.
import { OWN_PREFIX } from '../../tags.ts';
import { expression, plpgsql } from './function.ts';

/** SQL: the items of `p_key` that run. */
const RUNNING = 'FROM work_items w WHERE w.limit_key = p_key AND w.ready_at > p_now AND w.lock_token IS NOT NULL AND w.expires_at IS NULL';

/** The functions. */
export const LIMIT_FUNCTIONS: readonly string[] = [
  // Lanes that have items and that who takes these tags takes: from one to the next, there may be many items of each.
  plpgsql(
    'stored_lanes(p_plain boolean, p_tags text[], p_any boolean)',
    'TABLE (limit_key text, limit_tag text)',
    `
BEGIN
  RETURN QUERY
    WITH RECURSIVE stored AS (
      (SELECT w.limit_key, w.limit_tag FROM work_items w WHERE w.limit_key IS NOT NULL ORDER BY w.limit_key, w.limit_tag LIMIT 1)
      UNION ALL
      SELECT n.limit_key, n.limit_tag FROM stored s CROSS JOIN LATERAL (
        SELECT w.limit_key, w.limit_tag FROM work_items w
        WHERE w.limit_key IS NOT NULL AND (w.limit_key, w.limit_tag) > (s.limit_key, s.limit_tag)
        ORDER BY w.limit_key, w.limit_tag LIMIT 1
      ) n
    )
    SELECT s.limit_key, s.limit_tag FROM stored s CROSS JOIN LATERAL (SELECT substr(s.limit_tag, 2) AS tag) t
    WHERE CASE WHEN s.limit_tag = '' THEN p_plain ELSE t.tag = ANY (p_tags) OR (p_any AND NOT starts_with(t.tag, '${OWN_PREFIX}')) END;
END`,
  ),
  // How far the arrival time of a key lies ahead of the time, in microseconds; p_window: of the rate.
  expression(
    'limit_ahead(p_key text, p_now bigint, p_window bigint)',
    'bigint',
    `coalesce((SELECT CASE WHEN l.arrival_us - p_now * 1000 > 2 * p_window THEN 0 ELSE greatest(0, l.arrival_us - p_now * 1000) END
       FROM limits l WHERE l.limit_key = p_key), 0)`,
  ),
  // The first item of a lane says when it is ready, how many may be taken now, and when the next one may.
  plpgsql(
    `limit_state(p_now bigint, p_key text, p_tag text, OUT ready_at bigint, OUT room integer, OUT opens_at bigint)`,
    'record',
    `
DECLARE
  v_concurrency integer;
  v_count integer;
  v_interval bigint;
  v_ahead bigint;
  v_running integer;
BEGIN
  room := 0;
  opens_at := p_now;
  SELECT w.ready_at, w.limit_concurrency, w.limit_count, w.limit_interval INTO ready_at, v_concurrency, v_count, v_interval
    FROM work_items w WHERE w.limit_key = p_key AND w.limit_tag = p_tag AND (w.expires_at IS NULL OR w.expires_at > p_now)
    ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  room := 2147483647;
  IF v_interval IS NOT NULL THEN
    v_ahead := limit_ahead(p_key, p_now, v_interval * v_count) - v_interval * (v_count - 1);
    IF v_ahead > 0 THEN
      room := 0;
      opens_at := p_now + (v_ahead + 999) / 1000;
    ELSE
      room := -v_ahead / v_interval + 1;
    END IF;
  END IF;
  IF v_concurrency IS NOT NULL THEN
    SELECT count(*) INTO v_running ${RUNNING};
    IF v_running >= v_concurrency THEN
      room := 0;
      opens_at := greatest(opens_at, (SELECT w.ready_at ${RUNNING} ORDER BY w.ready_at OFFSET v_running - v_concurrency LIMIT 1));
    ELSE
      room := least(room, v_concurrency - v_running);
    END IF;
  END IF;
END`,
  ),
  // Counts an item that is about to be locked, p_taken having been taken by the same fetch. False: it must not be.
  plpgsql(
    'take_limit(p_now bigint, p_key text, p_concurrency integer, p_count integer, p_interval bigint, p_taken integer)',
    'boolean',
    `
DECLARE v_ahead bigint;
BEGIN
  PERFORM 1 FROM limits l WHERE l.limit_key = p_key FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    INSERT INTO limits (limit_key, arrival_us) VALUES (p_key, 0) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
  END IF;
  IF p_concurrency IS NOT NULL AND p_taken + (SELECT count(*) ${RUNNING}) >= p_concurrency THEN RETURN false; END IF;
  IF p_interval IS NOT NULL THEN
    v_ahead := limit_ahead(p_key, p_now, p_interval * p_count);
    IF v_ahead > p_interval * (p_count - 1) THEN RETURN false; END IF;
  END IF;
  -- Without a rate, too: who counts by an older snapshot (REPEATABLE READ) is refused a row that was changed, not one that was only locked.
  UPDATE limits l SET arrival_us = coalesce(p_now * 1000 + v_ahead + p_interval, l.arrival_us) WHERE l.limit_key = p_key;
  RETURN true;
END`,
  ),
  // L4. The channel is that of notifier.ts.
  plpgsql(
    'tell_free_place()',
    'trigger',
    `
BEGIN
  PERFORM pg_notify('duraloom_' || TG_TABLE_SCHEMA, 'limits w');
  RETURN NULL;
END`,
  ),
  `CREATE OR REPLACE TRIGGER free_place_deleted AFTER DELETE ON work_items FOR EACH ROW
     WHEN (OLD.limit_key IS NOT NULL AND OLD.lock_token IS NOT NULL) EXECUTE FUNCTION tell_free_place();`,
  `CREATE OR REPLACE TRIGGER free_place_given_back AFTER UPDATE OF lock_token ON work_items FOR EACH ROW
     WHEN (OLD.limit_key IS NOT NULL AND OLD.lock_token IS NOT NULL AND NEW.lock_token IS NULL) EXECUTE FUNCTION tell_free_place();`,
];
