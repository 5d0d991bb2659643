// Instances and their messages in SQL: starting, sending, publishing, ending. Neighbours: turns.ts calls these for what a turn does to others,
// work.ts for completions, function.ts has the rules F1–F5.
//
// Semantics: those of memory/instances.ts and memory/control.ts, case by case.
import { MAX_MESSAGES_PER_TURN } from '../../../types/limits.ts';
import { IN_PROGRESS_HEAD_START_MS, PRIORITY_HEAD_START_MS } from '../../provider.ts';
import { expression, plpgsql } from './function.ts';

/** Sorts the message that an execution starts with before all others. */
export const START_ORDER: number = Number.MIN_SAFE_INTEGER;

/** SQL: an instance of this status will never take a turn again. */
export const ENDED = `('Completed', 'Failed', 'Cancelled', 'Terminated')`;

/** Most messages of a turn, for turns.ts. */
export const TURN_MESSAGES: number = MAX_MESSAGES_PER_TURN;

/** The columns of a start that are given as arrays. */
const START_PARAMETERS = `p_ids text[], p_names text[], p_versions text[], p_payloads text[], p_parent_ids text[], p_parent_executions integer[],
  p_parent_events integer[], p_closes text[], p_priorities integer[], p_start_ats bigint[], p_delays bigint[], p_notices text[], p_attributes text[]`;

const START_ARRAYS = `p_ids, p_names, p_versions, p_payloads, p_parent_ids, p_parent_executions, p_parent_events, p_closes, p_priorities, p_start_ats,
  p_delays, p_notices, p_attributes`;

/**
 * SQL: the number of a code; a new one gets the next. As a part of a statement, which costs a third of a function.
 *
 * @param name - SQL of the name
 * @param version - SQL of the version
 * @param engine - SQL of the engine behaviour
 * @returns an expression
 */
export function codeId(name: string, version: string, engine: string): string {
  const known = `SELECT c.code_id FROM codes c WHERE c.name = ${name} AND c.version IS NOT DISTINCT FROM ${version} AND c.engine = ${engine}`;
  return `coalesce((${known}), add_code(${name}, ${version}, ${engine}))`;
}

/**
 * SQL: when an instance `i` that is not locked is ready; NULL: it has no messages.
 *
 * @param hold - SQL of the time before which it is not fetched
 * @returns an expression
 */
export function firstReady(hold: string): string {
  return `(SELECT place(greatest(m.visible_at, ${hold}), i.priority, v_now) FROM messages m WHERE m.instance_id = ANY (ARRAY[i.instance_id])
    ORDER BY m.visible_at, m.message_id LIMIT 1)`;
}

/**
 * Writes a function that calls another one for each item of an array, in order.
 *
 * @param signature - name and parameters, among them `p_items json[]`
 * @param answer - type of an answer
 * @param call - the call for `v_item`
 * @returns the statement that creates it
 */
export function each(signature: string, answer: string, call: string): string {
  return plpgsql(
    signature,
    `${answer}[]`,
    `
DECLARE
  v_item json;
  v_answers ${answer}[] := '{}';
BEGIN
  FOREACH v_item IN ARRAY p_items LOOP
    v_answers := v_answers || ${call};
  END LOOP;
  RETURN v_answers;
END`,
  );
}

