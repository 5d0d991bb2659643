// Without the synchronous drain everything is slower and nothing is different.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import type { Drained } from './fixtures/drained.ts';

async function run(mode: 'fast' | 'slow'): Promise<Drained> {
  const worker = new Worker(new URL('fixtures/drained.ts', import.meta.url), { workerData: mode });
  // Both may be told of in one go.
  const [[told]] = (await Promise.all([once(worker, 'message'), once(worker, 'exit')])) as [[Drained], unknown];
  return told;
}

test('orchestrations do the same on a runtime without the synchronous drain', async () => {
  const [fast, slow] = await Promise.all([run('fast'), run('slow')]);
  expect([fast.drain, slow.drain]).toEqual(['tickCallback', 'setImmediate']);
  expect(slow.ends).toEqual(fast.ends);
  expect(slow.ends).toMatchObject({
    chains: { status: 'Completed', result: [10, 20, 30] },
    races: { status: 'Completed', result: ['hops', { key: 1 }] },
    rejects: { status: 'Failed' },
    throws: { status: 'Failed', error: 'thrown' },
  });
});
