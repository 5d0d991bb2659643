// Work items, sessions and their messages in SQL. Neighbours: turns.ts adds and cancels items, instances.ts takes completions, limits.ts says how
// many items of a limit may run, function.ts has the rules F1–F5.
//
// Semantics: those of memory/work-queue.ts and memory/sessions.ts.
// W1. An item with `expires_at` in the past is for `fetch_expired_work` alone; who takes an item in time clears it.
// W2. A look for the next time says a time in the past only when a fetch would get something, or somebody else is taking it just now.
import { IN_PROGRESS_HEAD_START_MS } from '../../provider.ts';
import { OWN_PREFIX } from '../../tags.ts';
import { expression, lockWork, NOT_ON_DISK, plpgsql } from './function.ts';

const RETURNED = `TABLE (now_ms bigint, next_at bigint, instance_id text, execution_id integer, event_id integer, name text, payload text,
  attempt integer, routing text, heartbeat text)`;

/** SQL: an item that nobody must miss (W1). */
const ALIVE = '(w.expires_at IS NULL OR w.expires_at > v_now)';

/** SQL: a session item whose tag is taken. */
const TAKES_TAG = `(w.tag = ANY (p_tags) OR (p_plain AND w.tag IS NULL) OR (p_any AND w.tag IS NOT NULL AND NOT starts_with(w.tag, '${OWN_PREFIX}')))`;

const KEY = 'w.instance_id, w.execution_id, w.event_id';

/** SQL: an item of the lane of its tag, or of the plain one. */
const IN_TAG_LANE = 'w.session_id IS NULL AND w.limit_key IS NULL';

/** SQL: what a fetch looks at of an item that has no limit. */
const UNLIMITED =
  'NULL::text AS limit_key, NULL::integer AS limit_concurrency, NULL::integer AS limit_count, NULL::bigint AS limit_interval';

const NOTHING = `NULL, NULL::integer, NULL::integer, NULL, NULL, NULL::integer, NULL, NULL`;

/** SQL: locks what was chosen, in order, and returns it. `lock` is what becomes of the other columns. */
function lockAndReturn(set: string): string {
  return `
    RETURN QUERY
      WITH locked AS (
        UPDATE work_items w SET lock_token = p_token, ready_at = v_now + p_lock, attempts = w.attempts + 1${set}
          FROM unnest(v_ids, v_executions, v_events) WITH ORDINALITY c (id, execution, event, ord)
          WHERE w.instance_id = ANY (ARRAY[c.id]) AND w.execution_id = c.execution AND w.event_id = c.event
          RETURNING c.ord, ${KEY}, w.name, w.payload, w.attempts, w.routing, w.heartbeat
      )
      SELECT v_now, NULL::bigint, l.instance_id, l.execution_id, l.event_id, l.name, l.payload, l.attempts, l.routing, l.heartbeat
      FROM locked l ORDER BY l.ord;`;
}

/** SQL: looks at the held locks of the given items; fills v_outcomes and v_ok. */
const CHECK_LOCKS = `
  ${lockWork('p_ids, p_executions, p_events')}
  v_now := now_ms(p_now);
  SELECT array_agg(x.outcome = 'done' ORDER BY x.ord), array_agg(x.outcome ORDER BY x.ord) INTO v_ok, v_outcomes FROM (
    SELECT a.ord, CASE
      WHEN w.instance_id IS NULL THEN 'gone'
      WHEN w.lock_token = a.token AND w.ready_at > v_now THEN 'done'
      ELSE 'lockLost'
    END AS outcome
    FROM unnest(p_ids, p_executions, p_events, p_tokens) WITH ORDINALITY a (id, execution, event, token, ord)
    LEFT JOIN work_items w ON w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event
  ) x;`;

