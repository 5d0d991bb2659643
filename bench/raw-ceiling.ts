// The ceiling of row W1: the rows that a fan-out of five activities leaves and passes through, written by a bare better-sqlite3 loop. No
// engine, no threads, no reads, no fences: only the inserts, updates and deletes, with prepared statements, in the runtime's own schema and
// with its own pragmas. Whatever the runtime does, on this machine it cannot be faster than this by much.
//
// R1. A transaction holds one step of 256 orchestrations. Rows are written locked, as for fetches that wait.
// R2. Both turns are as large as they can be: one page for the start with five decisions, one for five completions with the end. The
//     runtime may need more turns, because completions arrive in groups; the ceiling does not.
// R3. Several rows of a table are one statement, as in the runtime.
import type Database from 'better-sqlite3';
import { randomUUID } from 'node:crypto';
import type { SynchronousMode } from 'duraloom/sqlite';
import { openDatabase } from '../src/provider/sqlite/open-database.ts';

/** Orchestrations of one transaction. */
const BATCH = 256;
/** Activities of one orchestration. */
export const WIDTH = 5;
/** `visible_at` of a start message. */
const START = 0;
/** As the runtime's default. */
const LOCK_MS = 30_000;
const ACTIVITIES: readonly number[] = Array.from({ length: WIDTH }, (_, index) => index);
/** 1: started; then one ActivityScheduled for each activity. */
const FIRST_TURN_END = 1 + WIDTH;
/** Then one ActivityCompleted for each activity, and the end. */
const SECOND_TURN_END = FIRST_TURN_END + WIDTH + 1;

/** What is in a store after some fan-outs: to check that two stores hold the same. */
export type StoredFanOuts = {
  readonly completed: number;
  readonly events: number;
  /** Length of all event texts, without the brackets and commas of their pages. */
  readonly eventChars: number;
  /** Rows left in the two queues. */
  readonly queued: number;
};

/** A database that is written by hand. */
export class RawCeiling {
  readonly #database: Database.Database;
  readonly #steps: readonly ((instanceId: string, nowMs: number, lockToken: string) => void)[];

  private constructor(database: Database.Database) {
    this.#database = database;
    this.#steps = prepareSteps(database);
  }

  /**
   * Opens a database with the runtime's schema and pragmas.
   *
   * @param file - its path
   * @param sync - durability of a commit
   * @returns the ceiling
   */
  static async open(file: string, sync: SynchronousMode): Promise<RawCeiling> {
    return new RawCeiling(await openDatabase(file, sync));
  }

  /**
   * Writes the rows of many fan-outs.
   *
   * @param instanceIds - ids of the orchestrations
   * @returns how long it took, in milliseconds
   */
  run(instanceIds: readonly string[]): number {
    const begin = this.#database.prepare('BEGIN IMMEDIATE');
    const commit = this.#database.prepare('COMMIT');
    const startedMs = performance.now();
    for (let first = 0; first < instanceIds.length; first += BATCH) {
      const batch = instanceIds.slice(first, first + BATCH);
      for (const step of this.#steps) {
        const lockToken = randomUUID();
        const nowMs = Date.now();
        begin.run();
        for (const instanceId of batch) step(instanceId, nowMs, lockToken);
        commit.run();
      }
    }
    return performance.now() - startedMs;
  }

  close(): void {
    this.#database.close();
  }
}

/**
 * Looks what a store holds.
 *
 * @param file - path of the database
 * @param sync - only needed to open it
 * @returns the numbers
 */
export async function readStoredFanOuts(file: string, sync: SynchronousMode): Promise<StoredFanOuts> {
  const database = await openDatabase(file, sync);
  try {
    return database
      .prepare(
        `SELECT (SELECT count(*) FROM instances WHERE status = 'Completed' AND output = '${WIDTH}') AS completed,
           (SELECT sum(last_event_id - first_event_id + 1) FROM history) AS events,
           (SELECT sum(length(events) - (last_event_id - first_event_id + 1) - 1) FROM history) AS eventChars,
           (SELECT count(*) FROM orchestrator_queue) + (SELECT count(*) FROM work_items) AS queued`,
      )
      .get() as StoredFanOuts;
  } finally {
    database.close();
  }
}

/**
 * Prepares the two rows of a start call: a pending instance and its start message. Also the baseline of row M5.
 *
 * @param database - with the runtime's schema
 * @returns a function that writes them; with a token the instance is locked
 */
