// What the limits in memory keep. Neighbour: src/conformance/cases-limits.ts (what they allow, on every store).
import { expect, test } from 'vitest';
import { Limits } from '../../src/provider/memory/limits.ts';

test('keys that are paid for are not kept, also behind one that is paid for late', () => {
  const limits = new Limits();
  const begin = (key: string, perMs: number, nowMs: number): void => {
    const limit = { key, concurrency: null, rate: { count: 1, perMs } };
    const item = { lockToken: 'token', readyAtMs: nowMs + 1 };
    limits.begin(limit, item, nowMs);
    limits.end(limit, item);
  };
  begin('late', 3_600_000, 0);
  for (let index = 1; index <= 10_000; index += 1) begin(`tenant ${index}`, 1, index);
  expect(limits.size).toBeLessThan(100);
  expect(limits.opensAtMs({ key: 'late', concurrency: null, rate: { count: 1, perMs: 3_600_000 } }, 10_000)).toBe(3_600_000);
});
