CREATE FUNCTION now_ms(p_now bigint) RETURNS bigint LANGUAGE sql AS $body$ SELECT coalesce(p_now, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) $body$;
CREATE FUNCTION place(p_visible bigint, p_priority integer, p_now bigint) RETURNS bigint LANGUAGE sql AS $body$ SELECT CASE WHEN p_visible > p_now THEN p_visible ELSE p_now - p_priority * 60000::bigint END $body$;
CREATE FUNCTION add_code(p_name text, p_version text, p_engine integer) RETURNS integer LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE v_id integer;
BEGIN
  INSERT INTO codes (name, version, engine) VALUES (p_name, p_version, p_engine) ON CONFLICT DO NOTHING RETURNING code_id INTO v_id;
  IF v_id IS NULL THEN
    SELECT c.code_id INTO STRICT v_id FROM codes c WHERE c.name = p_name AND c.version IS NOT DISTINCT FROM p_version AND c.engine = p_engine;
  END IF;
  RETURN v_id;
END
$body$;
CREATE FUNCTION read_instances(p_now bigint, p_ids text[]) RETURNS TABLE (ord bigint, record instances) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT a.ord, i FROM unnest(p_ids) WITH ORDINALITY a (id, ord) JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
END
$body$;
CREATE FUNCTION read_history(p_now bigint, p_ids text[], p_executions integer[], p_afters integer[]) RETURNS TABLE (ord bigint, first_event_id integer, last_event_id integer, events text) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT a.ord, h.first_event_id, h.last_event_id, h.events
    FROM unnest(p_ids, p_executions, p_afters) WITH ORDINALITY a (id, execution, after, ord)
    JOIN history h ON h.instance_id = ANY (ARRAY[a.id]) AND h.execution_id = a.execution AND h.first_event_id > a.after
    ORDER BY a.ord, h.first_event_id;
END
$body$;
CREATE FUNCTION enqueue_messages(p_now bigint, p_ids text[], p_payloads text[], p_keys text[]) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_outcomes text[];
BEGIN
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids) ORDER BY i.instance_id FOR UPDATE;
  v_now := now_ms(p_now);
  SELECT array_agg(
      CASE
        WHEN i.instance_id IS NULL THEN 'notFound'
        WHEN i.status IN ('Completed', 'Failed', 'Cancelled', 'Terminated') THEN 'ended'
        WHEN a.key IS NOT NULL AND (a.nth > 1 OR EXISTS (
          SELECT FROM messages m WHERE m.instance_id = ANY (ARRAY[a.id]) AND md5(m.message_key) = md5(a.key) AND m.message_key = a.key)) THEN 'duplicate'
        ELSE 'enqueued'
      END ORDER BY a.ord)
    INTO v_outcomes
    FROM (
      SELECT x.*, CASE WHEN x.key IS NULL THEN 1 ELSE row_number() OVER (PARTITION BY x.id, x.key ORDER BY x.ord) END AS nth
      FROM unnest(p_ids, p_keys) WITH ORDINALITY x (id, key, ord)
    ) a LEFT JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
  INSERT INTO messages (instance_id, visible_at, message_id, order_at, message_key, payload)
    SELECT a.id, 0, nextval('message_ids'), greatest(i.order_at, v_now), a.key, a.payload
    FROM (
      SELECT x.* FROM unnest(p_ids, p_payloads, p_keys, v_outcomes) WITH ORDINALITY x (id, payload, key, outcome, ord)
      WHERE x.outcome = 'enqueued' ORDER BY x.ord
    ) a JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
  -- A locked one stays locked, a held one held, a stopped one stopped; who was ready before stays so; work in progress goes first.
  UPDATE instances i SET
      order_at = greatest(i.order_at, v_now),
      owned_until = CASE WHEN i.owner IS NULL THEN 0 ELSE v_now + i.owner_grace END,
      ready_at = CASE
        WHEN i.status NOT IN ('Pending', 'Running') OR (i.lock_token IS NOT NULL AND i.ready_at > v_now) THEN i.ready_at
        ELSE least(i.ready_at, CASE
          WHEN i.hold_until > v_now THEN i.hold_until
          ELSE v_now - i.priority * 60000::bigint - CASE WHEN i.status = 'Running' THEN 10000 ELSE 0 END
        END)
      END
    FROM (SELECT DISTINCT a.id FROM unnest(p_ids, v_outcomes) a (id, outcome) WHERE a.outcome = 'enqueued') a
    WHERE i.instance_id = ANY (ARRAY[a.id]);
  RETURN v_outcomes;
END
$body$;
CREATE FUNCTION start_instances(p_now bigint, p_ids text[], p_names text[], p_versions text[], p_payloads text[], p_parent_ids text[], p_parent_executions integer[],
  p_parent_events integer[], p_closes text[], p_priorities integer[], p_start_ats bigint[], p_delays bigint[], p_notices text[], p_execution integer, p_offered boolean[], p_offer_token text, p_offer_lock bigint,
  p_owner text, p_grace integer) RETURNS TABLE (now_ms bigint, outcomes text, message_ids text) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint := now_ms(p_now);
  v_started text[];
  v_messages text;
