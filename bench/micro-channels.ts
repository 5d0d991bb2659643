// Rows M4 to M6: what it costs to move an item: between threads, into the store, into text.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type Database from 'better-sqlite3';
import type { NewInstance } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';
import { openDatabase } from '../src/provider/sqlite/open-database.ts';
import { readActivityBatch, writeActivityRequest, type ActivityReply, type ActivityRequest, type Wire } from '../src/threads/messages.ts';
import { decodePayload, encodePayload } from '../src/types/codec.ts';
import type { Batch } from './echo-thread.ts';
import type { RowTask } from './host.ts';
import { measureMicro, type MicroCase } from './micro.ts';
import { prepareStart, START_MESSAGE } from './raw-ceiling.ts';
import type { RowResult } from './result.ts';

/** Items of a batch: one, and what the ports carry under load. */
const PORT_BATCHES = [1, 16, 64, 256];
/** Items of a commit: one, and what a tick of the event loop collects under load. */
const COMMIT_BATCHES = [1, 16, 256];
/** Calls of the codec in one sample: a call alone is too short for the timer. */
const CODEC_CALLS = 1_000;

// --- M4 ----------------------------------------------------------------------------------------------------------------------

/**
 * Measures row M4: a batch of activities goes to another thread, a batch of answers comes back. Writing and reading are included.
 *
 * @param task - options
 * @returns one result for each case
 */
export async function measurePort({ options }: RowTask): Promise<readonly RowResult[]> {
  const thread = new Worker(new URL('./echo-thread.ts', import.meta.url));
  const failed = new Promise<never>((_, reject) => thread.once('error', reject));
  const roundTrip = (batch: Batch): Promise<Wire | readonly ActivityReply[]> => {
    const answered = new Promise<Wire | readonly ActivityReply[]>((resolve) => thread.once('message', resolve));
    thread.postMessage(batch);
    return Promise.race([answered, failed]);
  };
  const flat = async (requests: readonly ActivityRequest[]): Promise<void> => {
    const wire: Wire = [];
    for (const request of requests) writeActivityRequest(wire, request);
    const { replies } = readActivityBatch((await roundTrip(wire)) as Wire);
    if (replies.length !== requests.length) throw new TypeError('an answer is missing');
  };
  const objects = async (requests: readonly ActivityRequest[]): Promise<void> => {
    const replies = await roundTrip(requests.map((request) => ({ ...request })));
    if (replies.length !== requests.length) throw new TypeError('an answer is missing');
  };
  try {
    return await measureMicro(
      {
        row: 'M4',
        field: 'microsPerItem',
        unit: 'µs/item',
        cases: [
          { name: 'empty message, baseline', items: 1, runAsync: () => roundTrip([]) },
          ...PORT_BATCHES.flatMap((size): MicroCase[] => {
            const requests = Array.from({ length: size }, (_, seq) => makeRequest(seq));
            return [
              { name: `array of objects, ${size} a batch, baseline`, items: size, runAsync: () => objects(requests) },
              { name: `flat wire, ${size} a batch`, items: size, runAsync: () => flat(requests) },
            ];
          }),
        ],
      },
      options,
    );
  } finally {
    await thread.terminate();
  }
}

function makeRequest(seq: number): ActivityRequest {
  const instanceId = `m4-${String(seq).padStart(6, '0')}`;
  return { seq, instanceId, executionId: 1, eventId: 2, name: 'work', input: `{"order":${seq}}`, attempt: 1, special: null };
}

// --- M5 ----------------------------------------------------------------------------------------------------------------------

/**
 * Measures row M5: starting instances, by the provider and by bare inserts of the same two rows.
 *
 * @param task - options and folder
 * @returns one result for each case
 */
export async function measureCommit({ options, folder }: RowTask): Promise<readonly RowResult[]> {
  const provider = await SqliteProvider.open(join(folder, 'provider.db'), { synchronous: options.sync });
  const database = await openDatabase(join(folder, 'raw.db'), options.sync);
  const insert = prepareInsert(database);
  let next = 0;
  const makeBatch = (size: number): readonly NewInstance[] => Array.from({ length: size }, () => makeInstance((next += 1)));
  try {
    return await measureMicro(
      {
        row: 'M5',
        field: 'microsPerItem',
        unit: 'µs/item',
        cases: COMMIT_BATCHES.flatMap((size): MicroCase[] => [
          { name: `raw insert, ${size} a transaction, baseline`, items: size, run: () => insert(makeBatch(size)) },
          { name: `startInstances, ${size} a call`, items: size, runAsync: () => provider.startInstances(makeBatch(size)) },
        ]),
      },
      options,
    );
  } finally {
    database.close();
    await provider.close();
  }
}

function makeInstance(number: number): NewInstance {
  const instanceId = `m5-${String(number).padStart(8, '0')}`;
  return {
    instanceId,
    name: 'fanOut',
    version: null,
    payload: START_MESSAGE,
    parent: null,
    parentNotice: null,
    attributes: null,
    onParentClose: 'abandon',
    policy: 'fail',
    priority: 0,
    startAtMs: null,
    delayMs: 0,
    closeChildren: null,
  };
}

function prepareInsert(database: Database.Database): (instances: readonly NewInstance[]) => void {
  const insertStart = prepareStart(database);
  const begin = database.prepare('BEGIN IMMEDIATE');
  const commit = database.prepare('COMMIT');
  return (instances) => {
    const nowMs = Date.now();
    begin.run();
    for (const { instanceId } of instances) insertStart(instanceId, nowMs);
    commit.run();
  };
}

// --- M6 ----------------------------------------------------------------------------------------------------------------------

/**
 * Measures row M6: a small payload becomes text and a value again.
 *
 * @param task - options
 * @returns one result for each case
 */
export function measureCodec({ options }: RowTask): Promise<readonly RowResult[]> {
  const value = { orderId: 'order-000123', customer: 'Ada', lines: [{ sku: 'A-1', count: 2 }], express: true };
  const text = encodePayload(value, 'a payload') ?? '';
  let units = 0;
  const encodes = (name: string, encode: () => string | undefined): MicroCase => ({
    name,
    items: CODEC_CALLS,
    // The sum keeps the compiler from leaving the call out.
    run: () => {
      for (let call = 0; call < CODEC_CALLS; call += 1) units += encode()?.length ?? 0;
    },
  });
  const decodes = (name: string, decode: () => unknown): MicroCase => ({
    name,
    items: CODEC_CALLS,
    run: () => {
      for (let call = 0; call < CODEC_CALLS; call += 1) units += (decode() as typeof value).orderId.length;
    },
  });
  return measureMicro(
    {
      row: 'M6',
      field: 'microsPerCall',
      unit: 'µs/call',
      cases: [
        encodes('empty loop, baseline', () => text),
        encodes('JSON.stringify, baseline', () => JSON.stringify(value)),
        encodes('encodePayload', () => encodePayload(value, 'a payload')),
        decodes('JSON.parse, baseline', () => JSON.parse(text) as unknown),
        decodes('decodePayload', () => decodePayload(text)),
      ],
    },
    options,
  );
}