/** The functions. */
export const WORK_FUNCTIONS: readonly string[] = [
  // Tags of the items without a session but the reserved ones, from one to the next: there are few, and many items of each.
  expression(
    'stored_tags()',
    'text[]',
    `ARRAY(WITH RECURSIVE stored (tag) AS (
       (SELECT w.tag FROM work_items w WHERE w.tag IS NOT NULL AND ${IN_TAG_LANE} ORDER BY w.tag LIMIT 1)
       UNION ALL
       SELECT (SELECT w.tag FROM work_items w WHERE w.tag > stored.tag AND ${IN_TAG_LANE} ORDER BY w.tag LIMIT 1)
       FROM stored WHERE stored.tag IS NOT NULL
     ) SELECT s.tag FROM stored s WHERE s.tag IS NOT NULL AND NOT starts_with(s.tag, '${OWN_PREFIX}'))`,
  ),
  expression(
    'held_sessions(p_owner text, p_now bigint)',
    'integer',
    '(SELECT count(*)::integer FROM sessions s WHERE s.owner = p_owner AND s.lease_until > p_now)',
  ),

  // Who plain items are kept for, from one to the next; until when they must have been ready, and by how much they go first.
  plpgsql(
    'work_owners(p_now bigint, p_runtime text, p_kept bigint)',
    'TABLE (owner text, since bigint, head bigint)',
    `
BEGIN
  RETURN QUERY
    WITH RECURSIVE stored AS (
      (SELECT w.owner FROM work_items w WHERE w.tag IS NULL AND ${IN_TAG_LANE} ORDER BY w.owner LIMIT 1)
      UNION ALL
      SELECT n.owner FROM stored s CROSS JOIN LATERAL (
        SELECT w.owner FROM work_items w WHERE w.tag IS NULL AND ${IN_TAG_LANE} AND w.owner > s.owner ORDER BY w.owner LIMIT 1
      ) n
    )
    SELECT s.owner,
      CASE WHEN s.owner NOT IN ('', p_runtime) AND EXISTS (SELECT FROM runtimes r WHERE r.runtime_id = s.owner AND r.expires_at > p_now)
        THEN p_now - p_kept ELSE p_now END,
      CASE WHEN s.owner = p_runtime AND p_runtime <> '' THEN ${IN_PROGRESS_HEAD_START_MS}::bigint ELSE 0 END
    FROM stored s;
END`,
  ),

  // How many items to take for whom, so that no more rows are locked than are taken: a lock is a write.
  plpgsql(
    'work_shares(p_now bigint, p_runtime text, p_kept bigint, p_max integer)',
    'TABLE (owner text, since bigint, head bigint, share bigint)',
    `
DECLARE
  v_owners text[];
  v_since bigint[];
  v_heads bigint[];
BEGIN
  SELECT array_agg(o.owner), array_agg(o.since), array_agg(o.head) INTO v_owners, v_since, v_heads FROM work_owners(p_now, p_runtime, p_kept) o;
  IF cardinality(v_owners) = 1 THEN
    RETURN QUERY SELECT v_owners[1], v_since[1], v_heads[1], p_max::bigint;
  ELSE
    RETURN QUERY SELECT f.owner, f.since, f.head, count(*) FROM (
      SELECT o.* FROM unnest(v_owners, v_since, v_heads) o (owner, since, head) CROSS JOIN LATERAL (
        SELECT w.ready_at FROM work_items w
        WHERE w.owner = o.owner AND w.tag IS NULL AND ${IN_TAG_LANE} AND w.ready_at <= o.since AND (w.expires_at IS NULL OR w.expires_at > p_now)
        ORDER BY w.ready_at, ${KEY} LIMIT p_max
      ) x ORDER BY x.ready_at - o.head LIMIT p_max
    ) f GROUP BY f.owner, f.since, f.head;
  END IF;
END`,
  ),

  // p_plain: items without a tag; p_tags: those with one of these; p_any: those with any that is not reserved. p_owner: takes items of sessions.
  plpgsql(
    `fetch_work(p_now bigint, p_plain boolean, p_tags text[], p_any boolean, p_owner text, p_lease bigint, p_max_sessions integer, p_max integer,
  p_lock bigint, p_token text, p_runtime text, p_kept bigint)`,
    RETURNED,
    `
DECLARE
  v_now bigint := now_ms(p_now);
  v_tags text[] := p_tags;
  v_ids text[];
  v_executions integer[];
  v_events integer[];
  v_hasRoom boolean := false;
  v_item record;
  v_count integer;
  v_left integer := p_max;
  v_keys text[];
  v_key_tags text[];
  v_rooms integer[];
  v_taken text[];
  v_limited_at bigint;
BEGIN
  ${NOT_ON_DISK}
  IF p_any THEN v_tags := v_tags || stored_tags(); END IF;
  LOOP
    IF p_owner IS NOT NULL THEN v_hasRoom := held_sessions(p_owner, v_now) < p_max_sessions; END IF;
    v_ids := '{}';
    v_executions := '{}';
    v_events := '{}';
    v_count := 0;
    v_keys := NULL;
    v_taken := '{}';
    IF (SELECT w.limit_key FROM work_items w WHERE w.limit_key IS NOT NULL ORDER BY w.limit_key LIMIT 1) IS NOT NULL THEN
      SELECT array_agg(x.limit_key), array_agg(x.limit_tag), array_agg(x.room) INTO v_keys, v_key_tags, v_rooms FROM (
        SELECT l.*, s.room FROM stored_lanes(p_plain, p_tags, p_any) l CROSS JOIN LATERAL limit_state(v_now, l.limit_key, l.limit_tag) s
        WHERE s.room > 0 AND s.ready_at <= v_now
      ) x;
    END IF;
    FOR v_item IN
      SELECT s.* FROM (
        SELECT x.* FROM work_shares(v_now, p_runtime, p_kept, v_left) o CROSS JOIN LATERAL (
          SELECT ${KEY}, w.ready_at - o.head AS ready_at, NULL::text AS session_id, ${UNLIMITED} FROM work_items w
          WHERE w.owner = o.owner AND w.tag IS NULL AND ${IN_TAG_LANE} AND w.ready_at <= o.since AND ${ALIVE}
          ORDER BY w.ready_at, ${KEY} LIMIT o.share FOR UPDATE SKIP LOCKED
        ) x WHERE p_plain
        UNION ALL
        SELECT x.* FROM (SELECT DISTINCT t.tag FROM unnest(v_tags) t (tag)) t CROSS JOIN LATERAL (
          SELECT ${KEY}, w.ready_at, NULL::text AS session_id, ${UNLIMITED} FROM work_items w
          WHERE w.tag = t.tag AND ${IN_TAG_LANE} AND w.ready_at <= v_now AND ${ALIVE}
          ORDER BY w.ready_at, ${KEY} LIMIT v_left FOR UPDATE SKIP LOCKED
        ) x
        UNION ALL
        SELECT x.* FROM unnest(v_keys, v_key_tags, v_rooms) t (key, tag, room) CROSS JOIN LATERAL (
          SELECT ${KEY}, w.ready_at, NULL::text AS session_id, w.limit_key, w.limit_concurrency, w.limit_count, w.limit_interval FROM work_items w
          WHERE w.limit_key = t.key AND w.limit_tag = t.tag AND w.ready_at <= v_now AND ${ALIVE}
          ORDER BY w.ready_at, ${KEY} LIMIT least(v_left, t.room) FOR UPDATE SKIP LOCKED
        ) x
        UNION ALL
        SELECT * FROM (
          SELECT ${KEY}, w.ready_at, w.session_id, ${UNLIMITED} FROM work_items w
          WHERE p_owner IS NOT NULL AND w.session_id IS NOT NULL AND w.ready_at <= v_now AND ${ALIVE} AND ${TAKES_TAG} AND (
            EXISTS (SELECT FROM sessions s WHERE s.session_id = w.session_id AND s.lease_until > v_now AND s.owner = p_owner)
            OR (v_hasRoom AND NOT EXISTS (SELECT FROM sessions s WHERE s.session_id = w.session_id AND s.lease_until > v_now)))
          ORDER BY w.ready_at, ${KEY} LIMIT v_left FOR UPDATE SKIP LOCKED
        ) sessions
      ) s ORDER BY s.ready_at, s.instance_id, s.execution_id, s.event_id LIMIT v_left
    LOOP
      v_count := v_count + 1;
      CONTINUE WHEN v_item.session_id IS NOT NULL
        AND NOT claim_session(v_now, v_item.session_id, p_owner, p_lease, p_max_sessions);
      IF v_item.limit_key IS NOT NULL THEN
        CONTINUE WHEN NOT take_limit(v_now, v_item.limit_key, v_item.limit_concurrency, v_item.limit_count, v_item.limit_interval,
          cardinality(array_positions(v_taken, v_item.limit_key)));
        v_taken := v_taken || v_item.limit_key;
      END IF;
      v_ids := v_ids || v_item.instance_id;
      v_executions := v_executions || v_item.execution_id;
      v_events := v_events || v_item.event_id;
    END LOOP;
    EXIT WHEN v_count = 0;
    -- Others took the sessions, or take of the limits, just now: there may be something else.
    IF v_ids = '{}' THEN
      EXIT WHEN v_keys IS NOT NULL;
      CONTINUE;
    END IF;
    ${lockAndReturn(`, expires_at = NULL,
          lock_owner = CASE WHEN w.session_id IS NULL THEN NULL ELSE p_owner END`)}
    v_left := v_left - cardinality(v_ids);
    IF v_left = 0 THEN RETURN; END IF;
    -- In the place of those that were left out there may be others.
    EXIT WHEN v_count = cardinality(v_ids);
  END LOOP;
  IF (SELECT w.limit_key FROM work_items w WHERE w.limit_key IS NOT NULL ORDER BY w.limit_key LIMIT 1) IS NOT NULL THEN
    SELECT min(greatest(s.ready_at, s.opens_at)) INTO v_limited_at
      FROM stored_lanes(p_plain, p_tags, p_any) l CROSS JOIN LATERAL limit_state(v_now, l.limit_key, l.limit_tag) s WHERE s.ready_at IS NOT NULL;
  END IF;
  RETURN QUERY SELECT v_now, least(v_limited_at,
      (SELECT min(x.ready_at + v_now - o.since) FROM work_owners(v_now, p_runtime, p_kept) o CROSS JOIN LATERAL (
        SELECT w.ready_at FROM work_items w
        WHERE w.owner = o.owner AND w.tag IS NULL AND ${IN_TAG_LANE} AND ${ALIVE} ORDER BY w.ready_at, ${KEY} LIMIT 1) x WHERE p_plain),
      (SELECT min(x.ready_at) FROM unnest(v_tags) t (tag) CROSS JOIN LATERAL (
        SELECT w.ready_at FROM work_items w WHERE w.tag = t.tag AND ${IN_TAG_LANE} AND ${ALIVE} ORDER BY w.ready_at, ${KEY} LIMIT 1) x),
      CASE WHEN p_owner IS NOT NULL THEN next_session_item(v_now, p_plain, p_tags, p_any, p_owner, p_max_sessions) END
    ), ${NOTHING};
END`,
  ),
  // When an item of a session can be taken: when it is ready and its session is this owner's, or free while the owner has room.
  plpgsql(
    'next_session_item(v_now bigint, p_plain boolean, p_tags text[], p_any boolean, p_owner text, p_max_sessions integer)',
    'bigint',
    `
DECLARE
  v_room bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM work_items w WHERE w.session_id IS NOT NULL) THEN RETURN NULL; END IF;
  IF held_sessions(p_owner, v_now) >= p_max_sessions THEN
    SELECT min(s.lease_until) INTO v_room FROM sessions s WHERE s.owner = p_owner AND s.lease_until > v_now;
  END IF;
  RETURN (SELECT min(greatest(x.ready_at, CASE
      WHEN s.owner = p_owner THEN v_now
      WHEN s.session_id IS NOT NULL THEN greatest(s.lease_until, v_room)
      ELSE coalesce(v_room, v_now)
    END))
    FROM (SELECT w.session_id, min(w.ready_at) AS ready_at FROM work_items w
      WHERE w.session_id IS NOT NULL AND ${ALIVE} AND ${TAKES_TAG} GROUP BY w.session_id) x
    LEFT JOIN sessions s ON s.session_id = x.session_id AND s.lease_until > v_now
    WHERE p_max_sessions > 0 OR s.owner = p_owner);
END`,
  ),
  plpgsql(
    'claim_session(p_now bigint, p_session text, p_owner text, p_lease bigint, p_max integer)',
    'boolean',
    `
BEGIN
  IF NOT EXISTS (SELECT FROM sessions s WHERE s.session_id = p_session AND s.owner = p_owner AND s.lease_until > p_now)
    AND held_sessions(p_owner, p_now) >= p_max THEN
    RETURN false;
  END IF;
  INSERT INTO sessions (session_id, owner, lease_until, used_at) VALUES (p_session, p_owner, p_now + p_lease, p_now)
    ON CONFLICT (session_id) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until, used_at = excluded.used_at
      WHERE sessions.owner = excluded.owner OR sessions.lease_until <= p_now;
  RETURN FOUND;
END`,
  ),
  plpgsql(
    'fetch_expired_work(p_now bigint, p_max integer, p_lock bigint, p_token text)',
    RETURNED,
    `
DECLARE
  v_now bigint := now_ms(p_now);
  v_ids text[];
  v_executions integer[];
  v_events integer[];
BEGIN
  ${NOT_ON_DISK}
  SELECT array_agg(x.instance_id), array_agg(x.execution_id), array_agg(x.event_id) INTO v_ids, v_executions, v_events FROM (
    SELECT ${KEY} FROM work_items w WHERE w.expires_at <= v_now AND w.ready_at <= v_now
    ORDER BY w.expires_at, ${KEY} LIMIT p_max FOR UPDATE SKIP LOCKED
  ) x;
  IF v_ids IS NOT NULL THEN
    ${lockAndReturn('')}
    IF cardinality(v_ids) = p_max THEN RETURN; END IF;
  END IF;
  RETURN QUERY SELECT v_now, (SELECT min(greatest(w.expires_at, w.ready_at)) FROM (
    SELECT w.expires_at, w.ready_at FROM work_items w WHERE w.expires_at IS NOT NULL ORDER BY w.expires_at LIMIT 100) w), ${NOTHING};
END`,
  ),

  // Removes those of the items whose locks are held, marks their sessions as used, and removes the messages that they have received. Returns how
  // many items it removed.
  plpgsql(
    `finish_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_sessions text[], p_uptos bigint[])`,
    'integer',
    `
DECLARE
  v_sessions text[];
  v_owners text[];
  v_count integer;
BEGIN
  WITH gone AS (
    DELETE FROM work_items w USING unnest(p_ids, p_executions, p_events, p_tokens) a (id, execution, event, token)
      WHERE w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event AND w.lock_token = a.token AND w.ready_at > p_now
      RETURNING w.session_id, w.lock_owner
  )
  SELECT count(*), array_agg(g.session_id) FILTER (WHERE g.session_id IS NOT NULL), array_agg(g.lock_owner) FILTER (WHERE g.session_id IS NOT NULL)
    INTO v_count, v_sessions, v_owners FROM gone g;
  IF v_sessions IS NOT NULL THEN
    UPDATE sessions s SET used_at = p_now FROM unnest(v_sessions, v_owners) g (id, owner) WHERE s.session_id = ANY (ARRAY[g.id]) AND s.owner = g.owner;
  END IF;
  IF cardinality(array_remove(p_sessions, NULL)) > 0 THEN
    DELETE FROM session_messages m USING unnest(p_sessions, p_uptos) a (session, upto) WHERE m.session_id = ANY (ARRAY[a.session]) AND m.seq <= a.upto;
  END IF;
  RETURN v_count;
END`,
  ),
  plpgsql(
    `ack_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_completions text[], p_sessions text[],
  p_uptos bigint[])`,
    'text[]',
    `
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_outcomes text[];
BEGIN
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids) ORDER BY i.instance_id FOR UPDATE;
  ${CHECK_LOCKS}
  PERFORM finish_work(v_now, array_agg(a.id), array_agg(a.execution), array_agg(a.event), array_agg(a.token), array_agg(a.session), array_agg(a.upto))
    FROM unnest(p_ids, p_executions, p_events, p_tokens, p_sessions, p_uptos) WITH ORDINALITY a (id, execution, event, token, session, upto, ord)
    WHERE v_ok[a.ord] HAVING count(*) > 0;
  PERFORM enqueue_messages(v_now, array_agg(a.id ORDER BY a.ord), array_agg(a.completion ORDER BY a.ord), array_agg(NULL::text))
    FROM unnest(p_ids, p_completions) WITH ORDINALITY a (id, completion, ord) WHERE v_ok[a.ord] AND a.completion IS NOT NULL HAVING count(*) > 0;
  RETURN v_outcomes;
END`,
  ),
  plpgsql(
    `abandon_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_delays bigint[], p_counts boolean[])`,
    'text[]',
    `
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_outcomes text[];
BEGIN
  ${CHECK_LOCKS}
  UPDATE work_items w SET lock_token = NULL, owner = '', attempts = w.attempts - CASE WHEN a.counts THEN 0 ELSE 1 END,
      ready_at = place(v_now + a.delay, w.priority, v_now)
    FROM unnest(p_ids, p_executions, p_events, p_delays, p_counts) WITH ORDINALITY a (id, execution, event, delay, counts, ord)
    WHERE v_ok[a.ord] AND w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event;
  RETURN v_outcomes;
END`,
  ),
  plpgsql(
    `renew_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_heartbeats text[], p_lock bigint)`,
    'text[]',
    `
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_outcomes text[];
BEGIN
  ${NOT_ON_DISK}
  ${CHECK_LOCKS}
  UPDATE work_items w SET ready_at = v_now + p_lock, heartbeat = coalesce(a.heartbeat, w.heartbeat)
    FROM unnest(p_ids, p_executions, p_events, p_heartbeats) WITH ORDINALITY a (id, execution, event, heartbeat, ord)
    WHERE v_ok[a.ord] AND w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event;
  UPDATE sessions s SET used_at = v_now
    FROM unnest(p_ids, p_executions, p_events) WITH ORDINALITY a (id, execution, event, ord)
    JOIN work_items w ON w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event
    WHERE v_ok[a.ord] AND s.session_id = w.session_id AND s.owner = w.lock_owner;
  RETURN v_outcomes;
END`,
  ),

  plpgsql(
    'renew_sessions(p_now bigint, p_owner text, p_lease bigint, p_idle bigint, p_session text, p_keep bigint)',
    'integer',
    `
DECLARE v_now bigint := now_ms(p_now);
BEGIN
  UPDATE sessions s SET lease_until = v_now + greatest(0, p_lease)
    WHERE s.owner = p_owner AND s.lease_until > v_now AND (
      CASE WHEN p_lease <= 0 THEN p_session IS NULL OR s.session_id = p_session
      ELSE s.used_at + p_idle > v_now OR EXISTS (
        SELECT FROM work_items w WHERE w.session_id = ANY (ARRAY[s.session_id]) AND w.lock_owner = p_owner AND w.lock_token IS NOT NULL AND w.ready_at > v_now)
      END);
  DELETE FROM sessions s WHERE s.lease_until <= v_now AND NOT EXISTS (SELECT FROM work_items w WHERE w.session_id = ANY (ARRAY[s.session_id]));
  DELETE FROM session_messages m WHERE m.sent_at < v_now - p_keep;
  -- L3 of limits.ts holds here as well: a fetch that has one of the rows may be about to wait for the session or for another row.
  WITH paid AS MATERIALIZED (SELECT l.limit_key FROM limits l WHERE l.arrival_us <= v_now * 1000 FOR UPDATE SKIP LOCKED)
    DELETE FROM limits l USING paid p WHERE l.limit_key = ANY (ARRAY[p.limit_key]);
  RETURN held_sessions(p_owner, v_now);
END`,
  ),
  // p_done: which messages to remove; NULL: all up to p_after.
  plpgsql(
    'receive_session_messages(p_session text, p_after bigint, p_done bigint[], p_max integer)',
    'TABLE (seq bigint, payload text)',
    `
BEGIN
  IF p_done IS NULL THEN DELETE FROM session_messages m WHERE m.session_id = p_session AND m.seq <= p_after;
  ELSE DELETE FROM session_messages m WHERE m.session_id = p_session AND m.seq = ANY (p_done);
  END IF;
  RETURN QUERY SELECT m.seq, m.payload FROM session_messages m WHERE m.session_id = p_session AND m.seq > p_after ORDER BY m.seq LIMIT p_max;
END`,
  ),
];