BEGIN
  WITH s AS MATERIALIZED (
    SELECT a.*, greatest(coalesce(a.start_at, v_now), v_now + a.delay) AS begins_at, nextval('message_ids') AS message_id
    FROM unnest(p_ids, p_names, p_versions, p_payloads, p_parent_ids, p_parent_executions, p_parent_events, p_closes, p_priorities, p_start_ats,
  p_delays, p_notices, p_offered) WITH ORDINALITY
      AS a (id, name, version, payload, parent_id, parent_execution, parent_event, closes, priority, start_at, delay, notice, offered, ord)
  ), inserted AS (
    INSERT INTO instances (instance_id, name, version, code_id, status, priority, execution_id, first_execution_id, ready_at, hold_until,
        lock_token, handed_order, handed_id, owner, owner_grace,
        parent_instance_id, parent_execution_id, parent_event_id, on_parent_close, parent_notice, created_at, updated_at)
      SELECT s.id, s.name, s.version, coalesce((SELECT c.code_id FROM codes c WHERE c.name = s.name AND c.version IS NOT DISTINCT FROM s.version AND c.engine = 0), add_code(s.name, s.version, 0)), 'Pending', s.priority, p_execution, p_execution,
        CASE WHEN s.offered THEN v_now + p_offer_lock ELSE place(s.begins_at, s.priority, v_now) END,
        CASE WHEN s.begins_at > v_now THEN s.begins_at ELSE 0 END,
        CASE WHEN s.offered THEN p_offer_token END, CASE WHEN s.offered THEN -9007199254740991 END, CASE WHEN s.offered THEN s.message_id END,
        CASE WHEN s.offered THEN p_owner END, CASE WHEN s.offered THEN p_grace ELSE 0 END,
        s.parent_id, s.parent_execution, s.parent_event, s.closes, s.notice, v_now, v_now
      FROM s ORDER BY s.id
      ON CONFLICT DO NOTHING RETURNING instance_id
  ), sent AS (
    INSERT INTO messages (instance_id, visible_at, message_id, order_at, payload)
      SELECT s.id, 0, s.message_id, -9007199254740991, s.payload FROM s
      -- IS TRUE: a table in memory, not a join that goes through all of it for each row.
      WHERE (s.id IN (SELECT n.instance_id FROM inserted n)) IS TRUE
  )
  SELECT (SELECT array_agg(n.instance_id) FROM inserted n),
      string_agg(s.message_id::text, ',' ORDER BY s.ord) FILTER (WHERE s.offered)
    INTO v_started, v_messages FROM s;
  RETURN QUERY SELECT v_now,
    (SELECT string_agg(CASE WHEN a.id IN (SELECT unnest(v_started)) THEN 'started' ELSE 'exists' END, ',' ORDER BY a.ord)
      FROM unnest(p_ids) WITH ORDINALITY a (id, ord)),
    coalesce(v_messages, '');
