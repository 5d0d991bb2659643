// The log tail: what it keeps, what readers and listeners get of it, and what they cannot do to it.
import { defineActivity, defineOrchestration, LogTail, type LogEntry, type Logger } from 'duraloom';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LogBook } from '../support/integration-log.ts';
import { TroubledStore } from './troubled-store.ts';

const messages = (entries: readonly LogEntry[]): readonly string[] => entries.map(({ message }) => message);

function filled(tail: LogTail, count: number): LogTail {
  for (let line = 1; line <= count; line += 1) tail.info({ instanceId: line % 2 === 0 ? 'even' : 'odd' }, `line ${line}`);
  return tail;
}

describe('reading a log tail', () => {
  test('gives the newest lines, or those behind a number, oldest first', () => {
    const tail = filled(new LogTail(), 5);
    expect(messages(tail.read({ limit: 2 }).entries)).toEqual(['line 4', 'line 5']);
    const page = tail.read({ afterSeq: 0, limit: 2 });
    expect(page).toMatchObject({ lastSeq: 2, missed: 0, entries: [{ seq: 1 }, { seq: 2 }] });
    expect(messages(tail.read({ afterSeq: page.lastSeq }).entries)).toEqual(['line 3', 'line 4', 'line 5']);
    expect(tail.read({ afterSeq: 5 })).toEqual({ entries: [], lastSeq: 5, missed: 0 });
    expect(tail.read({ afterSeq: 99 })).toEqual({ entries: [], lastSeq: 5, missed: 0 });
  });

  test('gives those of one instance, of a level and above', () => {
    const tail = filled(new LogTail(), 4);
    tail.error({ instanceId: 'even' }, 'failed');
    expect(messages(tail.read({ instanceId: 'even', afterSeq: 0 }).entries)).toEqual(['line 2', 'line 4', 'failed']);
    expect(messages(tail.read({ level: 'warn' }).entries)).toEqual(['failed']);
    // Where to go on is behind all that was looked at, not behind what was found.
    expect(tail.read({ instanceId: 'nobody', afterSeq: 0 })).toEqual({ entries: [], lastSeq: 5, missed: 0 });
    expect(tail.read({ instanceId: 'even', afterSeq: 0, limit: 1 }).lastSeq).toBe(2);
  });

  test('says how many lines are not kept any more', () => {
    const tail = filled(new LogTail({ capacity: 3 }), 10);
    const page = tail.read({ afterSeq: 4 });
    expect(page).toMatchObject({ missed: 3, lastSeq: 10 });
    expect(messages(page.entries)).toEqual(['line 8', 'line 9', 'line 10']);
  });

  test('gives lines as data: errors too, and whatever becomes of the fields later', () => {
    const tail = new LogTail();
    const fields = { instanceId: 'a', err: new RangeError('no'), state: { step: 1 } };
    const beforeMs = Date.now();
    tail.warn(fields, 'trouble');
    fields.state.step = 2;
    const [entry] = tail.read().entries;
    expect(entry).toMatchObject({ seq: 1, level: 'warn', fields: { err: { name: 'RangeError', message: 'no' }, state: { step: 1 } } });
    expect(entry?.atMs).toBeGreaterThanOrEqual(beforeMs);
    expect(JSON.parse(JSON.stringify(entry))).toEqual(entry);
  });
});

