// What operators count and take away, in SQL. Neighbours: instances.ts removes instances, ../operators.ts reads the answers, function.ts has the rules
// F1–F5.
//
// Semantics: those of memory/management.ts.
import { MAX_WAITING_COUNT } from '../../management.ts';
import { looking, plpgsql } from './function.ts';
import { each, ENDED } from './instances.ts';

/** SQL: how many rows there are, as far as anybody counts. */
const count = (from: string): string => `(SELECT count(*)::integer FROM (SELECT FROM ${from} LIMIT ${MAX_WAITING_COUNT}) x)`;

const WORK = 'work_items w WHERE w.instance_id = ANY (ARRAY[a.id])';

/** The functions. */
export const TIDYING_FUNCTIONS: readonly string[] = [
  // A row for each id. Of activities that run, those are found that are among the first ones.
  looking(
    'count_waiting(p_now bigint, p_ids text[])',
    `TABLE (ord bigint, activities integer, running_activities integer, timers integer, next_timer_at bigint, messages integer, children integer,
       ready_at bigint, is_locked boolean)`,
    `
DECLARE
  v_now bigint := now_ms(p_now);
  -- Not a constant: the condition would be that of another index.
  v_lives boolean := true;
BEGIN
  RETURN QUERY SELECT a.ord, ${count(WORK)},
      (SELECT count(*)::integer FROM (SELECT w.lock_token, w.ready_at FROM ${WORK} LIMIT ${MAX_WAITING_COUNT}) w
        WHERE w.lock_token IS NOT NULL AND w.ready_at > v_now),
      ${count('messages m WHERE m.instance_id = ANY (ARRAY[a.id]) AND m.timer_id IS NOT NULL')},
      (SELECT m.visible_at FROM messages m WHERE m.instance_id = ANY (ARRAY[a.id]) AND m.visible_at > 0 ORDER BY m.visible_at LIMIT 1),
      ${count('messages m WHERE m.instance_id = ANY (ARRAY[a.id]) AND m.visible_at = 0')},
      CASE WHEN i.instance_id IS NULL THEN 0 ELSE ${count('instances c WHERE md5(c.parent_instance_id) = md5(a.id) AND (c.ended_at IS NULL) = v_lives AND c.parent_instance_id = a.id')} END,
      i.ready_at, coalesce(i.lock_token IS NOT NULL AND i.ready_at > v_now, false)
    FROM unnest(p_ids) WITH ORDINALITY a (id, ord) LEFT JOIN instances i ON i.instance_id = ANY (ARRAY[a.id]);
END`,
  ),
  looking(
    'list_executions(p_now bigint, p_id text)',
    'TABLE (execution_id integer, name text, version text, status text, last_event_id integer, ended_at bigint)',
    `
BEGIN
  RETURN QUERY SELECT e.execution_id, e.name, e.version, 'ContinuedAsNew', e.last_event_id, e.ended_at FROM past_executions e
    WHERE e.instance_id = p_id ORDER BY e.execution_id;
  RETURN QUERY SELECT i.execution_id, i.name, i.version, i.status, i.last_event_id, i.ended_at FROM instances i WHERE i.instance_id = p_id;
END`,
  ),

  // Deletes an instance with its descendants. p_ended: only the life that ended then; NULL: any. Returns their number, or why not.
  plpgsql(
    'delete_instance(p_id text, p_forced boolean, p_ended bigint)',
    'text',
    `
DECLARE
  v_root instances%ROWTYPE;
  v_family text[] := '{}';
  v_level text[] := ARRAY[p_id];
  v_children text[];
  v_abandoned text[] := '{}';
  v_left text[];
BEGIN
  SELECT i.* INTO v_root FROM instances i WHERE i.instance_id = p_id FOR UPDATE;
  IF v_root.instance_id IS NULL OR v_root.ended_at IS DISTINCT FROM coalesce(p_ended, v_root.ended_at) THEN RETURN 'notFound'; END IF;
  -- Another instance may have the id of the parent by now.
  IF EXISTS (SELECT FROM instances p WHERE p.instance_id = v_root.parent_instance_id AND p.first_execution_id <= v_root.parent_execution_id
      AND p.status NOT IN ${ENDED}) THEN
    RETURN 'hasParent';
  END IF;
  -- Level by level: who is locked gets no more children.
  WHILE cardinality(v_level) > 0 LOOP
    v_family := v_family || v_level;
    v_children := ARRAY(SELECT c.instance_id FROM unnest(v_level) l (id) CROSS JOIN LATERAL (
        SELECT c.instance_id FROM instances c WHERE md5(c.parent_instance_id) = md5(l.id) AND c.parent_instance_id = l.id
      ) c);
    PERFORM 1 FROM instances c WHERE c.instance_id = ANY (v_children) ORDER BY c.instance_id FOR UPDATE;
    SELECT array_agg(c.instance_id) FILTER (WHERE c.on_parent_close <> 'abandon' OR c.status IN ${ENDED}),
        array_agg(c.instance_id) FILTER (WHERE c.on_parent_close = 'abandon' AND c.status NOT IN ${ENDED})
      INTO v_level, v_left
      FROM instances c JOIN instances p ON p.instance_id = ANY (ARRAY[c.parent_instance_id])
      WHERE c.instance_id = ANY (v_children) AND c.instance_id <> ALL (v_family) AND p.instance_id = ANY (v_family)
        AND p.first_execution_id <= c.parent_execution_id;
    v_abandoned := v_abandoned || v_left;
  END LOOP;
  IF NOT p_forced AND EXISTS (SELECT FROM instances i WHERE i.instance_id = ANY (v_family) AND i.status NOT IN ${ENDED}) THEN
    RETURN 'alive';
  END IF;
  UPDATE instances i SET parent_instance_id = NULL, parent_execution_id = NULL, parent_event_id = NULL, parent_notice = NULL
    WHERE i.instance_id = ANY (v_abandoned);
  PERFORM remove_instances(v_family);
  RETURN cardinality(v_family)::text;
END`,
  ),
  each(
    'delete_instances(p_now bigint, p_items json[])',
    'text',
    `delete_instance(v_item ->> 'instanceId', (v_item ->> 'isForced')::boolean, (v_item ->> 'endedAtMs')::bigint)`,
  ),

  // Deletes past executions with their histories. Returns how many.
  plpgsql(
    'prune_instance(p_id text, p_keep integer, p_before bigint)',
    'integer',
    `
DECLARE v_gone integer[];
BEGIN
  IF p_keep IS NULL AND p_before IS NULL THEN RETURN 0; END IF;
  SELECT array_agg(e.execution_id) INTO v_gone FROM past_executions e
    WHERE e.instance_id = p_id AND (p_before IS NULL OR e.ended_at < p_before)
      AND e.execution_id <= (SELECT i.execution_id FROM instances i WHERE i.instance_id = p_id) - greatest(p_keep, 1);
  DELETE FROM history h WHERE h.instance_id = p_id AND h.execution_id = ANY (v_gone);
  DELETE FROM past_executions e WHERE e.instance_id = p_id AND e.execution_id = ANY (v_gone);
  RETURN coalesce(cardinality(v_gone), 0);
END`,
  ),
  each(
    'prune_executions(p_now bigint, p_items json[])',
    'integer',
    `prune_instance(v_item ->> 'instanceId', (v_item ->> 'keepLast')::integer, (v_item ->> 'endedBeforeMs')::bigint)`,
  ),
];