export function prepareStart(database: Database.Database): (instanceId: string, nowMs: number, lockToken?: string) => void {
  const insertInstance = database.prepare(
    `INSERT INTO instances (instance_id, name, version, code_id, status, priority, execution_id, last_event_id, ready_at, lock_token, hold_until,
       message_seq, handed_seq, handed_at, custom_status_version, has_extras, parent_instance_id, parent_execution_id, parent_event_id,
       on_parent_close, created_at, updated_at)
     VALUES (?, 'fanOut', NULL, 1, 'Pending', 0, 1, 0, ?, ?, 0, 1, 1, ?, 0, 0, NULL, NULL, NULL, 'abandon', ?, ?)`,
  );
  const insertMessage = database.prepare(
    `INSERT INTO orchestrator_queue (instance_id, visible_at, message_id, arrived_at, timer_id, attempts, payload)
     VALUES (?, ${START}, 1, ?, NULL, 0, ?)`,
  );
  return (instanceId, nowMs, lockToken) => {
    insertInstance.run(instanceId, lockToken === undefined ? nowMs : nowMs + LOCK_MS, lockToken ?? null, nowMs, nowMs, nowMs);
    insertMessage.run(instanceId, nowMs, START_MESSAGE);
  };
}

/** The three transactions of an orchestration. */
function prepareSteps(database: Database.Database): readonly ((instanceId: string, nowMs: number, lockToken: string) => void)[] {
  const insertStart = prepareStart(database);
  const deleteMessages = database.prepare('DELETE FROM orchestrator_queue WHERE instance_id = ?');
  const selectKey = database.prepare('SELECT instance_key FROM instances WHERE instance_id = ?').pluck();
  const update = (more: string): Database.Statement =>
    database.prepare(
      `UPDATE instances SET status = ?, output = ?, version = '1.0.0', last_event_id = ?, updated_at = ?, ${more}
         lock_token = NULL, handed_seq = NULL, handed_at = NULL, ready_at = NULL WHERE instance_key = ?`,
    );
  const updateInstance = update('');
  const endInstance = update('ended_at = ?,');
  const insertPage = database.prepare(
    'INSERT INTO history (instance_key, execution_id, first_event_id, last_event_id, events) VALUES (?, 1, ?, ?, ?)',
  );
  const insertWork = database.prepare(
    `INSERT INTO work_items (instance_id, execution_id, event_id, ready_at, lock_token, attempts, name, payload)
     VALUES ${ACTIVITIES.map(() => "(?, 1, ?, ?, ?, 1, 'work', ?)").join(', ')}`,
  );
  const deleteWork = database.prepare('DELETE FROM work_items WHERE instance_id = ? AND execution_id = 1 AND event_id BETWEEN ? AND ?');

  return [
    // The client's start call: the instance exists from now on, its start message waits, and a fetch has it.
    (instanceId, nowMs, lockToken) => insertStart(instanceId, nowMs, lockToken),
    (instanceId, nowMs, lockToken) => {
      // The first turn is committed: its message is consumed, the instance is released, its page of history is there.
      const key = selectKey.get(instanceId);
      deleteMessages.run(instanceId);
      updateInstance.run('Running', null, FIRST_TURN_END, nowMs, key);
      insertPage.run(key, 1, FIRST_TURN_END, firstPage(nowMs));
      // What the turn asked for, and a fetch has it.
      insertWork.run(ACTIVITIES.flatMap((index) => [instanceId, scheduledId(index), nowMs + LOCK_MS, lockToken, String(index)]));
    },
    (instanceId, nowMs) => {
      // The activities end, and the turn that follows from them: work items removed, instance completed, page written.
      const key = selectKey.get(instanceId);
      deleteWork.run(instanceId, scheduledId(0), scheduledId(WIDTH - 1));
      endInstance.run('Completed', String(WIDTH), SECOND_TURN_END, nowMs, nowMs, key);
      insertPage.run(key, FIRST_TURN_END + 1, SECOND_TURN_END, secondPage(nowMs));
    },
  ];
}

// --- the texts, as the runtime writes them -----------------------------------------------------------------------------------

/** Message that starts a fan-out. */
export const START_MESSAGE: string = `{"kind":"OrchestrationStarted","executionId":1,"name":"fanOut","input":${WIDTH}}`;

/** Event id of the decision to run an activity. */
function scheduledId(index: number): number {
  return 2 + index;
}

function completion(index: number): string {
  return `{"kind":"ActivityCompleted","executionId":1,"sourceId":${scheduledId(index)},"result":{"r":${index}}}`;
}

function firstPage(atMs: number): string {
  const started = `{"id":1,"atMs":${atMs},${START_MESSAGE.slice(1, -1)},"version":"1.0.0","engine":1}`;
  const scheduled = ACTIVITIES.map(
    (index) => `{"id":${scheduledId(index)},"atMs":${atMs},"kind":"ActivityScheduled","name":"work","input":${index}}`,
  );
  return `[${started},${scheduled.join(',')}]`;
}

function secondPage(atMs: number): string {
  const completed = ACTIVITIES.map((index) => `{"id":${FIRST_TURN_END + 1 + index},"atMs":${atMs},${completion(index).slice(1)}`);
  return `[${completed.join(',')},{"id":${SECOND_TURN_END},"atMs":${atMs},"kind":"OrchestrationCompleted","result":${WIDTH}}]`;
}