END
$body$;
CREATE FUNCTION terminate_instance(p_now bigint, p_id text, p_output text, p_children_output text, p_cancel_payload text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  UPDATE instances i SET status = 'Terminated', output = p_output, updated_at = p_now, ready_at = NULL, lock_token = NULL, handed_order = NULL,
    handed_id = NULL WHERE i.instance_id = p_id;
  PERFORM clear_instances(ARRAY[p_id]);
  PERFORM close_children(p_now, p_id, p_children_output, p_cancel_payload);
END
$body$;
CREATE FUNCTION clear_instances(p_ids text[]) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  DELETE FROM messages m WHERE m.instance_id = ANY (p_ids);
  DELETE FROM work_items w WHERE w.instance_id = ANY (p_ids);
  DELETE FROM subscriptions s WHERE s.instance_id = ANY (p_ids);
END
$body$;
CREATE FUNCTION close_children(p_now bigint, p_parent text, p_output text, p_cancel_payload text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE v_child record;
BEGIN
  PERFORM 1 FROM instances i WHERE md5(i.parent_instance_id) = md5(p_parent) AND i.parent_instance_id = p_parent
    ORDER BY i.instance_id FOR UPDATE;
  FOR v_child IN
    SELECT i.instance_id, i.on_parent_close, i.parent_notice FROM instances i
    WHERE md5(i.parent_instance_id) = md5(p_parent) AND i.parent_instance_id = p_parent AND i.status NOT IN ('Completed', 'Failed', 'Cancelled', 'Terminated') ORDER BY i.instance_id
  LOOP
    IF v_child.on_parent_close = 'terminate' THEN
      PERFORM terminate_instance(p_now, v_child.instance_id, p_output, p_output, p_cancel_payload);
      -- A quarantined parent may be resumed, and waits for it then; one that ended takes no messages.
      IF v_child.parent_notice IS NOT NULL THEN
        PERFORM enqueue_messages(p_now, ARRAY[p_parent], ARRAY[v_child.parent_notice], ARRAY[NULL]::text[]);
      END IF;
    ELSIF v_child.on_parent_close = 'cancel' THEN
      PERFORM enqueue_messages(p_now, ARRAY[v_child.instance_id], ARRAY[p_cancel_payload], ARRAY[NULL]::text[]);
    END IF;
  END LOOP;
END
$body$;
CREATE FUNCTION start_instance(p_now bigint, p_start json) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_id text := p_start ->> 'instanceId';
  v_policy text := p_start ->> 'policy';
  v_old instances%ROWTYPE;
  v_execution integer := 1;
  v_outcome text;
BEGIN
  -- Who finds the id in use by a row that goes away meanwhile looks again.
  LOOP
    SELECT i.* INTO v_old FROM instances i WHERE i.instance_id = v_id FOR UPDATE;
    v_now := now_ms(p_now);
    IF v_old.instance_id IS NOT NULL THEN
      IF NOT (v_policy = 'terminateExisting' OR (v_policy = 'replaceTerminal' AND v_old.status IN ('Completed', 'Failed', 'Cancelled', 'Terminated'))) THEN
        RETURN 'exists';
      END IF;
      -- The children are closed while nobody has the id: what they tell their parent is not for the new instance.
      PERFORM remove_instance(v_id);
      IF p_start -> 'closeChildren' ->> 'output' IS NOT NULL THEN
        PERFORM close_children(v_now, v_id, p_start -> 'closeChildren' ->> 'output', p_start -> 'closeChildren' ->> 'cancelPayload');
      END IF;
      v_execution := v_old.execution_id + 1;
    END IF;
    SELECT s.outcomes INTO v_outcome FROM start_instances(v_now, ARRAY[v_id], ARRAY[p_start ->> 'name'], ARRAY[p_start ->> 'version'],
      ARRAY[p_start ->> 'payload'], ARRAY[p_start -> 'parent' ->> 'instanceId'], ARRAY[(p_start -> 'parent' ->> 'executionId')::integer],
      ARRAY[(p_start -> 'parent' ->> 'eventId')::integer], ARRAY[p_start ->> 'onParentClose'], ARRAY[(p_start ->> 'priority')::integer],
      ARRAY[(p_start ->> 'startAtMs')::bigint], ARRAY[(p_start ->> 'delayMs')::bigint], ARRAY[p_start ->> 'parentNotice'], v_execution,
      ARRAY[false], NULL, 0, NULL, 0) s;
    EXIT WHEN v_outcome = 'started';
  END LOOP;
  IF v_old.instance_id IS NULL THEN
    RETURN 'started';
  END IF;
  IF v_old.status NOT IN ('Completed', 'Failed', 'Cancelled', 'Terminated') AND v_old.parent_instance_id IS NOT NULL AND v_old.parent_notice IS NOT NULL THEN
    PERFORM enqueue_messages(v_now, ARRAY[v_old.parent_instance_id], ARRAY[v_old.parent_notice], ARRAY[NULL]::text[]);
  END IF;
  RETURN 'replaced';
END
$body$;
CREATE FUNCTION remove_instance(p_id text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  PERFORM clear_instances(ARRAY[p_id]);
  DELETE FROM history h WHERE h.instance_id = p_id;
  DELETE FROM past_executions e WHERE e.instance_id = p_id;
  DELETE FROM instance_values v WHERE v.instance_id = p_id;
  DELETE FROM instances i WHERE i.instance_id = p_id;
END
$body$;
CREATE FUNCTION matches_topic(p_pattern text, p_topic text) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_wanted text[] := string_to_array(p_pattern, '/');
  v_given text[] := string_to_array(p_topic, '/');
  v_count integer := cardinality(v_wanted);
BEGIN
  IF v_wanted[v_count] = '**' THEN
    IF cardinality(v_given) < v_count THEN RETURN false; END IF;
    v_count := v_count - 1;
  ELSIF cardinality(v_given) <> v_count THEN RETURN false;
  END IF;
  FOR n IN 1 .. v_count LOOP
    IF v_wanted[n] <> '*' AND v_wanted[n] COLLATE "C" <> v_given[n] COLLATE "C" THEN RETURN false; END IF;
  END LOOP;
  RETURN true;
END
$body$;
CREATE FUNCTION publish(p_now bigint, p_topic text, p_payload text, p_key text) RETURNS integer LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_ids text[];
BEGIN
  SELECT array_agg(DISTINCT s.instance_id) INTO v_ids FROM (
    SELECT s.instance_id FROM subscriptions s WHERE s.pattern = p_topic
    UNION ALL
    SELECT s.instance_id FROM subscriptions s WHERE s.is_wild AND matches_topic(s.pattern, p_topic)
  ) s;
  IF v_ids IS NULL THEN RETURN 0; END IF;
  RETURN (SELECT count(*) FROM unnest(enqueue_messages(p_now, v_ids, array_fill(p_payload, ARRAY[cardinality(v_ids)]),
    array_fill(p_key, ARRAY[cardinality(v_ids)]))) a (outcome) WHERE a.outcome = 'enqueued');
END
$body$;
CREATE FUNCTION control_instance(p_now bigint, p_request json) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_id text := p_request ->> 'instanceId';
  v_kind text := p_request ->> 'kind';
  v_instance instances%ROWTYPE;
BEGIN
  SELECT i.* INTO v_instance FROM instances i WHERE i.instance_id = v_id FOR UPDATE;
  v_now := now_ms(p_now);
  IF v_instance.instance_id IS NULL THEN RETURN 'notFound'; END IF;
  IF v_instance.status IN ('Completed', 'Failed', 'Cancelled', 'Terminated') THEN RETURN 'ended'; END IF;
  IF v_kind = 'terminate' THEN
    PERFORM terminate_instance(v_now, v_id, p_request ->> 'output', p_request -> 'closeChildren' ->> 'output',
      p_request -> 'closeChildren' ->> 'cancelPayload');
    IF p_request -> 'parentMessage' ->> 'instanceId' IS NOT NULL THEN
      PERFORM enqueue_messages(v_now, ARRAY[p_request -> 'parentMessage' ->> 'instanceId'], ARRAY[p_request -> 'parentMessage' ->> 'payload'],
        ARRAY[p_request -> 'parentMessage' ->> 'key']);
    END IF;
    RETURN 'done';
  END IF;
  IF (v_instance.status IN ('Suspended', 'Quarantined')) = (v_kind = 'suspend') THEN RETURN 'unchanged'; END IF;
  IF v_kind = 'suspend' THEN
    -- A hand-out that ends by it does not count.
    UPDATE instances i SET status = 'Suspended', updated_at = v_now, ready_at = NULL, lock_token = NULL, handed_order = NULL, handed_id = NULL
      WHERE i.instance_id = v_id;
    RETURN 'done';
  END IF;
  UPDATE messages m SET attempts = 0 WHERE m.instance_id = v_id AND m.attempts > 0;
  UPDATE instances i SET
      status = CASE WHEN i.execution_id = i.first_execution_id AND i.last_event_id = 0 THEN 'Pending' ELSE 'Running' END,
      output = NULL, updated_at = v_now, lock_token = NULL, handed_order = NULL, handed_id = NULL,
      ready_at = (SELECT place(greatest(m.visible_at, i.hold_until), i.priority, v_now) FROM messages m WHERE m.instance_id = ANY (ARRAY[i.instance_id])
    ORDER BY m.visible_at, m.message_id LIMIT 1)
    WHERE i.instance_id = v_id;
  RETURN 'done';
END
$body$;
CREATE FUNCTION start_replacing(p_now bigint, p_items json[]) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_item json;
  v_answers text[] := '{}';
BEGIN
  FOREACH v_item IN ARRAY p_items LOOP
    v_answers := v_answers || start_instance(p_now, v_item);
  END LOOP;
  RETURN v_answers;
END
$body$;
CREATE FUNCTION control_instances(p_now bigint, p_items json[]) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_item json;
  v_answers text[] := '{}';
BEGIN
  FOREACH v_item IN ARRAY p_items LOOP
    v_answers := v_answers || control_instance(p_now, v_item);
  END LOOP;
  RETURN v_answers;
END
$body$;
CREATE FUNCTION publish_all(p_now bigint, p_items json[]) RETURNS integer[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_item json;
  v_answers integer[] := '{}';
BEGIN
  FOREACH v_item IN ARRAY p_items LOOP
    v_answers := v_answers || publish(p_now, v_item ->> 'topic', v_item ->> 'payload', v_item ->> 'key');
  END LOOP;
  RETURN v_answers;
END
$body$;
CREATE FUNCTION holds_turn(p_instance instances, p_token text, p_now bigint) RETURNS boolean LANGUAGE sql AS $body$ SELECT coalesce((p_instance).lock_token = p_token AND (p_instance).ready_at > p_now, false) $body$;
CREATE FUNCTION count_lost_hand_outs(p_ids text[]) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  UPDATE messages m SET attempts = m.attempts + 1 FROM instances i
    WHERE i.instance_id = ANY (p_ids) AND i.handed_id IS NOT NULL AND m.instance_id = ANY (ARRAY[i.instance_id])
      AND (m.order_at, m.message_id) <= (i.handed_order, i.handed_id)
      -- On a clock that was set back, what came later may stand before it, and what was visible may not be.
      AND m.message_id <= coalesce(i.handed_max, i.handed_id) AND m.visible_at <= coalesce(i.handed_at, 0);
END
$body$;
CREATE FUNCTION fetch_turns(p_now bigint, p_codes integer[], p_known integer[], p_max integer, p_lock bigint, p_token text, p_owner text, p_grace integer) RETURNS TABLE (now_ms bigint, next_at bigint, has_new_codes boolean, instance_id text, name text, version text, status text, execution_id integer,
       last_event_id integer, parent_instance_id text, parent_execution_id integer, parent_event_id integer, created_at bigint, message_id bigint,
       attempt integer, payload text) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint := now_ms(p_now);
  v_ids text[];
  v_count integer;
  v_back integer;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  IF EXISTS (SELECT FROM codes c WHERE c.code_id <> ALL (p_known)) THEN
    RETURN QUERY SELECT v_now, v_now, true, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer, NULL, NULL::integer, NULL::integer,
      NULL::bigint, NULL::bigint, NULL::integer, NULL;
    RETURN;
  END IF;
  LOOP
    SELECT array_agg(s.instance_id ORDER BY s.ready_at, s.instance_id) INTO v_ids FROM (
      SELECT x.instance_id, x.ready_at FROM unnest(p_codes) c (code_id) CROSS JOIN LATERAL (
        SELECT i.instance_id, i.ready_at FROM instances i
        WHERE i.code_id = c.code_id AND i.ready_at <= v_now AND NOT (i.owner IS NOT NULL AND i.owner IS DISTINCT FROM p_owner AND i.owned_until > v_now
          AND EXISTS (SELECT FROM runtimes r WHERE r.runtime_id = i.owner AND r.expires_at > v_now))
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
          WHERE m.instance_id = ANY (ARRAY[a.id]) AND m.visible_at <= v_now ORDER BY m.order_at, m.message_id LIMIT 1000
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
        ready_at = (SELECT place(greatest(m.visible_at, 0), i.priority, v_now) FROM messages m WHERE m.instance_id = ANY (ARRAY[i.instance_id])
    ORDER BY m.visible_at, m.message_id LIMIT 1)
      WHERE i.instance_id = ANY (v_ids) AND i.lock_token IS DISTINCT FROM p_token;
    GET DIAGNOSTICS v_back = ROW_COUNT;
    -- Each place was filled: there may be more. If some were not, those behind them may be ready.
    IF cardinality(v_ids) = p_max AND v_back = 0 THEN RETURN; END IF;
    EXIT WHEN v_count > 0;
  END LOOP;
  RETURN QUERY SELECT v_now, min(x.at), false, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer, NULL, NULL::integer, NULL::integer,
      NULL::bigint, NULL::bigint, NULL::integer, NULL
    FROM unnest(p_codes) c (code_id) CROSS JOIN LATERAL (
      SELECT CASE WHEN i.owner IS NOT NULL AND i.owner IS DISTINCT FROM p_owner AND i.owned_until > v_now
          AND EXISTS (SELECT FROM runtimes r WHERE r.runtime_id = i.owner AND r.expires_at > v_now) THEN greatest(i.ready_at, i.owned_until) ELSE i.ready_at END AS at FROM instances i
      WHERE i.code_id = c.code_id AND i.ready_at IS NOT NULL ORDER BY i.ready_at, i.instance_id LIMIT 32
    ) x;
END
$body$;
CREATE FUNCTION ack_turns(p_now bigint, p_ids text[], p_tokens text[], p_executions integer[], p_bases integer[], p_versions text[], p_lasts integer[],
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
  p_others text[], p_more_ack integer[], p_more_id text[], p_more json[], p_offer_token text, p_offer_lock bigint, p_runtime text, p_checks_work boolean) RETURNS TABLE (now_ms bigint, outcomes text, received text, next_at bigint) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
    PERFORM 1 FROM (SELECT * FROM unnest(p_done_id, p_done_execution, p_done_event) a (id, execution, event) ORDER BY a.id COLLATE "C", a.execution, a.event OFFSET 0) a
    CROSS JOIN LATERAL (
      SELECT FROM work_items w WHERE w.instance_id = a.id AND w.execution_id = a.execution AND w.event_id = a.event FOR UPDATE
    ) w;
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
          AND i.last_event_id = a.base AND a.ord <> ALL (v_bad)
          AND NOT EXISTS (SELECT FROM messages m WHERE m.instance_id = ANY (ARRAY[a.id]) AND m.visible_at <= v_now)
        THEN 'committed' ELSE 'conflict' END
      WHEN i.lock_token IS DISTINCT FROM a.token OR i.ready_at IS NULL OR i.ready_at <= v_now THEN 'lockLost'
      WHEN i.execution_id <> a.execution OR i.last_event_id <> a.base THEN 'conflict'
      ELSE 'committed'
    END AS outcome
    FROM unnest(p_ids, p_tokens, p_executions, p_bases) WITH ORDINALITY a (id, token, execution, base, ord)
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
      RAISE EXCEPTION 'work is not held' USING ERRCODE = 'DL001';
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
      SELECT a.id, 0, nextval('message_ids'), -9007199254740991, a.payload
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
        WHEN a.next_name IS NOT NULL THEN coalesce((SELECT c.code_id FROM codes c WHERE c.name = a.next_name AND c.version IS NOT DISTINCT FROM a.next_version AND c.engine = 0), add_code(a.next_name, a.next_version, 0))
        WHEN a.last IS NULL THEN coalesce((SELECT c.code_id FROM codes c WHERE c.name = i.name AND c.version IS NOT DISTINCT FROM a.version AND c.engine = (SELECT c.engine FROM codes c WHERE c.code_id = i.code_id)), add_code(i.name, a.version, (SELECT c.engine FROM codes c WHERE c.code_id = i.code_id)))
        ELSE coalesce((SELECT c.code_id FROM codes c WHERE c.name = i.name AND c.version IS NOT DISTINCT FROM a.version AND c.engine = 1), add_code(i.name, a.version, 1))
      END,
      execution_id = i.execution_id + CASE WHEN a.next_name IS NULL THEN 0 ELSE 1 END,
      last_event_id = CASE WHEN a.next_name IS NULL THEN coalesce(a.last, i.last_event_id) ELSE 0 END,
      status = a.status,
      output = a.output,
      custom_status = CASE WHEN a.sets_custom THEN a.custom ELSE i.custom_status END,
      custom_status_version = i.custom_status_version + CASE WHEN a.sets_custom THEN 1 ELSE 0 END,
      updated_at = v_now,
      lock_token = NULL, hold_until = 0, handed_order = NULL, handed_id = NULL,
      owned_until = CASE WHEN i.owner IS NULL THEN 0 ELSE v_now + i.owner_grace END,
      ready_at = CASE WHEN a.status IN ('Pending', 'Running') THEN (SELECT place(greatest(m.visible_at, 0), i.priority, v_now) FROM messages m WHERE m.instance_id = ANY (ARRAY[i.instance_id])
    ORDER BY m.visible_at, m.message_id LIMIT 1) END
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
    WHERE v_ok[a.ord] AND a.status IN ('Completed', 'Failed', 'Cancelled', 'Terminated');
  IF v_ended IS NOT NULL THEN PERFORM clear_instances(v_ended); END IF;
  RETURN QUERY SELECT v_now, v_outcomes, coalesce(array_to_string(v_received, ','), ''), v_ready;
END
$body$;
CREATE FUNCTION start_others(p_now bigint, p_id text, p_starts json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
END
$body$;
CREATE FUNCTION apply_effects(p_now bigint, p_id text, p_effects json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_part json;
  v_child instances%ROWTYPE;
BEGIN
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
    CONTINUE WHEN v_child.instance_id IS NULL OR v_child.status IN ('Completed', 'Failed', 'Cancelled', 'Terminated')
      OR v_child.parent_instance_id IS DISTINCT FROM v_part -> 'parent' ->> 'instanceId'
      OR v_child.parent_execution_id IS DISTINCT FROM (v_part -> 'parent' ->> 'executionId')::integer
      OR v_child.parent_event_id IS DISTINCT FROM (v_part -> 'parent' ->> 'eventId')::integer;
    PERFORM terminate_instance(p_now, v_child.instance_id, v_part ->> 'output', v_part ->> 'output', v_part ->> 'cancelPayload');
  END LOOP;
END
$body$;
CREATE FUNCTION abandon_turns(p_now bigint, p_ids text[], p_tokens text[], p_delays bigint[], p_counts boolean[]) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
        THEN (SELECT place(greatest(m.visible_at, CASE WHEN a.delay > 0 THEN v_now + a.delay ELSE 0 END), i.priority, v_now) FROM messages m WHERE m.instance_id = ANY (ARRAY[i.instance_id])
    ORDER BY m.visible_at, m.message_id LIMIT 1) END
    FROM unnest(p_ids, p_delays) WITH ORDINALITY a (id, delay, ord) WHERE i.instance_id = ANY (ARRAY[a.id]) AND v_ok[a.ord];
  RETURN (SELECT array_agg(CASE WHEN a.ok THEN 'done' ELSE 'lockLost' END ORDER BY a.ord) FROM unnest(v_ok) WITH ORDINALITY a (ok, ord));
END
$body$;
CREATE FUNCTION renew_turns(p_now bigint, p_ids text[], p_tokens text[], p_lock bigint) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_ok boolean[];
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids) ORDER BY i.instance_id FOR UPDATE;
  v_now := now_ms(p_now);
  SELECT array_agg(holds_turn(i, a.token, v_now) ORDER BY a.ord) INTO v_ok
    FROM unnest(p_ids, p_tokens) WITH ORDINALITY a (id, token, ord) LEFT JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
  UPDATE instances i SET ready_at = v_now + p_lock FROM unnest(p_ids) WITH ORDINALITY a (id, ord) WHERE i.instance_id = ANY (ARRAY[a.id]) AND v_ok[a.ord];
  RETURN (SELECT array_agg(CASE WHEN a.ok THEN 'done' ELSE 'lockLost' END ORDER BY a.ord) FROM unnest(v_ok) WITH ORDINALITY a (ok, ord));
END
$body$;
CREATE FUNCTION stored_lanes(p_plain boolean, p_tags text[], p_any boolean) RETURNS TABLE (limit_key text, limit_tag text) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
    WHERE CASE WHEN s.limit_tag = '' THEN p_plain ELSE t.tag = ANY (p_tags) OR (p_any AND NOT starts_with(t.tag, 'duraloom:')) END;
END
$body$;
CREATE FUNCTION limit_ahead(p_key text, p_now bigint, p_window bigint) RETURNS bigint LANGUAGE sql AS $body$ SELECT coalesce((SELECT CASE WHEN l.arrival_us - p_now * 1000 > 2 * p_window THEN 0 ELSE greatest(0, l.arrival_us - p_now * 1000) END
       FROM limits l WHERE l.limit_key = p_key), 0) $body$;
CREATE FUNCTION limit_state(p_now bigint, p_key text, p_tag text, OUT ready_at bigint, OUT room integer, OUT opens_at bigint) RETURNS record LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
    SELECT count(*) INTO v_running FROM work_items w WHERE w.limit_key = p_key AND w.ready_at > p_now AND w.lock_token IS NOT NULL AND w.expires_at IS NULL;
    IF v_running >= v_concurrency THEN
      room := 0;
      opens_at := greatest(opens_at, (SELECT w.ready_at FROM work_items w WHERE w.limit_key = p_key AND w.ready_at > p_now AND w.lock_token IS NOT NULL AND w.expires_at IS NULL ORDER BY w.ready_at OFFSET v_running - v_concurrency LIMIT 1));
    ELSE
      room := least(room, v_concurrency - v_running);
    END IF;
  END IF;
END
$body$;
CREATE FUNCTION take_limit(p_now bigint, p_key text, p_concurrency integer, p_count integer, p_interval bigint, p_taken integer) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE v_ahead bigint;
BEGIN
  PERFORM 1 FROM limits l WHERE l.limit_key = p_key FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    INSERT INTO limits (limit_key, arrival_us) VALUES (p_key, 0) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
  END IF;
  IF p_concurrency IS NOT NULL AND p_taken + (SELECT count(*) FROM work_items w WHERE w.limit_key = p_key AND w.ready_at > p_now AND w.lock_token IS NOT NULL AND w.expires_at IS NULL) >= p_concurrency THEN RETURN false; END IF;
  IF p_interval IS NOT NULL THEN
    v_ahead := limit_ahead(p_key, p_now, p_interval * p_count);
    IF v_ahead > p_interval * (p_count - 1) THEN RETURN false; END IF;
  END IF;
  -- Without a rate, too: who counts by an older snapshot (REPEATABLE READ) is refused a row that was changed, not one that was only locked.
  UPDATE limits l SET arrival_us = coalesce(p_now * 1000 + v_ahead + p_interval, l.arrival_us) WHERE l.limit_key = p_key;
  RETURN true;
END
$body$;
CREATE FUNCTION tell_free_place() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  PERFORM pg_notify('duraloom_' || TG_TABLE_SCHEMA, 'limits w');
  RETURN NULL;
END
$body$;
CREATE TRIGGER free_place_deleted AFTER DELETE ON work_items FOR EACH ROW
     WHEN (OLD.limit_key IS NOT NULL AND OLD.lock_token IS NOT NULL) EXECUTE FUNCTION tell_free_place();
CREATE TRIGGER free_place_given_back AFTER UPDATE OF lock_token ON work_items FOR EACH ROW
     WHEN (OLD.limit_key IS NOT NULL AND OLD.lock_token IS NOT NULL AND NEW.lock_token IS NULL) EXECUTE FUNCTION tell_free_place();
CREATE FUNCTION stored_tags() RETURNS text[] LANGUAGE sql AS $body$ SELECT ARRAY(WITH RECURSIVE stored (tag) AS (
       (SELECT w.tag FROM work_items w WHERE w.tag IS NOT NULL AND w.session_id IS NULL AND w.limit_key IS NULL ORDER BY w.tag LIMIT 1)
       UNION ALL
       SELECT (SELECT w.tag FROM work_items w WHERE w.tag > stored.tag AND w.session_id IS NULL AND w.limit_key IS NULL ORDER BY w.tag LIMIT 1)
       FROM stored WHERE stored.tag IS NOT NULL
     ) SELECT s.tag FROM stored s WHERE s.tag IS NOT NULL AND NOT starts_with(s.tag, 'duraloom:')) $body$;
CREATE FUNCTION held_sessions(p_owner text, p_now bigint) RETURNS integer LANGUAGE sql AS $body$ SELECT (SELECT count(*)::integer FROM sessions s WHERE s.owner = p_owner AND s.lease_until > p_now) $body$;
CREATE FUNCTION work_owners(p_now bigint, p_runtime text, p_kept bigint) RETURNS TABLE (owner text, since bigint, head bigint) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    WITH RECURSIVE stored AS (
      (SELECT w.owner FROM work_items w WHERE w.tag IS NULL AND w.session_id IS NULL AND w.limit_key IS NULL ORDER BY w.owner LIMIT 1)
      UNION ALL
      SELECT n.owner FROM stored s CROSS JOIN LATERAL (
        SELECT w.owner FROM work_items w WHERE w.tag IS NULL AND w.session_id IS NULL AND w.limit_key IS NULL AND w.owner > s.owner ORDER BY w.owner LIMIT 1
      ) n
    )
    SELECT s.owner,
      CASE WHEN s.owner NOT IN ('', p_runtime) AND EXISTS (SELECT FROM runtimes r WHERE r.runtime_id = s.owner AND r.expires_at > p_now)
        THEN p_now - p_kept ELSE p_now END,
      CASE WHEN s.owner = p_runtime AND p_runtime <> '' THEN 10000::bigint ELSE 0 END
    FROM stored s;
END
$body$;
CREATE FUNCTION work_shares(p_now bigint, p_runtime text, p_kept bigint, p_max integer) RETURNS TABLE (owner text, since bigint, head bigint, share bigint) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
        WHERE w.owner = o.owner AND w.tag IS NULL AND w.session_id IS NULL AND w.limit_key IS NULL AND w.ready_at <= o.since AND (w.expires_at IS NULL OR w.expires_at > p_now)
        ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT p_max
      ) x ORDER BY x.ready_at - o.head LIMIT p_max
    ) f GROUP BY f.owner, f.since, f.head;
  END IF;
END
$body$;
CREATE FUNCTION fetch_work(p_now bigint, p_plain boolean, p_tags text[], p_any boolean, p_owner text, p_lease bigint, p_max_sessions integer, p_max integer,
  p_lock bigint, p_token text, p_runtime text, p_kept bigint) RETURNS TABLE (now_ms bigint, next_at bigint, instance_id text, execution_id integer, event_id integer, name text, payload text,
  attempt integer, routing text, heartbeat text) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
  PERFORM set_config('synchronous_commit', 'off', true);
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
          SELECT w.instance_id, w.execution_id, w.event_id, w.ready_at - o.head AS ready_at, NULL::text AS session_id, NULL::text AS limit_key, NULL::integer AS limit_concurrency, NULL::integer AS limit_count, NULL::bigint AS limit_interval FROM work_items w
          WHERE w.owner = o.owner AND w.tag IS NULL AND w.session_id IS NULL AND w.limit_key IS NULL AND w.ready_at <= o.since AND (w.expires_at IS NULL OR w.expires_at > v_now)
          ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT o.share FOR UPDATE SKIP LOCKED
        ) x WHERE p_plain
        UNION ALL
        SELECT x.* FROM (SELECT DISTINCT t.tag FROM unnest(v_tags) t (tag)) t CROSS JOIN LATERAL (
          SELECT w.instance_id, w.execution_id, w.event_id, w.ready_at, NULL::text AS session_id, NULL::text AS limit_key, NULL::integer AS limit_concurrency, NULL::integer AS limit_count, NULL::bigint AS limit_interval FROM work_items w
          WHERE w.tag = t.tag AND w.session_id IS NULL AND w.limit_key IS NULL AND w.ready_at <= v_now AND (w.expires_at IS NULL OR w.expires_at > v_now)
          ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT v_left FOR UPDATE SKIP LOCKED
        ) x
        UNION ALL
        SELECT x.* FROM unnest(v_keys, v_key_tags, v_rooms) t (key, tag, room) CROSS JOIN LATERAL (
          SELECT w.instance_id, w.execution_id, w.event_id, w.ready_at, NULL::text AS session_id, w.limit_key, w.limit_concurrency, w.limit_count, w.limit_interval FROM work_items w
          WHERE w.limit_key = t.key AND w.limit_tag = t.tag AND w.ready_at <= v_now AND (w.expires_at IS NULL OR w.expires_at > v_now)
          ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT least(v_left, t.room) FOR UPDATE SKIP LOCKED
        ) x
        UNION ALL
        SELECT * FROM (
          SELECT w.instance_id, w.execution_id, w.event_id, w.ready_at, w.session_id, NULL::text AS limit_key, NULL::integer AS limit_concurrency, NULL::integer AS limit_count, NULL::bigint AS limit_interval FROM work_items w
          WHERE p_owner IS NOT NULL AND w.session_id IS NOT NULL AND w.ready_at <= v_now AND (w.expires_at IS NULL OR w.expires_at > v_now) AND (w.tag = ANY (p_tags) OR (p_plain AND w.tag IS NULL) OR (p_any AND w.tag IS NOT NULL AND NOT starts_with(w.tag, 'duraloom:'))) AND (
            EXISTS (SELECT FROM sessions s WHERE s.session_id = w.session_id AND s.lease_until > v_now AND s.owner = p_owner)
            OR (v_hasRoom AND NOT EXISTS (SELECT FROM sessions s WHERE s.session_id = w.session_id AND s.lease_until > v_now)))
          ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT v_left FOR UPDATE SKIP LOCKED
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
    
    RETURN QUERY
      WITH locked AS (
        UPDATE work_items w SET lock_token = p_token, ready_at = v_now + p_lock, attempts = w.attempts + 1, expires_at = NULL,
          lock_owner = CASE WHEN w.session_id IS NULL THEN NULL ELSE p_owner END
          FROM unnest(v_ids, v_executions, v_events) WITH ORDINALITY c (id, execution, event, ord)
          WHERE w.instance_id = ANY (ARRAY[c.id]) AND w.execution_id = c.execution AND w.event_id = c.event
          RETURNING c.ord, w.instance_id, w.execution_id, w.event_id, w.name, w.payload, w.attempts, w.routing, w.heartbeat
      )
      SELECT v_now, NULL::bigint, l.instance_id, l.execution_id, l.event_id, l.name, l.payload, l.attempts, l.routing, l.heartbeat
      FROM locked l ORDER BY l.ord;
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
        WHERE w.owner = o.owner AND w.tag IS NULL AND w.session_id IS NULL AND w.limit_key IS NULL AND (w.expires_at IS NULL OR w.expires_at > v_now) ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT 1) x WHERE p_plain),
      (SELECT min(x.ready_at) FROM unnest(v_tags) t (tag) CROSS JOIN LATERAL (
        SELECT w.ready_at FROM work_items w WHERE w.tag = t.tag AND w.session_id IS NULL AND w.limit_key IS NULL AND (w.expires_at IS NULL OR w.expires_at > v_now) ORDER BY w.ready_at, w.instance_id, w.execution_id, w.event_id LIMIT 1) x),
      CASE WHEN p_owner IS NOT NULL THEN next_session_item(v_now, p_plain, p_tags, p_any, p_owner, p_max_sessions) END
    ), NULL, NULL::integer, NULL::integer, NULL, NULL, NULL::integer, NULL, NULL;
END
$body$;
CREATE FUNCTION next_session_item(v_now bigint, p_plain boolean, p_tags text[], p_any boolean, p_owner text, p_max_sessions integer) RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
      WHERE w.session_id IS NOT NULL AND (w.expires_at IS NULL OR w.expires_at > v_now) AND (w.tag = ANY (p_tags) OR (p_plain AND w.tag IS NULL) OR (p_any AND w.tag IS NOT NULL AND NOT starts_with(w.tag, 'duraloom:'))) GROUP BY w.session_id) x
    LEFT JOIN sessions s ON s.session_id = x.session_id AND s.lease_until > v_now
    WHERE p_max_sessions > 0 OR s.owner = p_owner);
