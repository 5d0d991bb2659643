// What the activities of a test runtime did, and which of them keep time still. Neighbours: test-activity-context.ts (what an activity is
// given), time-skipper.ts (who asks), test-runtime.ts (who shows the calls).
//
// A1. One record for each time that the code of an activity began: attempts of a retry policy, and what a crash made run again.
// A2. A running activity keeps time still. It does not while it waits for simulated time or for the store, nor once it was cancelled or its
//     thread was dropped and it runs again: nobody waits for its answer then.
import type { SimulatedClock } from '../provider/simulated-clock.ts';
import type { ActivityContext } from '../types/context.ts';
import type { ActivityDefinition } from '../types/definition.ts';
import { toFailure } from '../types/failure.ts';
import { makeTestContext, type TestActivityContext } from './test-activity-context.ts';

/** One run of the code of an activity. */
export type ActivityCall<Input = unknown, Output = unknown> = {
  readonly name: string;
  readonly instanceId: string;
  readonly executionId: number;
  /** Event that scheduled the first attempt: the same for all attempts. */
  readonly eventId: number;
  /** Which attempt, from 1. */
  readonly attempt: number;
  readonly input: Input;
  readonly status: 'running' | 'completed' | 'failed';
  /** What it returned, when completed. */
  readonly result: Output | undefined;
  /** What it threw, when failed. */
  readonly error: unknown;
  /** Simulated time. */
  readonly startedAt: Date;
  /** null: it runs. */
  readonly endedAt: Date | null;
};

type Handler = (ctx: TestActivityContext, input: never) => unknown;

type Ending = Pick<ActivityCall, 'status' | 'result' | 'error'>;

/** A call with what only this file needs. */
type Entry = {
  call: ActivityCall;
  readonly ctx: ActivityContext;
  /** How many waits for simulated time or the store are under way. */
  waits: number;
  isReplaced: boolean;
};

/** The calls of one test runtime. */
export class ActivityCalls {
  readonly #clock: SimulatedClock;
  readonly #onChange: () => void;
  readonly #entries: Entry[] = [];
  readonly #running = new Set<Entry>();
  #waits = 0;

  /**
   * @param clock - of the runtime
   * @param onChange - called when something begins or ends, or may let time pass
   */
  constructor(clock: SimulatedClock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** How often something has begun or ended, waits for simulated time included. */
  get changes(): number {
    return 2 * this.#entries.length - this.#running.size + this.#waits;
  }

  /** A2. */
  get holding(): readonly ActivityCall[] {
    return [...this.#running].filter((entry) => entry.waits === 0 && !entry.isReplaced && !isCancelled(entry.ctx)).map(({ call }) => call);
  }

  /**
   * Lists calls in the order in which they began.
   *
   * @param name - only those of this activity
   * @returns how they are now
   */
  list(name?: string): readonly ActivityCall[] {
    return this.#entries.map(({ call }) => call).filter((call) => name === undefined || call.name === name);
  }

  /**
   * Makes an activity that does the same and is recorded. A transactional one commits what it writes by itself: its source knows another store.
   *
   * @param definition - the activity; its handler may want more than production gives it
   * @returns the definition to register
   */
  record(definition: ActivityDefinition): ActivityDefinition {
    const handler = definition.handler as Handler;
    const { kind, name, schemas } = definition;
    return { kind, name, schemas, handler: (ctx: ActivityContext, input: unknown) => this.#run(handler, ctx, input) };
  }

  async #run(handler: Handler, ctx: ActivityContext, input: unknown): Promise<unknown> {
    const entry = this.#begin(ctx, input);
    try {
      const result = await handler(makeTestContext(ctx, this.#clock, this.#waiterOf(entry)), input as never);
      this.#end(entry, { status: 'completed', result, error: undefined });
      return result;
    } catch (error) {
      this.#end(entry, { status: 'failed', result: undefined, error });
      throw error;
    }
  }

  #begin(ctx: ActivityContext, input: unknown): Entry {
    const { name, instanceId, executionId, eventId, attempt } = ctx;
    const ending = { status: 'running', result: undefined, error: undefined } as const;
    const call = { name, instanceId, executionId, eventId, attempt, input, ...ending, startedAt: this.#now(), endedAt: null };
    for (const other of this.#running) if (isSameActivity(other.call, call)) other.isReplaced = true;
    const entry: Entry = { call, ctx, waits: 0, isReplaced: false };
    this.#entries.push(entry);
    this.#running.add(entry);
    ctx.signal.addEventListener('abort', this.#onChange);
    this.#onChange();
    return entry;
  }

  #end(entry: Entry, ending: Ending): void {
    entry.call = { ...entry.call, ...ending, endedAt: this.#now() };
    entry.ctx.signal.removeEventListener('abort', this.#onChange);
    this.#running.delete(entry);
    this.#onChange();
  }

  #waiterOf(entry: Entry): <Value>(wait: Promise<Value>) => Promise<Value> {
    return async (wait) => {
      entry.waits += 1;
      this.#waits += 1;
      this.#onChange();
      try {
        return await wait;
      } finally {
        entry.waits -= 1;
      }
    };
  }

  #now(): Date {
    return new Date(this.#clock.nowMs());
  }
}

function isCancelled({ signal }: ActivityContext): boolean {
  return signal.aborted && toFailure(signal.reason).code === 'CANCELLED';
}

function isSameActivity(left: ActivityCall, right: ActivityCall): boolean {
  return left.instanceId === right.instanceId && left.executionId === right.executionId && left.eventId === right.eventId;
}
