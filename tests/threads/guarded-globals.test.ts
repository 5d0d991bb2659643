// The guards of one thread: everybody else keeps what they had, and gets it back when the last user is gone.
import { describe, expect, onTestFinished, test } from 'vitest';
import { installGuards } from '../../src/threads/guarded-globals.ts';

const NAMES = ['Date', 'setTimeout', 'setInterval', 'setImmediate', 'fetch', 'WebSocket', 'WeakRef', 'FinalizationRegistry'] as const;
const METHODS = [
  [Math, 'random'],
  [performance, 'now'],
  [crypto, 'randomUUID'],
  [console, 'log'],
] as const;
const look = (): readonly unknown[] => [
  ...NAMES.map((name) => globalThis[name]),
  ...METHODS.map(([owner, name]) => Reflect.get(owner, name) as unknown),
];

/** Guards for a thread in which no orchestration runs; taken down when the test is over. */
function guard(): () => void {
  const undo = installGuards(() => undefined);
  onTestFinished(undo);
  return undo;
}

describe('guards', () => {
  test('stand until the last of their users is gone, each counted once', () => {
    const before = look();
    const first = guard();
    const second = guard();
    const guarded = look();
    expect(guarded.every((value, index) => value !== before[index])).toBe(true);
    first();
    first();
    expect(look()).toEqual(guarded);
    second();
    expect(look()).toEqual(before);
    expect(Object.hasOwn(performance, 'now')).toBe(false);
  });

  test('leave to everybody else what they had', async () => {
    guard();
    const startedMs = Date.now();
    expect(Math.abs(new Date().valueOf() - startedMs)).toBeLessThan(60_000);
    expect(new Date(5).valueOf()).toBe(5);
    // As a function it gives text, whatever it is given.
    expect(new Date((Date as unknown as (ms: number) => string)(5)).valueOf()).toBeGreaterThan(startedMs - 60_000);
    expect(Date.UTC(1970, 0, 1, 0, 0, 1)).toBe(1_000);
    expect(new Date(0)).toBeInstanceOf(Date);
    expect(crypto.randomUUID()).not.toBe(crypto.randomUUID());
    expect(crypto.getRandomValues(new Uint8Array(32)).some((byte) => byte !== 0)).toBe(true);
    expect(new WeakRef(globalThis).deref()).toBe(globalThis);
    expect(performance.now()).toBeGreaterThan(0);
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
    await new Promise<void>((resolve) => setImmediate(resolve));
  });
});
