// A provider that does what another does and fails by plan. Neighbours: fault-plan.ts chooses the faults, fault-line.ts is the connection that
// drops, fault-points.ts stops calls for race tests.
//
// F4. Nothing here waits by itself: all times are the clock's. Nothing is random but by the seed.
// F5. `close` always works: it ends what hangs and sleeps, and is never hit by a fault.
// F6. A request goes to the store as it came; only its signal is replaced by one that also aborts when the connection drops.
import { isDeepStrictEqual } from 'node:util';
import { LONG_POLLS, OPERATIONS } from '../provider/operations.ts';
import type { Fetched, FetchParams, OrchestrationLock, Provider, WorkItemLock } from '../provider/provider.ts';
import { systemClock } from '../provider/system-clock.ts';
import { isClock, type Clock } from '../types/clock.ts';
import { encodeRecord } from '../types/codec.ts';
import { ArgumentError, ProviderError } from '../types/errors.ts';
import { assertFaultPlan } from './fault-check.ts';
import { FaultLines, type Line } from './fault-line.ts';
import { FaultChooser, isFetch, MAX_AGE, type Fault, type FaultPlan, type FaultyOperation, type ScriptedFault } from './fault-plan.ts';
import { DebugPoints, type DebugPoint, type DebugPointName } from './fault-points.ts';

/** A provider with faults, and the means to control them. */
export interface FaultyProvider extends Provider {
  /** The faults that happened, in the order of the calls that they hit. As `script` of a plan it makes them happen again. */
  readonly log: readonly ScriptedFault[];
  /** False: no new faults of the plan; calls are counted all the same. @default true */
  enabled: boolean;

  /**
   * Stops at a point: every call waits there until it is released. Both places are on the way of a call whether a fault hits it or not:
   * `before` comes first of all; `after` when the store has committed, unless the fault keeps the call from getting there.
   *
   * @param name - operation and place, such as `ackOrchestrationItems:after`
   * @returns the point; the same one again until it is released
   * @throws {ArgumentError} when there is no such point
   */
  debugPoint(name: DebugPointName): DebugPoint;

  /** Ends all trouble: no more faults, calls that hang reject, delays end, nothing is delivered twice any more, the connection is back. */
  calm(): void;

  /** Drops the connection: calls on their way (parked long polls, too) and all later ones reject with a retryable error. */
  disconnect(): void;

  /** Brings the connection back, also after a fault. */
  reconnect(): void;
}

/** Options of `faulty`. */
export type FaultyOptions = {
  /** Clock of delays and disconnections; the one of the provider. @default the machine's clock */
  readonly clock?: Clock;
};

type Exchange = {
  readonly operation: FaultyOperation;
  readonly call: number;
  readonly args: readonly unknown[];
  readonly line: Line;
};

/** What a fetch will deliver once more. */
type Redelivery = { readonly operation: FaultyOperation; readonly question: object; readonly fetched: Fetched<unknown> };

/** Questions whose earlier answers are kept. */
const MAX_QUESTIONS = 1_000;

/**
 * Makes a provider that fails by plan, to see what workflows do when their store fails.
 *
 * @param provider - the store
 * @param plan - which calls fail, and how
 * @param options - the clock
 * @returns a provider that does the same, and fails
 * @throws {ArgumentError} when the plan cannot be carried out
 * @example
 * const faults = faulty(new MemoryProvider(), { seed: 1, rates: { any: { errorBefore: 0.1, errorAfter: 0.1 } } });
 */
export function faulty(provider: Provider, plan: FaultPlan, options: FaultyOptions = {}): FaultyProvider {
  assertFaultPlan(plan);
  const { clock = systemClock } = options;
  if (!isClock(clock)) throw new ArgumentError(`Expected \`clock\` to be a clock, got ${String(clock)}`);
  const injector = new FaultInjector(provider, plan, clock);
  const methods = OPERATIONS.map((operation) => [
    operation,
    (...args: readonly unknown[]) => (operation === 'close' ? injector.shut() : injector.call(operation, args)),
  ]);
  return Object.assign(injector, Object.fromEntries(methods)) as FaultyProvider;
}

class FaultInjector implements Omit<FaultyProvider, keyof Provider> {
  readonly name: string;
  readonly log: ScriptedFault[] = [];
  enabled = true;
  readonly #provider: Provider;
  readonly #seed: number;
  readonly #chooser: FaultChooser;
  readonly #lines: FaultLines;
  readonly #points = new DebugPoints();
  readonly #calls = new Map<FaultyOperation, number>();
  /** Earlier answers by question, oldest first; only where a read may be stale. */
  readonly #answers = new Map<string, unknown[]>();
  #redeliveries: readonly Redelivery[] = [];
  #isClosed = false;

