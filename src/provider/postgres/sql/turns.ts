// Turns in SQL: lock instances with their messages, commit, give back, renew. Neighbours: instances.ts (what a turn does to others), function.ts
// (F1–F5), ../parameters.ts makes the parameters.
//
// Semantics: those of memory/instances.ts and memory/turns.ts. What differs: attempts are counted when a hand-out is found that was neither
// acked nor abandoned, not at the hand-out; so a hand-out costs no write for each message.
import { ENGINE_BEHAVIOUR } from '../../../types/history-event.ts';
import { expression, lockWork, NOT_ON_DISK, plpgsql } from './function.ts';
import { codeId, ENDED, firstReady, START_ORDER, TURN_MESSAGES } from './instances.ts';

/** How many instances of a code are looked at for when the next one is free of its owner. Beyond that a fetch may come a little late. */
const OWNED_LOOK = 32;

/** SQLSTATE: an optimistic turn was for work that is not held; nothing was done. In a class that the server does not use. */
export const WORK_NOT_HELD = 'DL001';

/** SQL: the instance is for somebody else. */
const IS_OWNED = `i.owner IS NOT NULL AND i.owner IS DISTINCT FROM p_owner AND i.owned_until > v_now
          AND EXISTS (SELECT FROM runtimes r WHERE r.runtime_id = i.owner AND r.expires_at > v_now)`;