END
$body$;
CREATE FUNCTION claim_session(p_now bigint, p_session text, p_owner text, p_lease bigint, p_max integer) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM sessions s WHERE s.session_id = p_session AND s.owner = p_owner AND s.lease_until > p_now)
    AND held_sessions(p_owner, p_now) >= p_max THEN
    RETURN false;
  END IF;
  INSERT INTO sessions (session_id, owner, lease_until, used_at) VALUES (p_session, p_owner, p_now + p_lease, p_now)
    ON CONFLICT (session_id) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until, used_at = excluded.used_at
      WHERE sessions.owner = excluded.owner OR sessions.lease_until <= p_now;
  RETURN FOUND;
END
$body$;
CREATE FUNCTION fetch_expired_work(p_now bigint, p_max integer, p_lock bigint, p_token text) RETURNS TABLE (now_ms bigint, next_at bigint, instance_id text, execution_id integer, event_id integer, name text, payload text,
  attempt integer, routing text, heartbeat text) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint := now_ms(p_now);
  v_ids text[];
  v_executions integer[];
  v_events integer[];
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT array_agg(x.instance_id), array_agg(x.execution_id), array_agg(x.event_id) INTO v_ids, v_executions, v_events FROM (
    SELECT w.instance_id, w.execution_id, w.event_id FROM work_items w WHERE w.expires_at <= v_now AND w.ready_at <= v_now
    ORDER BY w.expires_at, w.instance_id, w.execution_id, w.event_id LIMIT p_max FOR UPDATE SKIP LOCKED
  ) x;
  IF v_ids IS NOT NULL THEN
    
    RETURN QUERY
      WITH locked AS (
        UPDATE work_items w SET lock_token = p_token, ready_at = v_now + p_lock, attempts = w.attempts + 1
          FROM unnest(v_ids, v_executions, v_events) WITH ORDINALITY c (id, execution, event, ord)
          WHERE w.instance_id = ANY (ARRAY[c.id]) AND w.execution_id = c.execution AND w.event_id = c.event
          RETURNING c.ord, w.instance_id, w.execution_id, w.event_id, w.name, w.payload, w.attempts, w.routing, w.heartbeat
      )
      SELECT v_now, NULL::bigint, l.instance_id, l.execution_id, l.event_id, l.name, l.payload, l.attempts, l.routing, l.heartbeat
      FROM locked l ORDER BY l.ord;
    IF cardinality(v_ids) = p_max THEN RETURN; END IF;
  END IF;
  RETURN QUERY SELECT v_now, (SELECT min(greatest(w.expires_at, w.ready_at)) FROM (
    SELECT w.expires_at, w.ready_at FROM work_items w WHERE w.expires_at IS NOT NULL ORDER BY w.expires_at LIMIT 100) w), NULL, NULL::integer, NULL::integer, NULL, NULL, NULL::integer, NULL, NULL;