describe('a log tail', () => {
  test('keeps no more characters than it may, and the newest line always', () => {
    const tail = new LogTail({ maxCharacters: 1_000 });
    for (let line = 1; line <= 100; line += 1) tail.info({}, `line ${line}`);
    const { entries } = tail.read();
    expect(entries.length).toBeGreaterThan(10);
    expect(entries.length).toBeLessThan(50);
    expect(entries.at(-1)?.message).toBe('line 100');
    tail.info({ long: 'x'.repeat(2_000) }, 'a long one');
    expect(messages(tail.read().entries)).toEqual(['a long one']);
  });

  test('passes lines on, with what the other logger wants deciding what is made', () => {
    const also = Object.assign(new LogBook(), { isLevelEnabled: (level: string) => level === 'error' });
    const tail = new LogTail({ also, level: 'warn' });
    expect(['debug', 'info', 'warn', 'error', 'verbose'].map((level) => tail.isLevelEnabled(level))).toEqual([
      false,
      false,
      true,
      true,
      false,
    ]);
    for (const level of ['debug', 'info', 'warn', 'error'] as const) tail[level]({}, level);
    expect(messages(tail.read().entries)).toEqual(['warn', 'error']);
    expect(also.lines.map(({ message }) => message)).toEqual(['error']);
    const curious = new LogTail({ also: new LogBook(), level: 'silent' });
    expect(curious.isLevelEnabled('debug')).toBe(true);
  });

  test.each([
    [{ capacity: 0 }, 'capacity'],
    [{ maxCharacters: 1.5 }, 'maxCharacters'],
    [{ level: 'all' }, 'logLevel'],
    [{ also: { info: () => undefined } }, 'debug'],
    [{ capacities: 5 }, 'Unknown option'],
  ])('is refused with wrong options: %o', (options, reason) => {
    expect(() => new LogTail(options as never)).toThrow(reason);
  });

  test.each([
    [{ limit: 0 }, 'limit'],
    [{ afterSeq: -1 }, 'afterSeq'],
    [{ level: 'fatal' }, 'level'],
    [{ instanceId: 5 }, 'instanceId'],
  ])('refuses to be read with wrong options: %o', (options, reason) => {
    expect(() => new LogTail().read(options as never)).toThrow(reason);
  });

  test('refuses a listener that is none', () => {
    expect(() => new LogTail().subscribe({}, 'me' as never)).toThrow('listener');
    expect(() => new LogTail().subscribe({ level: 'loud' as never }, () => undefined)).toThrow('level');
  });
});

describe('listening to a log tail', () => {
  test('gives each line that matches, in order, until it is ended', () => {
    const tail = new LogTail();
    const heard: LogEntry[] = [];
    const stop = tail.subscribe({ instanceId: 'even' }, (entry) => heard.push(entry));
    filled(tail, 4);
    stop();
    stop();
    filled(tail, 2);
    expect(heard.map(({ seq, message }) => [seq, message])).toEqual([
      [2, 'line 2'],
      [4, 'line 4'],
    ]);
  });

  test('goes on when a listener throws or rejects: it is told of once', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', listen);
    onTestFinished(() => void process.off('warning', listen));
    const tail = new LogTail();
    const heard: string[] = [];
    const rejects: unknown = () => Promise.reject(new RangeError('a broken socket'));
    tail.subscribe({}, () => {
      throw new RangeError('a broken socket');
    });
    tail.subscribe({}, rejects as () => void);
    tail.subscribe({}, ({ message }) => heard.push(message));
    const told = new Promise((resolve) => process.once('warning', resolve));
    filled(tail, 3);
    await told;
    expect(heard).toHaveLength(3);
    expect(warnings.filter(({ message }) => message.includes('a broken socket'))).toHaveLength(1);
  });

  test('goes on when the logger behind it rejects: it is told of once', async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', listen);
    onTestFinished(() => void process.off('warning', listen));
    const rejects = (): Promise<void> => Promise.reject(new RangeError('a lost connection'));
    const also = { debug: rejects, info: rejects, warn: rejects, error: rejects } as unknown as Logger;
    const tail = new LogTail({ also });
    const told = new Promise((resolve) => process.once('warning', resolve));
    filled(tail, 3);
    await told;
    expect(tail.read().entries).toHaveLength(3);
    expect(warnings.filter(({ message }) => message.includes('a lost connection'))).toHaveLength(1);
  });

  test('to a runtime tells of an instance while it goes on', async () => {
    const store = new TroubledStore();
    const tail = new LogTail({ also: store.log });
    const work = defineActivity('work', (ctx) => ctx.log.info('working'));
    const talks = defineOrchestration('talks', async (ctx) => {
      ctx.log.info('begun');
      await ctx.scheduleActivity('work');
      ctx.log.warn('ended');
    });
    const heard: LogEntry[] = [];
    tail.subscribe({ instanceId: 'a', level: 'info' }, (entry) => heard.push(entry));
    await store.start({}, { orchestrations: talks, activities: work, logger: tail, nodeId: 'n1' });
    await store.client.startOrchestrations(['a', 'b'].map((instanceId) => ({ instanceId, orchestration: 'talks' })));
    for (const id of ['a', 'b']) await store.result(id);
    expect(messages(heard)).toEqual(['begun', 'working', 'ended']);
    expect(heard.map(({ fields }) => fields['thread'])).toEqual(['replay-0', 'activity-0', 'replay-0']);
    expect(tail.read({ instanceId: 'b', level: 'warn' }).entries).toMatchObject([
      { message: 'ended', fields: { nodeId: 'n1', orchestration: 'talks', executionId: 1 } },
    ]);
    expect(store.log.lines.filter(({ message }) => message === 'working')).toHaveLength(2);
  });
});
