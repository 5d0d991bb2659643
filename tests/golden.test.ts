// Golden histories: what released versions have recorded replays for ever, on the code that it was recorded from.
import { replayAll, type RecordedHistory, type ReplayFileResult } from 'duraloom/testing';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { validateHistory } from '../src/replay/validate-history.ts';
import { EVENT_ROLES, type EventKind, type HistoryEvent } from '../src/types/history-event.ts';
import { recordGoldens } from './golden/scenarios.ts';

const folder = join(import.meta.dirname, 'golden');
const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { readonly version: string };
const versions = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
const code = readdirSync(folder).filter((file) => file.startsWith('orchestrations') && file !== 'orchestrations-before.ts');

const modules = code.map((file) => new URL(`golden/${file}`, import.meta.url));

function makeFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'duraloom-golden-'));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

function readGolden(file: string): RecordedHistory {
  return JSON.parse(readFileSync(file, 'utf8')) as RecordedHistory;
}

/** What the history itself says about its end. */
function endOf(event: HistoryEvent | undefined): object {
  if (event?.kind === 'OrchestrationCompleted') return { kind: 'completed', result: event.result };
  if (event?.kind === 'OrchestrationFailed') {
    const { name, code: failureCode } = event.failure;
    return { kind: 'failed', error: expect.objectContaining({ name, code: failureCode }) as unknown };
  }
  if (event?.kind === 'OrchestrationCancelled') {
    return { kind: 'cancelled', error: expect.objectContaining({ code: 'CANCELLED', message: event.reason }) as unknown };
  }
  return { kind: event?.kind === 'OrchestrationContinuedAsNew' ? 'continuedAsNew' : 'running' };
}

describe('golden histories', () => {
  const results: ReplayFileResult[] = [];

  beforeAll(async () => {
    await replayAll(
      versions.map((name) => join(folder, name)),
      modules,
      { onResult: (result) => results.push(result) },
    );
  });

  test('exist for this version, and every one of them replays', () => {
    expect(versions).toContain(version);
    expect(results.length).toBeGreaterThanOrEqual(40);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
  });

  test('end as they did', () => {
    for (const result of results) {
      const golden = readGolden(result.file);
      const replayed = result.ok ? result.replayed.executions.map(({ executionId, outcome }) => ({ executionId, outcome })) : [];
      const recorded = golden.executions.map(({ executionId, events }) => ({ executionId, outcome: endOf(events.at(-1)) }));
      expect([basename(result.file), replayed]).toEqual([basename(result.file), recorded]);
    }
  });

  test('hold every kind of event, and every field that an event may have', () => {
    const events = results.flatMap(({ file }) => readGolden(file).executions.flatMap((execution) => validateHistory(execution.events)));
    expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(Object.keys(EVENT_ROLES)));
    const fields = new Set(events.flatMap((event) => Object.keys(event).map((field) => `${event.kind}.${field}`)));
    const optional = Object.entries({
      OrchestrationStarted: [
        'input',
        'parent',
        'carried',
        'customStatus',
        'values',
        'attributes',
        'subscriptions',
        'eventKeys',
        'traceparent',
        'tracestate',
      ],
      ActivityScheduled: ['input', 'tag', 'sessionId', 'attempt'],
      ActivityCompleted: ['result'],
      ActivityFailed: ['heartbeat'],
      EventRaised: ['data', 'key'],
      TopicReceived: ['data', 'key'],
      SubOrchestrationScheduled: ['version', 'onParentClose', 'input'],
      SubOrchestrationCompleted: ['result'],
      OrchestrationStartRequested: ['version', 'input'],
      CancelRequested: ['parent'],
      CustomStatusSet: ['status'],
      TopicPublished: ['data'],
      SessionMessageSent: ['data'],
      OrchestrationCompleted: ['result'],
      OrchestrationContinuedAsNew: ['version', 'input'],
    } satisfies Partial<Record<EventKind, readonly string[]>>).flatMap(([kind, names]) => names.map((name) => `${kind}.${name}`));
    expect(optional.filter((field) => !fields.has(field))).toEqual([]);
    const causes = events.filter((event) => event.kind === 'OrchestrationFailed' && event.failure.cause !== undefined);
    expect(causes.length).toBeGreaterThan(0);
  });

  test('come from code that makes every call of ctx', () => {
    const source = code.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
    const context = readFileSync(join(folder, '../../src/types/context.ts'), 'utf8');
    const membersOf = (name: string): readonly string[] => {
      const body = new RegExp(`export interface ${name} \\{([^]*?)\\n\\}`).exec(context)?.[1] ?? '';
      return [...new Set([...body.matchAll(/^ {2}(?:readonly )?(\w+)[<(:]/gm)].map((match) => match[1] ?? ''))];
    };
    const calls = [
      ...membersOf('OrchestrationContext').map((name) => `ctx.${name}`),
      ...membersOf('ValueStore').map((name) => `ctx.kv.${name}`),
      ...membersOf('OrchestrationMetrics').map((name) => `ctx.metrics.${name}`),
    ];
    expect(calls.length).toBeGreaterThan(45);
    expect(calls.filter((call) => !new RegExp(`${call.replaceAll('.', '\\.')}\\b`).test(source))).toEqual([]);
  });

  test('tell nothing about the machine that they were recorded on', () => {
    for (const { file } of results) expect(readFileSync(file, 'utf8')).not.toMatch(/"stack"|file:\/\/|\bat .*\.ts:\d+/);
  });
});

describe('recording', () => {
  test('gives the same files byte for byte each time', async () => {
    const [first, second] = [await recordGoldens(), await recordGoldens()];
    expect([...first.keys()].length).toBeGreaterThanOrEqual(40);
    expect([...second]).toEqual([...first]);
  });

  test('has a file of this version for every scenario, and what is recorded today replays, too', async () => {
    const recorded = await recordGoldens();
    const known = new Set(readdirSync(join(folder, version)));
    expect([...recorded.keys()].filter((file) => !known.has(file))).toEqual([]);
    const target = makeFolder();
    for (const [file, text] of recorded) writeFileSync(join(target, file), text);
    const results: ReplayFileResult[] = [];
    await replayAll([target], modules, { onResult: (result) => results.push(result) });
    expect(results.length).toBe(recorded.size);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
  });

  test('by npm run golden adds what is missing, keeps what is there, and tells what would be recorded otherwise', async () => {
    const target = makeFolder();
    const record = (): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> =>
      new Promise((resolve) => {
        const args = ['--conditions=duraloom-source', join(folder, '../../scripts/record-golden.ts'), target];
        execFile(process.execPath, args, (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
        });
      });
    const count = (await recordGoldens()).size;
    expect(await record()).toEqual({ code: 0, stdout: `${count} golden histories of ${version} added to ${target}\n`, stderr: '' });
    rmSync(join(target, 'retries.json'));
    writeFileSync(join(target, 'state.json'), 'as it was');
    const again = await record();
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toMatch(
      /^1 golden histories of .*\nKept as they are, though they would be recorded otherwise today: state\.json\. They must go on replaying/,
    );
    expect(readFileSync(join(target, 'state.json'), 'utf8')).toBe('as it was');
  });
});