END
$body$;
CREATE FUNCTION finish_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_sessions text[], p_uptos bigint[]) RETURNS integer LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
END
$body$;
CREATE FUNCTION ack_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_completions text[], p_sessions text[],
  p_uptos bigint[]) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_outcomes text[];
BEGIN
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids) ORDER BY i.instance_id FOR UPDATE;
  
  PERFORM 1 FROM (SELECT * FROM unnest(p_ids, p_executions, p_events) a (id, execution, event) ORDER BY a.id COLLATE "C", a.execution, a.event OFFSET 0) a
    CROSS JOIN LATERAL (
      SELECT FROM work_items w WHERE w.instance_id = a.id AND w.execution_id = a.execution AND w.event_id = a.event FOR UPDATE
    ) w;
  v_now := now_ms(p_now);
  SELECT array_agg(x.outcome = 'done' ORDER BY x.ord), array_agg(x.outcome ORDER BY x.ord) INTO v_ok, v_outcomes FROM (
    SELECT a.ord, CASE
      WHEN w.instance_id IS NULL THEN 'gone'
      WHEN w.lock_token = a.token AND w.ready_at > v_now THEN 'done'
      ELSE 'lockLost'
    END AS outcome
    FROM unnest(p_ids, p_executions, p_events, p_tokens) WITH ORDINALITY a (id, execution, event, token, ord)
    LEFT JOIN work_items w ON w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event
  ) x;
  PERFORM finish_work(v_now, array_agg(a.id), array_agg(a.execution), array_agg(a.event), array_agg(a.token), array_agg(a.session), array_agg(a.upto))
    FROM unnest(p_ids, p_executions, p_events, p_tokens, p_sessions, p_uptos) WITH ORDINALITY a (id, execution, event, token, session, upto, ord)
    WHERE v_ok[a.ord] HAVING count(*) > 0;
  PERFORM enqueue_messages(v_now, array_agg(a.id ORDER BY a.ord), array_agg(a.completion ORDER BY a.ord), array_agg(NULL::text))
    FROM unnest(p_ids, p_completions) WITH ORDINALITY a (id, completion, ord) WHERE v_ok[a.ord] AND a.completion IS NOT NULL HAVING count(*) > 0;
  RETURN v_outcomes;