/** The functions. */
export const TURN_FUNCTIONS: readonly string[] = [
  // Counts the hand-outs of instances that were neither acked nor abandoned: their locks ran out. They are locked by the caller.
  plpgsql(
    'count_lost_hand_outs(p_ids text[])',
    'void',
    `
BEGIN
  UPDATE messages m SET attempts = m.attempts + 1 FROM instances i
    WHERE i.instance_id = ANY (p_ids) AND i.handed_id IS NOT NULL AND m.instance_id = ANY (ARRAY[i.instance_id])
      AND (m.order_at, m.message_id) <= (i.handed_order, i.handed_id)
      -- On a clock that was set back, what came later may stand before it, and what was visible may not be.
      AND m.message_id <= coalesce(i.handed_max, i.handed_id) AND m.visible_at <= coalesce(i.handed_at, 0);
END`,
  ),

  // p_codes: which code the caller runs; p_known: all codes that it knows. A row for each message; then, unless there may be more, a row without an
  // instance that says when to look again (next_at), or that there is code that the caller must look at first (has_new_codes).
  plpgsql(
    `fetch_turns(p_now bigint, p_codes integer[], p_known integer[], p_max integer, p_lock bigint, p_token text, p_owner text, p_grace integer)`,
    `TABLE (now_ms bigint, next_at bigint, has_new_codes boolean, instance_id text, name text, version text, status text, execution_id integer,
       last_event_id integer, parent_instance_id text, parent_execution_id integer, parent_event_id integer, created_at bigint, message_id bigint,
       attempt integer, payload text)`,
    `
DECLARE
  v_now bigint := now_ms(p_now);
  v_ids text[];
  v_count integer;
  v_back integer;
BEGIN
  ${NOT_ON_DISK}
  IF EXISTS (SELECT FROM codes c WHERE c.code_id <> ALL (p_known)) THEN
    RETURN QUERY SELECT v_now, v_now, true, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer, NULL, NULL::integer, NULL::integer,
      NULL::bigint, NULL::bigint, NULL::integer, NULL;
    RETURN;
  END IF;
  LOOP
    SELECT array_agg(s.instance_id ORDER BY s.ready_at, s.instance_id) INTO v_ids FROM (
      SELECT x.instance_id, x.ready_at FROM unnest(p_codes) c (code_id) CROSS JOIN LATERAL (
        SELECT i.instance_id, i.ready_at FROM instances i
        WHERE i.code_id = c.code_id AND i.ready_at <= v_now AND NOT (${IS_OWNED})
        ORDER BY i.ready_at, i.instance_id LIMIT p_max FOR UPDATE SKIP LOCKED
      ) x ORDER BY x.ready_at, x.instance_id LIMIT p_max
    ) s;
    EXIT WHEN v_ids IS NULL;
    IF EXISTS (SELECT FROM instances i WHERE i.instance_id = ANY (v_ids) AND i.handed_id IS NOT NULL) THEN
      PERFORM count_lost_hand_outs(v_ids);
    END IF;
    RETURN QUERY
      -- Nothing is joined to what is found here: such a join would go through all of it for each row.
      WITH found AS MATERIALIZED (
        SELECT a.ord, i.*, m.message_id, m.order_at AS message_order, m.attempts, m.payload
        FROM unnest(v_ids) WITH ORDINALITY a (id, ord) JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]) CROSS JOIN LATERAL (
          SELECT m.message_id, m.order_at, m.attempts, m.payload FROM messages m
          WHERE m.instance_id = ANY (ARRAY[a.id]) AND m.visible_at <= v_now ORDER BY m.order_at, m.message_id LIMIT ${TURN_MESSAGES}
        ) m
      ), locked AS (
        UPDATE instances i SET lock_token = p_token, ready_at = v_now + p_lock, hold_until = 0, handed_order = l.message_order,
            handed_id = l.message_id, handed_max = l.max_id, handed_at = v_now, owner = p_owner, owner_grace = p_grace
          FROM (
            SELECT DISTINCT ON (f.instance_id) f.instance_id, f.message_order, f.message_id,
              max(f.message_id) OVER (PARTITION BY f.instance_id) AS max_id FROM found f
            ORDER BY f.instance_id, f.message_order DESC, f.message_id DESC
          ) l
          WHERE i.instance_id = ANY (ARRAY[l.instance_id])
      )
      SELECT v_now, NULL::bigint, false, f.instance_id, f.name, f.version, f.status, f.execution_id, f.last_event_id, f.parent_instance_id,
        f.parent_execution_id, f.parent_event_id, f.created_at, f.message_id, f.attempts + 1, f.payload
      FROM found f ORDER BY f.ord, f.message_order, f.message_id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    -- A lock ran out, and what it was for is not there any more, or in the future again: the instance goes back to its place.
    UPDATE instances i SET lock_token = NULL, handed_order = NULL, handed_id = NULL,
        ready_at = ${firstReady('0')}
      WHERE i.instance_id = ANY (v_ids) AND i.lock_token IS DISTINCT FROM p_token;
    GET DIAGNOSTICS v_back = ROW_COUNT;
    -- Each place was filled: there may be more. If some were not, those behind them may be ready.
    IF cardinality(v_ids) = p_max AND v_back = 0 THEN RETURN; END IF;
    EXIT WHEN v_count > 0;
  END LOOP;
  RETURN QUERY SELECT v_now, min(x.at), false, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer, NULL, NULL::integer, NULL::integer,
      NULL::bigint, NULL::bigint, NULL::integer, NULL
    FROM unnest(p_codes) c (code_id) CROSS JOIN LATERAL (
      SELECT CASE WHEN ${IS_OWNED} THEN greatest(i.ready_at, i.owned_until) ELSE i.ready_at END AS at FROM instances i
      WHERE i.code_id = c.code_id AND i.ready_at IS NOT NULL ORDER BY i.ready_at, i.instance_id LIMIT ${OWNED_LOOK}
    ) x;
END`,
  ),

  // p_work_numbers: of a limit: concurrency, count and interval, with blanks between; each may be left out.
  // Arrays by turn: p_ids …; by what belongs to a turn: …_ack is the number of the turn, from 1, …_id its instance, …_execution its execution.
  plpgsql(
    `ack_turns(p_now bigint, p_ids text[], p_tokens text[], p_executions integer[], p_bases integer[], p_createds bigint[], p_versions text[], p_lasts integer[],
  p_events text[], p_statuses text[], p_outputs text[], p_sets_custom boolean[], p_customs text[], p_next_names text[], p_next_versions text[],
  p_next_payloads text[],
  p_used_ack integer[], p_used_id text[], p_used bigint[],
  p_work_ack integer[], p_work_id text[], p_work_execution integer[], p_work_event integer[], p_work_name text[], p_work_payload text[],
  p_work_routing text[], p_work_tag text[], p_work_session text[], p_work_priority integer[], p_work_expires bigint[], p_work_limit text[], p_work_numbers text[],
  p_work_offered boolean[],
  p_timer_ack integer[], p_timer_id text[], p_timer_event integer[], p_timer_at bigint[], p_timer_payload text[],
  p_unwork_ack integer[], p_unwork_id text[], p_unwork_execution integer[], p_unwork_event integer[],
  p_untimer_ack integer[], p_untimer_id text[], p_untimer_event integer[],
  p_done_ack integer[], p_done_id text[], p_done_execution integer[], p_done_event integer[], p_done_token text[], p_done_session text[],
  p_done_upto bigint[],
  p_send_ack integer[], p_send_id text[], p_send_payload text[], p_send_key text[],
  p_others text[], p_more_ack integer[], p_more_id text[], p_more json[], p_offer_token text, p_offer_lock bigint, p_runtime text, p_checks_work boolean)`,
    'TABLE (now_ms bigint, outcomes text, received text, next_at bigint)',
    `
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_bad integer[] := '{}';
  v_outcomes text;
  v_ended text[];
  v_used integer;
  v_expected integer;
  v_finished integer;
  v_received integer[];
  v_more record;
  v_ready bigint;
BEGIN
  -- With whom it sends to or starts: in one order with all others that do so (F1).
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids || p_others) ORDER BY i.instance_id FOR UPDATE;
  v_now := now_ms(p_now);
  -- Which work is held is nearly always what the caller thinks: only when a delete finds less, all is looked at before.
  IF p_checks_work AND cardinality(p_done_ack) > 0 THEN
    ${lockWork('p_done_id, p_done_execution, p_done_event')}
    SELECT coalesce(array_agg(d.ack), '{}') INTO v_bad
      FROM unnest(p_done_ack, p_done_id, p_done_execution, p_done_event, p_done_token) d (ack, id, execution, event, token)
      LEFT JOIN work_items w ON w.instance_id = ANY (ARRAY[d.id]) AND w.execution_id = d.execution AND w.event_id = d.event
      WHERE w.lock_token IS DISTINCT FROM d.token OR w.ready_at <= v_now;
  END IF;
  SELECT array_agg(x.outcome = 'committed' ORDER BY x.ord), string_agg(x.outcome, ',' ORDER BY x.ord) INTO v_ok, v_outcomes FROM (
    SELECT a.ord, CASE
      WHEN i.instance_id IS NULL THEN 'instanceGone'
      WHEN a.token IS NULL THEN CASE
        WHEN i.status = 'Running' AND i.lock_token IS NULL AND i.hold_until <= v_now AND i.execution_id = a.execution
          AND i.last_event_id = a.base AND i.created_at = coalesce(a.created, i.created_at) AND a.ord <> ALL (v_bad)
          AND NOT EXISTS (SELECT FROM messages m WHERE m.instance_id = ANY (ARRAY[a.id]) AND m.visible_at <= v_now)
        THEN 'committed' ELSE 'conflict' END
      WHEN i.lock_token IS DISTINCT FROM a.token OR i.ready_at IS NULL OR i.ready_at <= v_now THEN 'lockLost'
      WHEN i.execution_id <> a.execution OR i.last_event_id <> a.base THEN 'conflict'
      ELSE 'committed'
    END AS outcome
    FROM unnest(p_ids, p_tokens, p_executions, p_bases, p_createds) WITH ORDINALITY a (id, token, execution, base, created, ord)
    LEFT JOIN instances i ON i.instance_id = ANY (ARRAY[a.id])
  ) x;
  IF NOT true = ANY (v_ok) THEN
    RETURN QUERY SELECT v_now, v_outcomes, '', NULL::bigint;
    RETURN;
  END IF;

  IF cardinality(p_done_ack) > 0 THEN
    SELECT count(*), finish_work(v_now, array_agg(d.id), array_agg(d.execution), array_agg(d.event), array_agg(d.token), array_agg(d.session),
        array_agg(d.upto))
      INTO v_expected, v_finished
      FROM unnest(p_done_ack, p_done_id, p_done_execution, p_done_event, p_done_token, p_done_session, p_done_upto)
        d (ack, id, execution, event, token, session, upto)
      WHERE v_ok[d.ack] HAVING count(*) > 0;
    IF v_finished < v_expected THEN
      RAISE EXCEPTION 'work is not held' USING ERRCODE = '${WORK_NOT_HELD}';
    END IF;
  END IF;
  INSERT INTO history (instance_id, execution_id, first_event_id, last_event_id, events)
    SELECT a.id, a.execution, a.base + 1, a.last, a.events
    FROM unnest(p_ids, p_executions, p_bases, p_lasts, p_events) WITH ORDINALITY a (id, execution, base, last, events, ord)
    WHERE a.last IS NOT NULL AND v_ok[a.ord];
  IF cardinality(p_timer_ack) > 0 THEN
    INSERT INTO messages (instance_id, visible_at, message_id, order_at, timer_id, payload)
      SELECT t.id, greatest(t.at, 1), nextval('message_ids'), t.at, t.event, t.payload
      FROM unnest(p_timer_ack, p_timer_id, p_timer_event, p_timer_at, p_timer_payload) t (ack, id, event, at, payload) WHERE v_ok[t.ack];
  END IF;
  IF cardinality(p_used_ack) > 0 THEN
    -- Nearly all are visible at once, and have a place in the key that is known. least() is 0: all messages with 0 must not be looked up (F4).
    WITH gone AS (
      DELETE FROM messages m USING unnest(p_used_ack, p_used_id, p_used) u (ack, id, message)
        WHERE v_ok[u.ack] AND m.instance_id = ANY (ARRAY[u.id]) AND m.visible_at = least(u.message, 0) AND m.message_id = u.message
        RETURNING u.ack, m.message_key
    ) SELECT count(*), array_agg(g.ack) FILTER (WHERE g.message_key IS NOT NULL) INTO v_used, v_received FROM gone g;
    IF v_used < (SELECT count(*) FROM unnest(p_used_ack) u (ack) WHERE v_ok[u.ack]) THEN
      DELETE FROM messages m USING unnest(p_used_ack, p_used_id, p_used) u (ack, id, message)
        WHERE v_ok[u.ack] AND m.instance_id = ANY (ARRAY[u.id]) AND m.visible_at > least(u.message, 0) AND m.message_id = u.message;
    END IF;
  END IF;
  IF cardinality(p_untimer_ack) > 0 THEN
    DELETE FROM messages m USING unnest(p_untimer_ack, p_untimer_id, p_untimer_event) t (ack, id, event)
      WHERE v_ok[t.ack] AND m.instance_id = ANY (ARRAY[t.id]) AND m.timer_id = t.event;
  END IF;
  IF EXISTS (SELECT FROM unnest(p_next_names) a (name) WHERE a.name IS NOT NULL) THEN
    DELETE FROM messages m USING unnest(p_ids, p_next_names) WITH ORDINALITY a (id, name, ord)
      WHERE v_ok[a.ord] AND a.name IS NOT NULL AND m.instance_id = ANY (ARRAY[a.id]) AND m.timer_id IS NOT NULL;
    INSERT INTO messages (instance_id, visible_at, message_id, order_at, payload)
      SELECT a.id, 0, nextval('message_ids'), ${START_ORDER}, a.payload
      FROM unnest(p_ids, p_next_names, p_next_payloads) WITH ORDINALITY a (id, name, payload, ord) WHERE v_ok[a.ord] AND a.name IS NOT NULL;
    INSERT INTO past_executions (instance_id, execution_id, name, version, last_event_id, ended_at)
      SELECT i.instance_id, i.execution_id, i.name, a.version, coalesce(a.last, i.last_event_id), v_now
      FROM unnest(p_ids, p_next_names, p_versions, p_lasts) WITH ORDINALITY a (id, name, version, last, ord)
      JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]) WHERE v_ok[a.ord] AND a.name IS NOT NULL;
  END IF;
  WITH turned AS (
  UPDATE instances i SET
      name = coalesce(a.next_name, i.name),
      version = CASE WHEN a.next_name IS NULL THEN a.version ELSE a.next_version END,
      code_id = CASE
        WHEN a.next_name IS NOT NULL THEN ${codeId('a.next_name', 'a.next_version', '0')}
        WHEN a.last IS NULL THEN ${codeId('i.name', 'a.version', '(SELECT c.engine FROM codes c WHERE c.code_id = i.code_id)')}
        ELSE ${codeId('i.name', 'a.version', String(ENGINE_BEHAVIOUR))}
      END,
      execution_id = i.execution_id + CASE WHEN a.next_name IS NULL THEN 0 ELSE 1 END,
      last_event_id = CASE WHEN a.next_name IS NULL THEN coalesce(a.last, i.last_event_id) ELSE 0 END,
      status = a.status,
      output = a.output,
      custom_status = CASE WHEN a.sets_custom THEN a.custom ELSE i.custom_status END,
      custom_status_version = i.custom_status_version + CASE WHEN a.sets_custom THEN 1 ELSE 0 END,
      updated_at = v_now,
      ended_at = CASE WHEN a.status IN ${ENDED} THEN v_now END,
      lock_token = NULL, hold_until = 0, handed_order = NULL, handed_id = NULL,
      owned_until = CASE WHEN i.owner IS NULL THEN 0 ELSE v_now + i.owner_grace END,
      ready_at = CASE WHEN a.status IN ('Pending', 'Running') THEN ${firstReady('0')} END
    FROM unnest(p_ids, p_versions, p_lasts, p_statuses, p_outputs, p_sets_custom, p_customs, p_next_names, p_next_versions)
      WITH ORDINALITY a (id, version, last, status, output, sets_custom, custom, next_name, next_version, ord)
    WHERE i.instance_id = ANY (ARRAY[a.id]) AND v_ok[a.ord]
    RETURNING i.ready_at
  ) SELECT min(t.ready_at) INTO v_ready FROM turned t;
  -- Adding comes before removing: what is scheduled and cancelled in one turn is absent.
  IF cardinality(p_work_ack) > 0 THEN
    -- What is offered goes to a fetch of the caller that waits for it: it is locked when it becomes visible.
    INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, lock_token, attempts, owner, tag, session_id, expires_at, priority,
        limit_key, limit_tag, limit_concurrency, limit_count, limit_interval, routing, name, payload)
      SELECT w.id, w.execution, w.event, CASE WHEN w.offered THEN v_now + p_offer_lock ELSE place(v_now, w.priority, v_now) END,
        CASE WHEN w.offered THEN p_offer_token END, CASE WHEN w.offered THEN 1 ELSE 0 END, p_runtime,
        w.tag, w.session, v_now + w.expires, w.priority,
        w.limit_key, CASE WHEN w.limit_key IS NOT NULL THEN coalesce(':' || w.tag, '') END, nullif(split_part(w.numbers, ' ', 1), '')::integer,
        nullif(split_part(w.numbers, ' ', 2), '')::integer, nullif(split_part(w.numbers, ' ', 3), '')::bigint, w.routing, w.name, w.payload
      FROM unnest(p_work_ack, p_work_id, p_work_execution, p_work_event, p_work_tag, p_work_session, p_work_expires, p_work_priority,
        p_work_limit, p_work_numbers, p_work_routing, p_work_name, p_work_payload, p_work_offered)
        w (ack, id, execution, event, tag, session, expires, priority, limit_key, numbers, routing, name, payload, offered)
      WHERE v_ok[w.ack] ON CONFLICT DO NOTHING;
  END IF;
  IF cardinality(p_unwork_ack) > 0 THEN
    DELETE FROM work_items w USING unnest(p_unwork_ack, p_unwork_id, p_unwork_execution, p_unwork_event) u (ack, id, execution, event)
      WHERE v_ok[u.ack] AND w.instance_id = ANY (ARRAY[u.id]) AND w.execution_id = u.execution AND w.event_id = u.event;
  END IF;
  -- What turns do to others, in the order of the contract: starts, messages, effects, children.
  FOR v_more IN
    SELECT m.ack, m.id, m.more -> 'starts' AS starts FROM unnest(p_more_ack, p_more_id, p_more) m (ack, id, more)
    WHERE v_ok[m.ack] AND m.more -> 'starts' IS NOT NULL ORDER BY m.ack
  LOOP
    PERFORM start_others(v_now, v_more.id, v_more.starts);
  END LOOP;
  IF cardinality(p_send_ack) > 0 THEN
    PERFORM enqueue_messages(v_now, array_agg(s.id ORDER BY s.ord), array_agg(s.payload ORDER BY s.ord), array_agg(s.key ORDER BY s.ord))
      FROM unnest(p_send_ack, p_send_id, p_send_payload, p_send_key) WITH ORDINALITY s (ack, id, payload, key, ord) WHERE v_ok[s.ack]
      HAVING count(*) > 0;
  END IF;
  FOR v_more IN
    SELECT m.ack, m.id, m.more -> 'effects' AS effects, m.more -> 'closeChildren' AS closing
    FROM unnest(p_more_ack, p_more_id, p_more) m (ack, id, more) WHERE v_ok[m.ack] ORDER BY m.ack
  LOOP
    IF v_more.effects IS NOT NULL THEN PERFORM apply_effects(v_now, v_more.id, v_more.effects); END IF;
    IF v_more.closing IS NOT NULL THEN
      PERFORM close_children(v_now, v_more.id, v_more.closing ->> 'output', v_more.closing ->> 'cancelPayload');
    END IF;
  END LOOP;
  SELECT array_agg(a.id) INTO v_ended FROM unnest(p_ids, p_statuses) WITH ORDINALITY a (id, status, ord)
    WHERE v_ok[a.ord] AND a.status IN ${ENDED};
  IF v_ended IS NOT NULL THEN PERFORM clear_instances(v_ended); END IF;
  RETURN QUERY SELECT v_now, v_outcomes, coalesce(array_to_string(v_received, ','), ''), v_ready;
END`,
  ),

  // Starts of a turn, as JSON.
  plpgsql(
    'start_others(p_now bigint, p_id text, p_starts json)',
    'void',
    `
DECLARE v_start json;
BEGIN
  FOR v_start IN SELECT s.value FROM json_array_elements(p_starts) s LOOP
    -- The own id is taken whatever the policy says: a turn cannot replace what it is a turn of.
    IF v_start ->> 'instanceId' = p_id OR start_instance(p_now, v_start) = 'exists' THEN
      IF v_start ->> 'conflictPayload' IS NOT NULL THEN
        PERFORM enqueue_messages(p_now, ARRAY[p_id], ARRAY[v_start ->> 'conflictPayload'], ARRAY[NULL]::text[]);
      END IF;
    END IF;
  END LOOP;
END`,
  ),
  // The rare parts of a turn, as JSON of AckEffects.
  plpgsql(
    'apply_effects(p_now bigint, p_id text, p_effects json)',
    'void',
    `
DECLARE
  v_part json;
  v_child instances%ROWTYPE;
  v_created bigint;
BEGIN
  v_part := p_effects -> 'attributes';
  IF v_part ->> 'text' IS NOT NULL THEN
    UPDATE instances i SET attributes = CASE WHEN json_array_length(v_part -> 'list') > 0 THEN v_part ->> 'text' END
      WHERE i.instance_id = p_id RETURNING i.created_at INTO v_created;
    PERFORM put_attributes(p_id, v_part -> 'list', v_created);
  END IF;
  FOR v_part IN SELECT e.value FROM json_array_elements(p_effects -> 'values') e LOOP
    IF v_part ->> 'value' IS NULL THEN
      DELETE FROM instance_values v WHERE v.instance_id = p_id AND v.key = v_part ->> 'key';
    ELSE
      INSERT INTO instance_values (instance_id, key, value, updated_at) VALUES (p_id, v_part ->> 'key', v_part ->> 'value', p_now)
        ON CONFLICT (instance_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;
    END IF;
  END LOOP;
  FOR v_part IN SELECT e.value FROM json_array_elements(p_effects -> 'subscriptions') e LOOP
    IF (v_part ->> 'subscribed')::boolean THEN
      INSERT INTO subscriptions (instance_id, pattern, is_wild) VALUES (p_id, v_part ->> 'pattern', position('*' IN v_part ->> 'pattern') > 0)
        ON CONFLICT DO NOTHING;
    ELSE
      DELETE FROM subscriptions s WHERE s.instance_id = p_id AND s.pattern = v_part ->> 'pattern';
    END IF;
  END LOOP;
  FOR v_part IN SELECT e.value FROM json_array_elements(p_effects -> 'publications') e LOOP
    PERFORM publish(p_now, v_part ->> 'topic', v_part ->> 'payload', v_part ->> 'key');
  END LOOP;
  INSERT INTO session_messages (session_id, payload, sent_at)
    SELECT e.value ->> 'sessionId', e.value ->> 'payload', p_now FROM json_array_elements(p_effects -> 'sessionMessages') e;
  FOR v_part IN SELECT e.value FROM json_array_elements(p_effects -> 'terminations') e LOOP
    SELECT i.* INTO v_child FROM instances i WHERE i.instance_id = v_part ->> 'instanceId' FOR UPDATE;
    CONTINUE WHEN v_child.instance_id IS NULL OR v_child.status IN ${ENDED}
      OR v_child.parent_instance_id IS DISTINCT FROM v_part -> 'parent' ->> 'instanceId'
      OR v_child.parent_execution_id IS DISTINCT FROM (v_part -> 'parent' ->> 'executionId')::integer
      OR v_child.parent_event_id IS DISTINCT FROM (v_part -> 'parent' ->> 'eventId')::integer;
    PERFORM terminate_instance(p_now, v_child.instance_id, v_part ->> 'output', v_part ->> 'output', v_part ->> 'cancelPayload');
  END LOOP;
END`,
  ),

  plpgsql(
    'abandon_turns(p_now bigint, p_ids text[], p_tokens text[], p_delays bigint[], p_counts boolean[])',
    'text[]',
    `
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_counted text[];
BEGIN
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids) ORDER BY i.instance_id FOR UPDATE;
  v_now := now_ms(p_now);
  SELECT array_agg(holds_turn(i, a.token, v_now) ORDER BY a.ord), array_agg(a.id) FILTER (WHERE a.counts AND holds_turn(i, a.token, v_now))
    INTO v_ok, v_counted
    FROM unnest(p_ids, p_tokens, p_counts) WITH ORDINALITY a (id, token, counts, ord) LEFT JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
  IF v_counted IS NOT NULL THEN PERFORM count_lost_hand_outs(v_counted); END IF;
  UPDATE instances i SET lock_token = NULL, handed_order = NULL, handed_id = NULL,
      hold_until = CASE WHEN a.delay > 0 THEN v_now + a.delay ELSE 0 END,
      owner = NULL,
      ready_at = CASE WHEN i.status IN ('Pending', 'Running')
        THEN ${firstReady('CASE WHEN a.delay > 0 THEN v_now + a.delay ELSE 0 END')} END
    FROM unnest(p_ids, p_delays) WITH ORDINALITY a (id, delay, ord) WHERE i.instance_id = ANY (ARRAY[a.id]) AND v_ok[a.ord];
  RETURN (SELECT array_agg(CASE WHEN a.ok THEN 'done' ELSE 'lockLost' END ORDER BY a.ord) FROM unnest(v_ok) WITH ORDINALITY a (ok, ord));
END`,
  ),
  plpgsql(
    'renew_turns(p_now bigint, p_ids text[], p_tokens text[], p_lock bigint)',
    'text[]',
    `
DECLARE
  v_now bigint;
  v_ok boolean[];
BEGIN
  ${NOT_ON_DISK}
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids) ORDER BY i.instance_id FOR UPDATE;
  v_now := now_ms(p_now);
  SELECT array_agg(holds_turn(i, a.token, v_now) ORDER BY a.ord) INTO v_ok
    FROM unnest(p_ids, p_tokens) WITH ORDINALITY a (id, token, ord) LEFT JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
  UPDATE instances i SET ready_at = v_now + p_lock FROM unnest(p_ids) WITH ORDINALITY a (id, ord) WHERE i.instance_id = ANY (ARRAY[a.id]) AND v_ok[a.ord];
  RETURN (SELECT array_agg(CASE WHEN a.ok THEN 'done' ELSE 'lockLost' END ORDER BY a.ord) FROM unnest(v_ok) WITH ORDINALITY a (ok, ord));
END`,
  ),
];

/** What the others need. */
export const TURN_PREDICATES: readonly string[] = [
  expression(
    'holds_turn(p_instance instances, p_token text, p_now bigint)',
    'boolean',
    'coalesce((p_instance).lock_token = p_token AND (p_instance).ready_at > p_now, false)',
  ),
];
