// Instances on their way to another store and from there: as rows and as parameters. Neighbours: sql/dumps.ts has the functions, postgres-provider.ts
// calls them, ../management.ts says what a dump is.
import { assert } from '../../types/errors.ts';
import type { DumpedMessage, DumpedWorkItem, ExecutionRecord, InstanceDump } from '../management.ts';
import type { HistoryPage, StoredValue } from '../provider.ts';
import type { Row } from './connection.ts';
import { Columns, workCells } from './parameters.ts';
import { readRouting, toRecord } from './rows.ts';
import { START_ORDER } from './sql/instances.ts';
import { encodeJson } from './texts.ts';

/** Columns of `export_instances` `r` but the record, for `toDumps`. */
export const DUMP_COLUMNS = 'r.ord, r.part, r.a, r.b, r.c, r.s, r.t, r.u, r.v';

/** A dump that is being put together. */
type Draft = { -readonly [Name in keyof InstanceDump]: InstanceDump[Name] } & {
  readonly pages: Map<number, HistoryPage[]>;
  readonly past: ExecutionRecord[];
  readonly list: { readonly key: string; readonly value: string }[];
  readonly values: StoredValue[];
  readonly subscriptions: string[];
  readonly messages: DumpedMessage[];
  readonly workItems: DumpedWorkItem[];
};

/**
 * Puts the rows of instances together.
 *
 * @param rows - of `export_instances`, with `DUMP_COLUMNS` and those of a record
 * @param count - how many instances were asked for
 * @returns a dump each; null: there is no such instance
 */
export function toDumps(rows: readonly Row[], count: number): readonly (InstanceDump | null)[] {
  const drafts = Array.from({ length: count }, (): Draft | null => null);
  for (const row of rows) {
    const index = Number(row['ord']) - 1;
    const draft = drafts[index] ?? null;
    if (row['part'] === 'instance') drafts[index] = beginDraft(row);
    else if (draft !== null) addPart(draft, row);
  }
  return drafts.map((draft) => (draft === null ? null : endDraft(draft)));
}

function beginDraft({ ord: _ord, part: _part, a: engine, b, c: holdUntilMs, s: parentNotice, t: _t, u: _u, v: _v, ...record }: Row): Draft {
  return {
    record: toRecord(record),
    firstExecutionId: Number(b),
    engine: Number(engine),
    parentNotice: parentNotice as string | null,
    holdUntilMs: holdUntilMs as number | null,
    attributes: null,
    executions: [],
    pages: new Map(),
    past: [],
    list: [],
    values: [],
    subscriptions: [],
    messages: [],
    workItems: [],
  };
}

function addPart(draft: Draft, { part, a, b, c, s, t, u, v }: Row): void {
  switch (part as string) {
    case 'attribute':
      draft.list.push({ key: String(s), value: String(t) });
      break;
    case 'execution': {
      const ended = { status: 'ContinuedAsNew', lastEventId: Number(b), endedAtMs: c as number } as const;
      draft.past.push({ executionId: Number(a), name: String(s), version: t as string | null, ...ended });
      break;
    }
    case 'page': {
      const pages = draft.pages.get(Number(a)) ?? [];
      draft.pages.set(Number(a), pages);
      pages.push({ firstEventId: Number(b), lastEventId: Number(c), events: String(s) });
      break;
    }
    case 'value':
      draft.values.push({ key: String(s), value: String(t), updatedAtMs: Number(a) });
      break;
    case 'subscription':
      draft.subscriptions.push(String(s));
      break;
    case 'message': {
      const what = { key: s as string | null, visibleAtMs: a === null ? 0 : Number(b), payload: String(t) };
      draft.messages.push({ isStart: c === 1, timerEventId: a as number | null, ...what });
      break;
    }
    case 'work': {
      const what = { name: String(s), payload: String(t), routing: readRouting(u), heartbeat: v as string | null };
      draft.workItems.push({ executionId: Number(a), eventId: Number(b), ...what });
      break;
    }
    default:
      assert(false, `the store knows the part ${String(part)} of a dump`);
  }
}

function endDraft({ pages, past, list, ...dump }: Draft): InstanceDump {
  const { executionId, name, version, status, lastEventId, endedAtMs, attributes } = dump.record;
  const all: readonly ExecutionRecord[] = [...past, { executionId, name, version, status, lastEventId, endedAtMs }];
  return {
    ...dump,
    attributes: attributes === null ? null : { text: attributes, list },
    executions: all.map((execution) => ({ ...execution, pages: pages.get(execution.executionId) ?? [] })),
  };
}

/**
 * Makes the parameters of `import_instance`, after `p_now`.
 *
 * @param dump - the instance
 * @returns the parameters
 */
export function importParameters(dump: InstanceDump): readonly unknown[] {
  const { executions, values, messages, workItems, ...rest } = dump;
  const pages = new Columns(4);
  for (const execution of executions) {
    for (const { firstEventId, lastEventId, events } of execution.pages)
      pages.add(execution.executionId, firstEventId, lastEventId, events);
  }
  const keyed = new Columns(3);
  for (const { key, value, updatedAtMs } of values) keyed.add(key, value, updatedAtMs);
  const queued = new Columns(5);
  // What is visible at once keeps its place behind the timers before it; what comes later has its place behind it, but before timers that are not due.
  let latest = 0;
  let orderAt = 0;
  for (const { isStart, timerEventId, key, visibleAtMs, payload } of messages) {
    if (timerEventId === null) orderAt = latest;
    else latest = Math.max(latest, visibleAtMs);
    queued.add(isStart ? START_ORDER : timerEventId === null ? orderAt : visibleAtMs, timerEventId, visibleAtMs, key, payload);
  }
  const work = new Columns(12);
  for (const item of workItems) {
    const [eventId, ...cells] = workCells(item);
    work.add(item.executionId, eventId, ...cells, item.heartbeat);
  }
  const records = executions.map(({ pages: _pages, ...execution }) => execution);
  return [encodeJson({ ...rest, executions: records, orderAt }), ...[pages, keyed, queued, work].flatMap(({ arrays }) => arrays)];
}