END
$body$;
CREATE FUNCTION abandon_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_delays bigint[], p_counts boolean[]) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_outcomes text[];
BEGIN
  
  PERFORM 1 FROM (SELECT * FROM unnest(p_ids, p_executions, p_events) a (id, execution, event) ORDER BY a.id COLLATE "C", a.execution, a.event OFFSET 0) a
    CROSS JOIN LATERAL (
      SELECT FROM work_items w WHERE w.instance_id = a.id AND w.execution_id = a.execution AND w.event_id = a.event FOR UPDATE
    ) w;
  v_now := now_ms(p_now);
  SELECT array_agg(x.outcome = 'done' ORDER BY x.ord), array_agg(x.outcome ORDER BY x.ord) INTO v_ok, v_outcomes FROM (
    SELECT a.ord, CASE
      WHEN w.instance_id IS NULL THEN 'gone'
      WHEN w.lock_token = a.token AND w.ready_at > v_now THEN 'done'
      ELSE 'lockLost'
    END AS outcome
    FROM unnest(p_ids, p_executions, p_events, p_tokens) WITH ORDINALITY a (id, execution, event, token, ord)
    LEFT JOIN work_items w ON w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event
  ) x;
  UPDATE work_items w SET lock_token = NULL, owner = '', attempts = w.attempts - CASE WHEN a.counts THEN 0 ELSE 1 END,
      ready_at = place(v_now + a.delay, w.priority, v_now)
    FROM unnest(p_ids, p_executions, p_events, p_delays, p_counts) WITH ORDINALITY a (id, execution, event, delay, counts, ord)
    WHERE v_ok[a.ord] AND w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event;
  RETURN v_outcomes;
