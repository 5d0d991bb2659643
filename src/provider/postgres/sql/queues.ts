// The queues as operators see and change them, in SQL. Neighbours: ../operators.ts, turns.ts and work.ts, whose rows these are; function.ts has the rules
// F1–F5.
//
// Semantics: those of memory/management.ts.
import { looking, plpgsql } from './function.ts';
import { each, firstReady } from './instances.ts';

/** SQL: a message `m` is of the hand-out that is under way or was lost; its attempts do not have it yet (see turns.ts). */
const IS_HANDED = `(i.handed_id IS NOT NULL AND (m.order_at, m.message_id) <= (i.handed_order, i.handed_id)
      AND m.message_id <= coalesce(i.handed_max, i.handed_id) AND m.visible_at <= coalesce(i.handed_at, 0))`;

const lookAtMessages = (condition: string): string => `RETURN QUERY
    SELECT m.instance_id, m.visible_at, m.message_id, m.timer_id, m.message_key, m.attempts + CASE WHEN ${IS_HANDED} THEN 1 ELSE 0 END,
      CASE WHEN i.lock_token IS NOT NULL AND i.ready_at > v_now THEN i.ready_at END, m.payload
    FROM messages m JOIN instances i ON i.instance_id = ANY (ARRAY[m.instance_id])
    WHERE ${condition} ORDER BY m.instance_id, m.visible_at, m.message_id LIMIT p_limit;`;

const lookAtWork = (condition: string): string => `RETURN QUERY
    SELECT w.instance_id, w.execution_id, w.event_id, w.name, visible_at(w.lock_token, w.ready_at, w.priority, v_now), w.attempts,
      CASE WHEN w.lock_token IS NOT NULL AND w.ready_at > v_now THEN w.ready_at END, w.routing, w.heartbeat, w.payload
    FROM work_items w WHERE ${condition} ORDER BY w.instance_id, w.execution_id, w.event_id LIMIT p_limit;`;

/** The functions. */
export const QUEUE_FUNCTIONS: readonly string[] = [
  looking(
    'peek_messages(p_now bigint, p_id text, p_after text, p_major bigint, p_minor bigint, p_limit integer)',
    `TABLE (instance_id text, visible_at bigint, message_id bigint, timer_id integer, message_key text, attempt integer, locked_until bigint,
       payload text)`,
    `
DECLARE v_now bigint := now_ms(p_now);
BEGIN
  IF p_id IS NULL THEN
    ${lookAtMessages('(m.instance_id, m.visible_at, m.message_id) > (p_after, p_major, p_minor)')}
  ELSE
    ${lookAtMessages('m.instance_id = p_id AND (m.visible_at, m.message_id) > (p_major, p_minor)')}
  END IF;
END`,
  ),
  looking(
    'peek_work(p_now bigint, p_id text, p_after text, p_major bigint, p_minor bigint, p_limit integer)',
    `TABLE (instance_id text, execution_id integer, event_id integer, name text, visible_at bigint, attempt integer, locked_until bigint,
       routing text, heartbeat text, payload text)`,
    `
DECLARE v_now bigint := now_ms(p_now);
BEGIN
  IF p_id IS NULL THEN
    ${lookAtWork('(w.instance_id, w.execution_id, w.event_id) > (p_after, p_major, p_minor)')}
  ELSE
    ${lookAtWork('w.instance_id = p_id AND (w.execution_id, w.event_id) > (p_major, p_minor)')}
  END IF;
END`,
  ),

  // One wish, as JSON of a QueueEdit.
  plpgsql(
    'edit_queue(p_now bigint, p_edit json)',
    'text',
    `
DECLARE
  v_now bigint;
  v_kind text := p_edit ->> 'kind';
  v_item json := p_edit -> 'item';
  v_id text := v_item ->> 'instanceId';
  v_message bigint := v_item ->> 'messageId';
  v_execution integer := v_item ->> 'executionId';
  v_event integer := v_item ->> 'eventId';
BEGIN
  PERFORM 1 FROM instances i WHERE i.instance_id = v_id FOR UPDATE;
  IF v_message IS NULL THEN
    PERFORM 1 FROM work_items w WHERE w.instance_id = v_id AND w.execution_id = v_execution AND w.event_id = v_event FOR UPDATE;
    IF NOT FOUND THEN RETURN 'gone'; END IF;
    v_now := now_ms(p_now);
    IF v_kind = 'drop' THEN
      DELETE FROM work_items w WHERE w.instance_id = v_id AND w.execution_id = v_execution AND w.event_id = v_event;
      IF p_edit ->> 'completionPayload' IS NOT NULL THEN
        PERFORM enqueue_messages(v_now, ARRAY[v_id], ARRAY[p_edit ->> 'completionPayload'], ARRAY[NULL]::text[]);
      END IF;
    ELSE
      UPDATE work_items w SET lock_token = NULL, owner = '', ready_at = place(v_now, w.priority, v_now),
          attempts = CASE WHEN v_kind = 'moveBack' THEN 0 ELSE w.attempts END
        WHERE w.instance_id = v_id AND w.execution_id = v_execution AND w.event_id = v_event;
    END IF;
    RETURN 'done';
  END IF;
  PERFORM 1 FROM messages m WHERE m.instance_id = v_id AND m.message_id = v_message;
  IF NOT FOUND THEN RETURN 'gone'; END IF;
  v_now := now_ms(p_now);
  -- Who has the instance loses it, and what was handed out counts.
  PERFORM count_lost_hand_outs(ARRAY[v_id]);
  IF v_kind = 'moveBack' THEN
    UPDATE messages m SET attempts = 0 WHERE m.instance_id = v_id AND m.message_id = v_message;
  ELSIF v_kind = 'drop' THEN
    DELETE FROM messages m WHERE m.instance_id = v_id AND m.message_id = v_message;
  END IF;
  UPDATE instances i SET lock_token = NULL, handed_order = NULL, handed_id = NULL, owner = NULL,
      hold_until = CASE WHEN v_kind = 'drop' THEN i.hold_until ELSE 0 END,
      ready_at = CASE WHEN i.status IN ('Pending', 'Running')
        THEN ${firstReady(`CASE WHEN v_kind = 'drop' THEN i.hold_until ELSE 0 END`)} END
    WHERE i.instance_id = v_id;
  RETURN 'done';
END`,
  ),
  each('edit_queues(p_now bigint, p_items json[])', 'text', 'edit_queue(p_now, v_item)'),
];