  constructor(provider: Provider, plan: FaultPlan, clock: Clock) {
    this.name = provider.name;
    this.#provider = provider;
    this.#seed = plan.seed;
    this.#chooser = new FaultChooser(plan);
    this.#lines = new FaultLines(clock);
  }

  debugPoint(name: DebugPointName): DebugPoint {
    return this.#points.arm(name);
  }

  disconnect(): void {
    this.#lines.disconnect(null);
  }

  reconnect(): void {
    this.#lines.reconnect();
  }

  calm(): void {
    this.enabled = false;
    this.#redeliveries = [];
    this.#lines.reconnect();
    this.#lines.wake();
  }

  shut(): Promise<void> {
    this.#isClosed = true;
    this.calm();
    this.#points.releaseAll();
    return this.#provider.close();
  }

  call(operation: FaultyOperation, args: readonly unknown[]): Promise<unknown> {
    const call = (this.#calls.get(operation) ?? 0) + 1;
    this.#calls.set(operation, call);
    const error = (what: string): ProviderError => this.#error(operation, call, what);
    if (this.#isClosed) return this.#ask(operation, args);
    if (this.#lines.isDown) return Promise.reject(error('the connection is down, nothing was sent'));
    const fault = this.enabled ? this.#choose(operation, call, args) : null;
    if (fault !== null) this.log.push({ operation, call, fault });
    const work = (line: Line): Promise<unknown> => this.#perform({ operation, call, args, line }, fault);
    return this.#lines.open(signalOf(operation, args), work, () => error('the connection dropped before the answer came'));
  }

  #choose(operation: FaultyOperation, call: number, args: readonly unknown[]): Fault | null {
    const batchSize = Array.isArray(args[0]) ? args[0].length : 0;
    const fault = this.#chooser.choose(operation, call, batchSize);
    return fault?.kind === 'staleRead' && !this.#answers.has(toQuestion(operation, args)) ? null : fault;
  }

  async #perform(exchange: Exchange, fault: Fault | null): Promise<unknown> {
    const { operation, call, args, line } = exchange;
    await this.#points.pass(`${operation}:before`, line.signal);
    switch (fault?.kind) {
      case undefined:
        return await this.#send(exchange);
      case 'errorBefore':
        throw this.#error(operation, call, 'nothing was done');
      case 'errorAfter': {
        const answer = await this.#send(exchange);
        if (line.isAwake) return answer;
        throw this.#error(operation, call, 'it was done, the answer is lost');
      }
      case 'delay': {
        if (fault.when === 'before') await this.#lines.sleep(line, fault.ms);
        const answer = await this.#send(exchange);
        if (fault.when === 'after') await this.#lines.sleep(line, fault.ms);
        return answer;
      }
      case 'hang':
        if (fault.done) await this.#send(exchange);
        await this.#lines.sleep(line, fault.ms);
        throw this.#error(operation, call, `no answer came; ${fault.done ? 'it was done' : 'nothing was done'}`);
      case 'duplicate':
        return await this.#sendTwice(exchange, fault.answer);
      case 'lockLost':
        await this.#takeLocks(operation, batchOf(args));
        return await this.#send(exchange);
      case 'staleRead':
        return this.#answers.get(toQuestion(operation, args))?.at(-Math.min(fault.age, MAX_AGE)) ?? this.#oldest(operation, args);
      case 'partial':
        return await this.#sendPart(exchange, fault);
      case 'disconnect': {
        const answer = fault.done ? await this.#send(exchange) : null;
        if (line.isAwake) return fault.done ? answer : await this.#send(exchange);
        // This call is on its way, too: it rejects by it.
        if (!line.isLost) this.#lines.disconnect(fault.ms);
        return null;
      }
    }
  }

  /** The exchange with the store itself. */
  async #send({ operation, args, line }: Exchange): Promise<unknown> {
    // Its caller was told, so nobody looks at what comes back.
    if (line.isLost) return undefined;
    const again = isFetch(operation) ? this.#redeliver(operation, args[0] as FetchParams) : null;
    const answer = again ?? (await this.#ask(operation, withSignal(operation, args, line.signal)));
    if (again === null) this.#remember(operation, args, answer);
    await this.#points.pass(`${operation}:after`, line.signal);
    return answer;
  }

  async #sendTwice(exchange: Exchange, wanted: 'first' | 'second'): Promise<unknown> {
    const { operation, args, line } = exchange;
    const first = await this.#send(exchange);
    if (line.isLost) return undefined;
    if (isFetch(operation)) {
      const fetched = first as Fetched<unknown>;
      const redelivery = { operation, question: questionOf(args[0] as FetchParams), fetched };
      if (fetched.items.length > 0 && this.enabled) this.#redeliveries = [...this.#redeliveries, redelivery];
      return first;
    }
    const second = this.#ask(operation, args);
    // Who has its answer does not hear of the other one.
    return wanted === 'second'
      ? await second
      : await second.then(
          () => first,
          () => first,
        );
  }