END
$body$;
CREATE FUNCTION renew_work(p_now bigint, p_ids text[], p_executions integer[], p_events integer[], p_tokens text[], p_heartbeats text[], p_lock bigint) RETURNS text[] LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_ok boolean[];
  v_outcomes text[];
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  
  PERFORM 1 FROM (SELECT * FROM unnest(p_ids, p_executions, p_events) a (id, execution, event) ORDER BY a.id COLLATE "C", a.execution, a.event OFFSET 0) a
    CROSS JOIN LATERAL (
      SELECT FROM work_items w WHERE w.instance_id = a.id AND w.execution_id = a.execution AND w.event_id = a.event FOR UPDATE
    ) w;
  v_now := now_ms(p_now);
  SELECT array_agg(x.outcome = 'done' ORDER BY x.ord), array_agg(x.outcome ORDER BY x.ord) INTO v_ok, v_outcomes FROM (
    SELECT a.ord, CASE
      WHEN w.instance_id IS NULL THEN 'gone'
      WHEN w.lock_token = a.token AND w.ready_at > v_now THEN 'done'
      ELSE 'lockLost'
    END AS outcome
    FROM unnest(p_ids, p_executions, p_events, p_tokens) WITH ORDINALITY a (id, execution, event, token, ord)
    LEFT JOIN work_items w ON w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event
  ) x;
  UPDATE work_items w SET ready_at = v_now + p_lock, heartbeat = coalesce(a.heartbeat, w.heartbeat)
    FROM unnest(p_ids, p_executions, p_events, p_heartbeats) WITH ORDINALITY a (id, execution, event, heartbeat, ord)
    WHERE v_ok[a.ord] AND w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event;
  UPDATE sessions s SET used_at = v_now
    FROM unnest(p_ids, p_executions, p_events) WITH ORDINALITY a (id, execution, event, ord)
    JOIN work_items w ON w.instance_id = ANY (ARRAY[a.id]) AND w.execution_id = a.execution AND w.event_id = a.event
    WHERE v_ok[a.ord] AND s.session_id = w.session_id AND s.owner = w.lock_owner;
  RETURN v_outcomes;
END
$body$;
CREATE FUNCTION renew_sessions(p_now bigint, p_owner text, p_lease bigint, p_idle bigint, p_session text, p_keep bigint) RETURNS integer LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
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
END
$body$;
CREATE FUNCTION receive_session_messages(p_session text, p_after bigint, p_done bigint[], p_max integer) RETURNS TABLE (seq bigint, payload text) LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
  IF p_done IS NULL THEN DELETE FROM session_messages m WHERE m.session_id = p_session AND m.seq <= p_after;
  ELSE DELETE FROM session_messages m WHERE m.session_id = p_session AND m.seq = ANY (p_done);
  END IF;
  RETURN QUERY SELECT m.seq, m.payload FROM session_messages m WHERE m.session_id = p_session AND m.seq > p_after ORDER BY m.seq LIMIT p_max;
END
$body$;