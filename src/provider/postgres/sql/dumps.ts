// Instances on their way to another store and from there, in SQL. Neighbours: ../dumps.ts makes the parameters and reads the answers, function.ts has the
// rules F1–F5.
//
// Semantics: those of memory/dumps.ts.
import { looking, plpgsql } from './function.ts';
import { codeId, ENDED, firstReady, START_ORDER } from './instances.ts';

/** The functions. */
export const DUMP_FUNCTIONS: readonly string[] = [
  // All that there is of instances, as it is at one moment: rows of several kinds, each kind in its order. `part` says what the columns mean.
  looking(
    'export_instances(p_now bigint, p_ids text[])',
    'TABLE (ord bigint, part text, a bigint, b bigint, c bigint, s text, t text, u text, v text, record instances)',
    `
BEGIN
  RETURN QUERY SELECT x.ord, 'instance', (SELECT c.engine FROM codes c WHERE c.code_id = i.code_id)::bigint, i.first_execution_id::bigint,
      CASE WHEN i.hold_until > now_ms(p_now) AND i.status NOT IN ${ENDED} THEN i.hold_until END, i.parent_notice, NULL, NULL, NULL, i
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN instances i ON i.instance_id = ANY (ARRAY[x.id]);
  RETURN QUERY SELECT x.ord, 'attribute', NULL::bigint, NULL::bigint, NULL::bigint, t.key, t.value, NULL, NULL, NULL::instances
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN instance_attributes t ON t.instance_id = ANY (ARRAY[x.id]) ORDER BY x.ord, t.key;
  RETURN QUERY SELECT x.ord, 'execution', e.execution_id::bigint, e.last_event_id::bigint, e.ended_at, e.name, e.version, NULL, NULL, NULL::instances
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN past_executions e ON e.instance_id = ANY (ARRAY[x.id]) ORDER BY x.ord, e.execution_id;
  RETURN QUERY SELECT x.ord, 'page', h.execution_id::bigint, h.first_event_id::bigint, h.last_event_id::bigint, h.events, NULL, NULL, NULL,
      NULL::instances
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN history h ON h.instance_id = ANY (ARRAY[x.id])
    ORDER BY x.ord, h.execution_id, h.first_event_id;
  RETURN QUERY SELECT x.ord, 'value', k.updated_at, NULL::bigint, NULL::bigint, k.key, k.value, NULL, NULL, NULL::instances
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN instance_values k ON k.instance_id = ANY (ARRAY[x.id]) ORDER BY x.ord, k.key;
  RETURN QUERY SELECT x.ord, 'subscription', NULL::bigint, NULL::bigint, NULL::bigint, p.pattern, NULL, NULL, NULL, NULL::instances
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN subscriptions p ON p.instance_id = ANY (ARRAY[x.id]) ORDER BY x.ord, p.pattern;
  RETURN QUERY SELECT x.ord, 'message', m.timer_id::bigint, m.visible_at, CASE WHEN m.order_at = ${START_ORDER} THEN 1 ELSE 0 END::bigint, m.message_key,
      m.payload, NULL, NULL, NULL::instances
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN messages m ON m.instance_id = ANY (ARRAY[x.id]) ORDER BY x.ord, m.order_at, m.message_id;
  RETURN QUERY SELECT x.ord, 'work', w.execution_id::bigint, w.event_id::bigint, NULL::bigint, w.name, w.payload, w.routing, w.heartbeat, NULL::instances
    FROM unnest(p_ids) WITH ORDINALITY x (id, ord) JOIN work_items w ON w.instance_id = ANY (ARRAY[x.id])
    ORDER BY x.ord, w.execution_id, w.event_id;
END`,
  ),

  // p_dump: JSON of an InstanceDump without what may be long, which stands in arrays. p_message_order: see ../dumps.ts; p_message_timer: NULL none.
  plpgsql(
    `import_instance(p_now bigint, p_dump json, p_page_execution integer[], p_page_first integer[], p_page_last integer[], p_page_events text[],
  p_value_key text[], p_value text[], p_value_at bigint[],
  p_message_order bigint[], p_message_timer integer[], p_message_at bigint[], p_message_key text[], p_message_payload text[],
  p_work_execution integer[], p_work_event integer[], p_work_name text[], p_work_payload text[], p_work_routing text[], p_work_tag text[],
  p_work_session text[], p_work_priority integer[], p_work_expires bigint[], p_work_limit text[], p_work_numbers text[], p_work_heartbeat text[])`,
    'text',
    `
DECLARE
  v_now bigint := now_ms(p_now);
  v_record json := p_dump -> 'record';
  v_id text := v_record ->> 'instanceId';
BEGIN
  INSERT INTO instances (instance_id, name, version, code_id, status, priority, execution_id, first_execution_id, last_event_id, hold_until, order_at,
      output, custom_status, custom_status_version, parent_instance_id, parent_execution_id, parent_event_id, on_parent_close, parent_notice,
      attributes, created_at, updated_at, ended_at)
    SELECT v_id, x.name, x.version, ${codeId('x.name', 'x.version', `(p_dump ->> 'engine')::integer`)}, v_record ->> 'status', (v_record ->> 'priority')::integer,
      (v_record ->> 'executionId')::integer, (p_dump ->> 'firstExecutionId')::integer, (v_record ->> 'lastEventId')::integer,
      coalesce((p_dump ->> 'holdUntilMs')::bigint, 0), greatest(0, (p_dump ->> 'orderAt')::bigint),
      v_record ->> 'output', v_record ->> 'customStatus', (v_record ->> 'customStatusVersion')::integer, v_record -> 'parent' ->> 'instanceId',
      (v_record -> 'parent' ->> 'executionId')::integer, (v_record -> 'parent' ->> 'eventId')::integer, v_record ->> 'onParentClose', p_dump ->> 'parentNotice',
      p_dump -> 'attributes' ->> 'text', (v_record ->> 'createdAtMs')::bigint, (v_record ->> 'updatedAtMs')::bigint, (v_record ->> 'endedAtMs')::bigint
    FROM (SELECT v_record ->> 'name' AS name, v_record ->> 'version' AS version) x
    ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN 'exists'; END IF;
  IF p_dump -> 'attributes' ->> 'text' IS NOT NULL THEN
    PERFORM put_attributes(v_id, p_dump -> 'attributes' -> 'list', (v_record ->> 'createdAtMs')::bigint);
  END IF;
  INSERT INTO past_executions (instance_id, execution_id, name, version, last_event_id, ended_at)
    SELECT v_id, (e.value ->> 'executionId')::integer, e.value ->> 'name', e.value ->> 'version', (e.value ->> 'lastEventId')::integer,
      coalesce((e.value ->> 'endedAtMs')::bigint, v_now)
    FROM json_array_elements(p_dump -> 'executions') e WHERE e.value ->> 'executionId' <> v_record ->> 'executionId';
  INSERT INTO subscriptions (instance_id, pattern, is_wild)
    SELECT v_id, e.value, position('*' IN e.value) > 0 FROM json_array_elements_text(p_dump -> 'subscriptions') e ON CONFLICT DO NOTHING;
  INSERT INTO history (instance_id, execution_id, first_event_id, last_event_id, events)
    SELECT v_id, h.execution, h.first, h.last, h.events FROM unnest(p_page_execution, p_page_first, p_page_last, p_page_events)
      h (execution, first, last, events);
  INSERT INTO instance_values (instance_id, key, value, updated_at)
    SELECT v_id, k.key, k.value, k.at FROM unnest(p_value_key, p_value, p_value_at) k (key, value, at);
  INSERT INTO messages (instance_id, visible_at, message_id, order_at, timer_id, message_key, payload)
    SELECT v_id, CASE WHEN m.timer IS NULL THEN 0 ELSE greatest(m.at, 1) END, nextval('message_ids'), m.place, m.timer, m.key, m.payload
    FROM (
      SELECT x.* FROM unnest(p_message_order, p_message_timer, p_message_at, p_message_key, p_message_payload) WITH ORDINALITY
        x (place, timer, at, key, payload, ord) ORDER BY x.ord
    ) m;
  INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, tag, session_id, expires_at, priority, limit_key, limit_tag,
      limit_concurrency, limit_count, limit_interval, routing, heartbeat, name, payload)
    SELECT v_id, w.execution, w.event, place(v_now, w.priority, v_now), w.tag, w.session, v_now + w.expires, w.priority, w.limit_key,
      CASE WHEN w.limit_key IS NOT NULL THEN coalesce(':' || w.tag, '') END, nullif(split_part(w.numbers, ' ', 1), '')::integer,
      nullif(split_part(w.numbers, ' ', 2), '')::integer, nullif(split_part(w.numbers, ' ', 3), '')::bigint, w.routing, w.heartbeat, w.name, w.payload
    FROM unnest(p_work_execution, p_work_event, p_work_name, p_work_payload, p_work_routing, p_work_tag, p_work_session, p_work_priority,
      p_work_expires, p_work_limit, p_work_numbers, p_work_heartbeat)
      w (execution, event, name, payload, routing, tag, session, priority, expires, limit_key, numbers, heartbeat);
  UPDATE instances i SET ready_at = ${firstReady('i.hold_until')} WHERE i.instance_id = v_id AND i.status IN ('Pending', 'Running');
  RETURN 'imported';
END`,
  ),
];
