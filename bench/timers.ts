// Row W7: do timers fire in time while very many others are pending in the same file?
import { setTimeout as delay } from 'node:timers/promises';
import { copyInstance } from './copy-instance.ts';
import { DATABASE, waitFor, withHost, type Host, type RowTask } from './host.ts';
import { metric, toPercentiles } from './load.ts';
import { pickSize } from './options.ts';
import { reminder } from './orchestrations.ts';
import type { RowResult } from './result.ts';
import { join } from 'node:path';

/** Timers that stay pending. */
const PENDING = { full: 1_000_000, quick: 2_000 };
/** Timers that fall due, and the time over which they do. */
const DUE = { full: { count: 2_000, overMs: 4_000 }, quick: { count: 50, overMs: 200 } };
/** From the first start call to the first timer: all must be armed by then. */
const LEAD_MS = { full: 3_000, quick: 500 };
/** When the others fall due. */
const FAR_MS = 24 * 60 * 60 * 1_000;

/**
 * Measures row W7. A timer is late by the time from its due time to when a client that waits has the result: timer, turn and commit.
 *
 * @param task - options and folder
 * @returns one result
 */
export async function measureTimers(task: RowTask): Promise<readonly RowResult[]> {
  const { options } = task;
  const pending = pickSize(options, PENDING);
  const due = pickSize(options, DUE);
  const file = join(task.folder, DATABASE);
  await withHost(task, async (host) => {
    await host.client.startOrchestration('w7-pattern', reminder, Date.now() + FAR_MS);
    await waitFor('the first timer to be armed', () => host.runtime.stats().turnsCommitted === 1);
  });
  await copyInstance({ file, instanceId: 'w7-pattern', prefix: 'w7-pending', count: pending });
  const roundsMs: (readonly number[])[] = [];
  await withHost(task, async (host) => {
    await runDue(host, 'w7-warm-up', { count: Math.ceil(due.count / 10), overMs: due.overMs / 10, leadMs: pickSize(options, LEAD_MS) });
    for (let round = 0; round < options.rounds; round += 1) {
      const timers = { ...due, leadMs: pickSize(options, LEAD_MS) };
      roundsMs.push(await task.measured(due.count, () => runDue(host, `w7-${round}`, timers)));
    }
  });
  const metrics = [
    metric('pending', 'timers pending in the file', 'timers', [pending]),
    ...toPercentiles('late', `${due.count.toLocaleString('en')} timers due over ${due.overMs / 1_000} s, late by`, roundsMs),
  ];
  return [{ row: 'W7', metrics, sizes: { due: due.count, overMs: due.overMs } }];
}

async function runDue(
  { client }: Host,
  prefix: string,
  { count, overMs, leadMs }: { readonly count: number; readonly overMs: number; readonly leadMs: number },
): Promise<readonly number[]> {
  const firstAtMs = Date.now() + leadMs;
  const dueAtMs = (index: number): number => Math.floor(firstAtMs + (index * overMs) / count);
  const started = await client.startOrchestrations<number>(
    Array.from({ length: count }, (_, index) => ({ instanceId: `${prefix}-${index}`, orchestration: reminder, input: dueAtMs(index) })),
  );
  // Turns first, waits later: until the timers are armed, the waits would only be in the way.
  await delay(leadMs / 2);
  return Promise.all(
    started.map(async ({ handle }, index) => {
      const result = await handle.result();
      const lateMs = Date.now() - dueAtMs(index);
      if (result !== dueAtMs(index)) throw new TypeError(`expected the result ${dueAtMs(index)}, got ${result}`);
      if (lateMs < 0) throw new TypeError(`a timer fired ${-lateMs} ms early`);
      return lateMs;
    }),
  );
}
