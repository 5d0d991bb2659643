// How a function of the store is written. Neighbours: instances.ts, turns.ts, work.ts, limits.ts, listing.ts, tidying.ts, queues.ts and dumps.ts write
// them, ../migrations.ts creates them.
//
// One call is one round trip and one transaction. Within it:
// F1. Rows are locked in one order, so that calls do not lock each other out: instances by id, then work items by key. What locks more, now and
//     then, may meet a deadlock; the server ends one of the two, and it is tried again.
// F2. A lock is taken by a statement of its own. Only the next statement sees what others committed while that one waited.
// F3. The time is asked for after the locks, once: `p_now` is null but on a simulated clock.
// F4. Plans are made once and must hold for a million rows also when they were made for an empty table: so nothing but index reads is allowed.
//     The settings travel with the function, and work behind any pool and inside any transaction of an application.
//     A condition on a hot table that neither names an instance nor is the front of an index must not be usable alone, either: write it with a column
//     of the list. EXISTS is joined in the same way, or all that could exist is read once.
// F5. What is asked for by a list is joined with `x.id = ANY (ARRAY[list.id])`, not with `=`: that cannot be turned into a walk along the whole
//     index that looks into the list for each row, which is the cheaper plan while a table is empty, and would be kept when it is not.

/** Set for the time of each call (F4). JIT would compile for a hundred milliseconds what runs for one. */
const SETTINGS =
  'SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off';

/**
 * SQL: the transaction is not waited for until it is on disk. For locks: who loses one to a power failure of the server loses nothing else. The
 * next commit that is waited for brings it to disk as well.
 */
export const NOT_ON_DISK = `PERFORM set_config('synchronous_commit', 'off', true);`;

/**
 * SQL: locks work items in the order of their keys (F1). In a subquery for each: a sort of the whole would invite to walk along an index (F5).
 *
 * @param keys - three arrays: instances, executions, events
 * @returns a statement
 */
export function lockWork(keys: string): string {
  return `PERFORM 1 FROM (SELECT * FROM unnest(${keys}) a (id, execution, event) ORDER BY a.id COLLATE "C", a.execution, a.event OFFSET 0) a
    CROSS JOIN LATERAL (
      SELECT FROM work_items w WHERE w.instance_id = a.id AND w.execution_id = a.execution AND w.event_id = a.event FOR UPDATE
    ) w;`;
}

/**
 * Writes a function in PL/pgSQL.
 *
 * @param signature - name and parameters, such as `f(p_now bigint)`
 * @param returns - its type
 * @param body - declarations and block
 * @returns the statement that creates it in the schema that is first in the search path
 */
export function plpgsql(signature: string, returns: string, body: string): string {
  return define(signature, returns, `LANGUAGE plpgsql ${SETTINGS}`, body);
}

/**
 * Writes a function in PL/pgSQL that only looks: all that it reads is as it was at one moment. An order that an index has is read from it.
 *
 * @param signature - name and parameters
 * @param returns - its type
 * @param body - declarations and block
 * @returns the statement that creates it
 */
export function looking(signature: string, returns: string, body: string): string {
  return define(signature, returns, `LANGUAGE plpgsql STABLE ${SETTINGS} SET enable_sort = off`, body);
}

function define(signature: string, returns: string, attributes: string, body: string): string {
  return `CREATE OR REPLACE FUNCTION ${signature} RETURNS ${returns} ${attributes} AS $body$
#variable_conflict use_column
${body.trim()}
$body$;`;
}

/**
 * Writes a function that is one expression; the planner puts it in the place of the call.
 *
 * @param signature - name and parameters
 * @param returns - its type
 * @param body - the expression
 * @returns the statement that creates it
 */
export function expression(signature: string, returns: string, body: string): string {
  return `CREATE OR REPLACE FUNCTION ${signature} RETURNS ${returns} LANGUAGE sql AS $body$ SELECT ${body} $body$;`;
}
