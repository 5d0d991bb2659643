// Which code a runtime can run, why not, and that it is asked once.
import { describe, expect, test } from 'vitest';
import { canRun, makeAccepts, type Refusal } from '../../src/main/capability.ts';
import { ENGINE_BEHAVIOUR } from '../../src/types/history-event.ts';

const NAMES = [{ name: 'order', version: '1.0.0' }, { name: 'order', version: '1.2.0' }, { name: 'plain' }] as unknown as Parameters<
  typeof makeAccepts
>[0];

/** Code as an instance needs it. */
function code(name: string, version: string | null = null, engine = ENGINE_BEHAVIOUR): Refusal['code'] {
  return { name, version, engine };
}

describe('a runtime', () => {
  test.each([
    [code('order'), null],
    [code('order', '1.0.0'), null],
    [code('order', '^1.1'), null],
    [code('order', '2.0.0'), 'this runtime has 1.0.0, 1.2.0'],
    [code('unknown'), 'no such orchestration is registered here'],
    [code('order', null, ENGINE_BEHAVIOUR + 1), `it needs engine behaviour ${ENGINE_BEHAVIOUR + 1}`],
  ])('asked for %j says: %s', (wanted, reason) => {
    const refusals: Refusal[] = [];
    const accepts = makeAccepts(NAMES, {}, (refusal) => refusals.push(refusal));
    expect(accepts(wanted)).toBe(reason === null);
    expect(refusals.map((refusal) => refusal.reason.startsWith(reason ?? 'never'))).toEqual(reason === null ? [] : [true]);
  });

  test('tells of a refusal once for each code', () => {
    const refused: unknown[] = [];
    const accepts = makeAccepts(NAMES, {}, (refusal) => refused.push(refusal.code));
    const wanted = [code('x'), code('x'), code('x', '1.0.0'), code('x', '1.0.0', 0), code('x')];
    expect(wanted.map(accepts)).toEqual([false, false, false, false, false]);
    expect(refused).toEqual([code('x'), code('x', '1.0.0'), code('x', '1.0.0', 0)]);
  });

  test('follows its policy for instances that ask for no version', () => {
    const accepts = makeAccepts(NAMES, { order: '^3' }, () => undefined);
    expect([accepts(code('order')), accepts(code('order', '1.0.0'))]).toEqual([false, true]);
  });
});

describe('another runtime of the fleet', () => {
  const reported = [
    { name: 'order', version: '1.0.0' },
    { name: 'bill', version: '2.0.0' },
  ];

  test.each([
    [code('order'), true],
    [code('order', '1.0.0'), true],
    [code('order', '2.0.0'), false],
    [code('unknown'), false],
  ])('can run %j: %s', (wanted, can) => {
    expect(canRun(wanted, reported)).toBe(can);
  });
});