  async #sendPart(exchange: Exchange, { done, rest }: Extract<Fault, { readonly kind: 'partial' }>): Promise<unknown> {
    const { operation, call, args } = exchange;
    const batch = batchOf(args);
    if (rest === 'lockLost') {
      await this.#takeLocks(
        operation,
        batch.filter((_, position) => !done.includes(position)),
      );
      return await this.#send(exchange);
    }
    const part = batch.filter((_, position) => done.includes(position));
    await this.#send({ ...exchange, args: [part, ...args.slice(1)] });
    throw this.#error(operation, call, `of ${batch.length} items those at ${done.join(', ')} were done`);
  }

  /** Ends leases as their expiry would, attempt counted: what the caller asks for with them then is refused by the store itself. */
  async #takeLocks(operation: FaultyOperation, batch: readonly unknown[]): Promise<void> {
    const how = { delayMs: 0, countAttempt: true };
    if (operation.endsWith('OrchestrationItems') || operation === 'renewOrchestrationLocks') {
      const locks = batch as readonly OrchestrationLock[];
      await this.#provider.abandonOrchestrationItems(locks.map(({ instanceId, lockToken }) => ({ instanceId, lockToken, ...how })));
      return;
    }
    const locks = (batch as readonly WorkItemLock[]).map(({ instanceId, executionId, eventId, lockToken }) => ({
      instanceId,
      executionId,
      eventId,
      lockToken,
      ...how,
    }));
    await this.#provider.abandonWorkItems(locks);
  }

  /** What an earlier fetch got, for the same caller; what there is no room for comes with the next one. */
  #redeliver(operation: FaultyOperation, params: FetchParams): Fetched<unknown> | null {
    const question = questionOf(params);
    const found = this.#redeliveries.find((other) => other.operation === operation && isDeepStrictEqual(other.question, question));
    if (found === undefined || params.signal?.aborted === true) return null;
    const { nowMs, items } = found.fetched;
    const left = { ...found, fetched: { nowMs, items: items.slice(params.maxItems) } };
    this.#redeliveries = this.#redeliveries.flatMap((other) => {
      if (other !== found) return [other];
      return left.fetched.items.length > 0 ? [left] : [];
    });
    return { nowMs, items: items.slice(0, params.maxItems) };
  }

  #remember(operation: FaultyOperation, args: readonly unknown[], answer: unknown): void {
    if (!this.#chooser.mayBeStale(operation)) return;
    const question = toQuestion(operation, args);
    const answers = this.#answers.get(question) ?? [];
    this.#answers.delete(question);
    this.#answers.set(question, [...answers, answer].slice(-MAX_AGE));
    for (const oldest of this.#answers.keys()) if (this.#answers.size > MAX_QUESTIONS) this.#answers.delete(oldest);
  }

  #oldest(operation: FaultyOperation, args: readonly unknown[]): unknown {
    return this.#answers.get(toQuestion(operation, args))?.[0];
  }

  #ask(operation: FaultyOperation, args: readonly unknown[]): Promise<unknown> {
    return (this.#provider[operation] as (...given: readonly unknown[]) => Promise<unknown>).apply(this.#provider, [...args]);
  }

  #error(operation: FaultyOperation, call: number, what: string): ProviderError {
    const message = `injected fault: ${operation} failed at call ${call} (seed ${this.#seed}): ${what}. It happens again with the log of this provider as the script of a plan`;
    return new ProviderError('PROVIDER_FAILED', { operation, retryable: true, message });
  }
}

function batchOf(args: readonly unknown[]): readonly unknown[] {
  return args[0] as readonly unknown[];
}

function signalOf(operation: FaultyOperation, args: readonly unknown[]): AbortSignal | undefined {
  return LONG_POLLS.has(operation) ? (args[0] as { readonly signal?: AbortSignal }).signal : undefined;
}

function withSignal(operation: FaultyOperation, args: readonly unknown[], signal: AbortSignal): readonly unknown[] {
  return LONG_POLLS.has(operation) ? [{ ...(args[0] as object), signal }] : args;
}

/** What tells a question from others, as text. */
function toQuestion(operation: FaultyOperation, args: readonly unknown[]): string {
  return `${operation} ${encodeRecord(args)}`;
}

/** Who fetches: without what changes from one fetch of a caller to the next. */
function questionOf(params: FetchParams): object {
  return { ...params, maxItems: null, lockMs: null, waitMs: null, signal: null };
}