/** The functions, in an order in which each finds those that it calls. */
export const INSTANCE_FUNCTIONS: readonly string[] = [
  expression('now_ms(p_now bigint)', 'bigint', 'coalesce(p_now, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)'),

  // The place of an instance or item in the ready order: only what is visible already has the head start of its priority.
  expression(
    'place(p_visible bigint, p_priority integer, p_now bigint)',
    'bigint',
    `CASE WHEN p_visible > p_now THEN p_visible ELSE p_now - p_priority * ${PRIORITY_HEAD_START_MS}::bigint END`,
  ),

  // When an item may be handed out by its own time, whatever its priority; of a locked one when the lock ends.
  expression(
    'visible_at(p_token text, p_ready bigint, p_priority integer, p_now bigint)',
    'bigint',
    `CASE WHEN p_token IS NOT NULL OR p_ready > p_now THEN p_ready ELSE least(p_now, p_ready + p_priority * ${PRIORITY_HEAD_START_MS}::bigint) END`,
  ),

  plpgsql(
    'add_code(p_name text, p_version text, p_engine integer)',
    'integer',
    `
DECLARE v_id integer;
BEGIN
  INSERT INTO codes (name, version, engine) VALUES (p_name, p_version, p_engine) ON CONFLICT DO NOTHING RETURNING code_id INTO v_id;
  IF v_id IS NULL THEN
    SELECT c.code_id INTO STRICT v_id FROM codes c WHERE c.name = p_name AND c.version IS NOT DISTINCT FROM p_version AND c.engine = p_engine;
  END IF;
  RETURN v_id;
END`,
  ),
  // Records by their ids, each with its place in the list. Who is not there is left out.
  plpgsql(
    'read_instances(p_now bigint, p_ids text[])',
    'TABLE (ord bigint, record instances)',
    `
BEGIN
  RETURN QUERY SELECT a.ord, i FROM unnest(p_ids) WITH ORDINALITY a (id, ord) JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
END`,
  ),
  // Pages between two events, each with the place of its request.
  plpgsql(
    'read_history(p_now bigint, p_ids text[], p_executions integer[], p_afters integer[], p_lasts integer[])',
    'TABLE (ord bigint, first_event_id integer, last_event_id integer, events text)',
    `
BEGIN
  RETURN QUERY SELECT a.ord, h.first_event_id, h.last_event_id, h.events
    FROM unnest(p_ids, p_executions, p_afters, p_lasts) WITH ORDINALITY a (id, execution, after, last, ord)
    JOIN history h ON h.instance_id = ANY (ARRAY[a.id]) AND h.execution_id = a.execution
      AND h.first_event_id > a.after AND h.first_event_id <= a.last
    ORDER BY a.ord, h.first_event_id;
END`,
  ),
  // The call of version 1.
  plpgsql(
    'read_history(p_now bigint, p_ids text[], p_executions integer[], p_afters integer[])',
    'TABLE (ord bigint, first_event_id integer, last_event_id integer, events text)',
    `
BEGIN
  RETURN QUERY SELECT * FROM read_history(p_now, p_ids, p_executions, p_afters, array_fill(2147483647, ARRAY[cardinality(p_ids)]));
END`,
  ),
  // Messages that are visible at once, in order; ids and keys may stand there more than once.
  plpgsql(
    'enqueue_messages(p_now bigint, p_ids text[], p_payloads text[], p_keys text[])',
    'text[]',
    `
DECLARE
  v_now bigint;
  v_outcomes text[];
BEGIN
  PERFORM 1 FROM instances i WHERE i.instance_id = ANY (p_ids) ORDER BY i.instance_id FOR UPDATE;
  v_now := now_ms(p_now);
  SELECT array_agg(
      CASE
        WHEN i.instance_id IS NULL THEN 'notFound'
        WHEN i.status IN ${ENDED} THEN 'ended'
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
          ELSE v_now - i.priority * ${PRIORITY_HEAD_START_MS}::bigint - CASE WHEN i.status = 'Running' THEN ${IN_PROGRESS_HEAD_START_MS} ELSE 0 END
        END)
      END
    FROM (SELECT DISTINCT a.id FROM unnest(p_ids, v_outcomes) a (id, outcome) WHERE a.outcome = 'enqueued') a
    WHERE i.instance_id = ANY (ARRAY[a.id]);
  RETURN v_outcomes;
END`,
  ),

  // Gives an instance all of the attributes of a list, and no others.
  plpgsql(
    'put_attributes(p_id text, p_list json, p_created bigint)',
    'void',
    `
BEGIN
  DELETE FROM instance_attributes t WHERE t.instance_id = p_id
    AND NOT EXISTS (SELECT FROM json_array_elements(p_list) e WHERE e.value ->> 'key' = t.key AND e.value ->> 'value' = t.value);
  INSERT INTO instance_attributes (instance_id, key, value, created_at)
    SELECT p_id, e.value ->> 'key', e.value ->> 'value', p_created FROM json_array_elements(p_list) e ON CONFLICT DO NOTHING;
END`,
  ),

  // New instances whose ids must be free, each id once. p_attributes: JSON of StoredAttributes that are not empty; NULL: none. What is offered is locked at once, for a fetch of the caller that waits for it. Of those the
  // ids of the start messages are returned, in the order of the starts.
  plpgsql(
    `start_instances(p_now bigint, ${START_PARAMETERS}, p_execution integer, p_offered boolean[], p_offer_token text, p_offer_lock bigint,
  p_owner text, p_grace integer)`,
    'TABLE (now_ms bigint, outcomes text, message_ids text)',
    `
DECLARE
  v_now bigint := now_ms(p_now);
  v_started text[];
  v_messages text;
BEGIN
  WITH s AS MATERIALIZED (
    SELECT a.*, greatest(coalesce(a.start_at, v_now), v_now + a.delay) AS begins_at, nextval('message_ids') AS message_id
    FROM unnest(${START_ARRAYS}, p_offered) WITH ORDINALITY
      AS a (id, name, version, payload, parent_id, parent_execution, parent_event, closes, priority, start_at, delay, notice, attributes, offered, ord)
  ), inserted AS (
    INSERT INTO instances (instance_id, name, version, code_id, status, priority, execution_id, first_execution_id, ready_at, hold_until,
        lock_token, handed_order, handed_id, owner, owner_grace,
        parent_instance_id, parent_execution_id, parent_event_id, on_parent_close, parent_notice, attributes, created_at, updated_at)
      SELECT s.id, s.name, s.version, ${codeId('s.name', 's.version', '0')}, 'Pending', s.priority, p_execution, p_execution,
        CASE WHEN s.offered THEN v_now + p_offer_lock ELSE place(s.begins_at, s.priority, v_now) END,
        CASE WHEN s.begins_at > v_now THEN s.begins_at ELSE 0 END,
        CASE WHEN s.offered THEN p_offer_token END, CASE WHEN s.offered THEN ${START_ORDER} END, CASE WHEN s.offered THEN s.message_id END,
        CASE WHEN s.offered THEN p_owner END, CASE WHEN s.offered THEN p_grace ELSE 0 END,
        s.parent_id, s.parent_execution, s.parent_event, s.closes, s.notice, s.attributes::json ->> 'text', v_now, v_now
      FROM s ORDER BY s.id
      ON CONFLICT DO NOTHING RETURNING instance_id
  ), sent AS (
    INSERT INTO messages (instance_id, visible_at, message_id, order_at, payload)
      SELECT s.id, 0, s.message_id, ${START_ORDER}, s.payload FROM s
      -- IS TRUE: a table in memory, not a join that goes through all of it for each row.
      WHERE (s.id IN (SELECT n.instance_id FROM inserted n)) IS TRUE
  )
  SELECT (SELECT array_agg(n.instance_id) FROM inserted n),
      string_agg(s.message_id::text, ',' ORDER BY s.ord) FILTER (WHERE s.offered)
    INTO v_started, v_messages FROM s;
  IF cardinality(array_remove(p_attributes, NULL)) > 0 THEN
    PERFORM put_attributes(a.id, a.attributes::json -> 'list', v_now) FROM unnest(p_ids, p_attributes) a (id, attributes)
      WHERE a.attributes IS NOT NULL AND a.id = ANY (v_started);
  END IF;
  RETURN QUERY SELECT v_now,
    (SELECT string_agg(CASE WHEN a.id IN (SELECT unnest(v_started)) THEN 'started' ELSE 'exists' END, ',' ORDER BY a.ord)
      FROM unnest(p_ids) WITH ORDINALITY a (id, ord)),
    coalesce(v_messages, '');
END`,
  ),

  // Ends a living instance that the caller has locked, and its children as they want it.
  plpgsql(
    'terminate_instance(p_now bigint, p_id text, p_output text, p_children_output text, p_cancel_payload text)',
    'void',
    `
BEGIN
  UPDATE instances i SET status = 'Terminated', output = p_output, updated_at = p_now, ended_at = p_now, ready_at = NULL, lock_token = NULL, handed_order = NULL,
    handed_id = NULL WHERE i.instance_id = p_id;
  PERFORM clear_instances(ARRAY[p_id]);
  PERFORM close_children(p_now, p_id, p_children_output, p_cancel_payload);
END`,
  ),
  // An ended instance has no messages, no work and no subscriptions.
  plpgsql(
    'clear_instances(p_ids text[])',
    'void',
    `
BEGIN
  DELETE FROM messages m WHERE m.instance_id = ANY (p_ids);
  DELETE FROM work_items w WHERE w.instance_id = ANY (p_ids);
  DELETE FROM subscriptions s WHERE s.instance_id = ANY (p_ids);
END`,
  ),
  plpgsql(
    'close_children(p_now bigint, p_parent text, p_output text, p_cancel_payload text)',
    'void',
    `
DECLARE v_child record;
BEGIN
  PERFORM 1 FROM instances i WHERE md5(i.parent_instance_id) = md5(p_parent) AND i.parent_instance_id = p_parent
    ORDER BY i.instance_id FOR UPDATE;
  FOR v_child IN
    SELECT i.instance_id, i.on_parent_close, i.parent_notice FROM instances i
    WHERE md5(i.parent_instance_id) = md5(p_parent) AND i.parent_instance_id = p_parent AND i.status NOT IN ${ENDED} ORDER BY i.instance_id
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
END`,
  ),

  // One start of any policy, as JSON of a NewInstance.
  plpgsql(
    'start_instance(p_now bigint, p_start json)',
    'text',
    `
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
      IF NOT (v_policy = 'terminateExisting' OR (v_policy = 'replaceTerminal' AND v_old.status IN ${ENDED}
          AND v_old.ended_at = coalesce((p_start ->> 'replacesEndedAtMs')::bigint, v_old.ended_at))) THEN
        RETURN 'exists';
      END IF;
      -- The children are closed while nobody has the id: what they tell their parent is not for the new instance.
      PERFORM remove_instances(ARRAY[v_id]);
      IF p_start -> 'closeChildren' ->> 'output' IS NOT NULL THEN
        PERFORM close_children(v_now, v_id, p_start -> 'closeChildren' ->> 'output', p_start -> 'closeChildren' ->> 'cancelPayload');
      END IF;
      v_execution := v_old.execution_id + 1;
    END IF;
    SELECT s.outcomes INTO v_outcome FROM start_instances(v_now, ARRAY[v_id], ARRAY[p_start ->> 'name'], ARRAY[p_start ->> 'version'],
      ARRAY[p_start ->> 'payload'], ARRAY[p_start -> 'parent' ->> 'instanceId'], ARRAY[(p_start -> 'parent' ->> 'executionId')::integer],
      ARRAY[(p_start -> 'parent' ->> 'eventId')::integer], ARRAY[p_start ->> 'onParentClose'], ARRAY[(p_start ->> 'priority')::integer],
      ARRAY[(p_start ->> 'startAtMs')::bigint], ARRAY[(p_start ->> 'delayMs')::bigint], ARRAY[p_start ->> 'parentNotice'],
      ARRAY[CASE WHEN json_array_length(p_start -> 'attributes' -> 'list') > 0 THEN p_start ->> 'attributes' END], v_execution,
      ARRAY[false], NULL, 0, NULL, 0) s;
    EXIT WHEN v_outcome = 'started';
  END LOOP;
  IF v_old.instance_id IS NULL THEN
    RETURN 'started';
  END IF;
  IF v_old.status NOT IN ${ENDED} AND v_old.parent_instance_id IS NOT NULL AND v_old.parent_notice IS NOT NULL THEN
    PERFORM enqueue_messages(v_now, ARRAY[v_old.parent_instance_id], ARRAY[v_old.parent_notice], ARRAY[NULL]::text[]);
  END IF;
  RETURN 'replaced';
END`,
  ),
  plpgsql(
    'remove_instances(p_ids text[])',
    'void',
    `
BEGIN
  PERFORM clear_instances(p_ids);
  DELETE FROM history h WHERE h.instance_id = ANY (p_ids);
  DELETE FROM past_executions e WHERE e.instance_id = ANY (p_ids);
  DELETE FROM instance_values v WHERE v.instance_id = ANY (p_ids);
  DELETE FROM instance_attributes t WHERE t.instance_id = ANY (p_ids);
  DELETE FROM instances i WHERE i.instance_id = ANY (p_ids);
END`,
  ),

  // '*' stands for a segment, '**' at the end for one or more: as matchesTopic of types/topics.ts.
  plpgsql(
    'matches_topic(p_pattern text, p_topic text)',
    'boolean',
    `
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
END`,
  ),
  plpgsql(
    'publish(p_now bigint, p_topic text, p_payload text, p_key text)',
    'integer',
    `
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
END`,
  ),

  // One wish of an operator, as JSON of a ControlRequest.
  plpgsql(
    'control_instance(p_now bigint, p_request json)',
    'text',
    `
DECLARE
  v_now bigint;
  v_id text := p_request ->> 'instanceId';
  v_kind text := p_request ->> 'kind';
  v_instance instances%ROWTYPE;
BEGIN
  SELECT i.* INTO v_instance FROM instances i WHERE i.instance_id = v_id FOR UPDATE;
  v_now := now_ms(p_now);
  IF v_instance.instance_id IS NULL THEN RETURN 'notFound'; END IF;
  IF v_instance.status IN ${ENDED} THEN RETURN 'ended'; END IF;
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
      ready_at = ${firstReady('i.hold_until')}
    WHERE i.instance_id = v_id;
  RETURN 'done';
END`,
  ),
  // The same for many items, each as a whole.
  each('start_replacing(p_now bigint, p_items json[])', 'text', 'start_instance(p_now, v_item)'),
  each('control_instances(p_now bigint, p_items json[])', 'text', 'control_instance(p_now, v_item)'),
  each(
    'publish_all(p_now bigint, p_items json[])',
    'integer',
    `publish(p_now, v_item ->> 'topic', v_item ->> 'payload', v_item ->> 'key')`,
  ),
];
