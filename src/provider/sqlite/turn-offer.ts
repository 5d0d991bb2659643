// Turns that go straight to a fetch that waits for them, in the transaction that makes them ready: one statement instead of three, and no second
// look at the tables. Neighbours: instance-table.ts offers instances that start or get messages, orchestrator-queue.ts hands them out,
// sqlite-provider.ts says which fetch waits. Work items have the same in work-queue.ts.
//
// T1. The fetch gets what would come first anyway. Nothing is given while something in the ready order is as old; what gets there later in the
//     transaction and comes before what was given sends all of it back, and the ready order decides again.
// T2. Only an instance with an empty queue is given, so its messages are the ones that arrive in this transaction, without a gap.
// T3. It is locked with the write that makes it ready. Who loses its lock later in the same transaction is withdrawn.
import { MAX_MESSAGES_PER_TURN } from '../../types/limits.ts';
import type { FetchedMessage, OrchestrationItem } from '../provider.ts';
import type { CodeFilter, CodeTable } from './codes.ts';

/** A fetch that waits for turns. */
export type TurnDemand = {
  readonly lockToken: string;
  /** When its locks expire, epoch milliseconds. */
  readonly endsAtMs: number;
  readonly accepts: CodeFilter | undefined;
  /** T1: when the first one in the ready order was ready; null: there is none. */
  readonly oldestMs: number | null;
  /** How many instances it still takes. */
  room: number;
};

type Given = {
  readonly item: Omit<OrchestrationItem, 'messages'>;
  readonly readyAtMs: number;
  readonly messages: FetchedMessage[];
  /** Some messages did not fit: those behind them wait as well. */
  isFull: boolean;
};

/** What the running transaction gives to the first fetch that waits. */
export class TurnOffer {
  readonly #codes: CodeTable;
  #demand: TurnDemand | null = null;
  readonly #given = new Map<string, Given>();

  constructor(codes: CodeTable) {
    this.#codes = codes;
  }

  /** Begins a transaction: null: nobody waits. */
  begin(demand: TurnDemand | null): void {
    this.#demand = demand;
    this.#given.clear();
  }

  get isOpen(): boolean {
    return this.#demand !== null;
  }

  /** True for an instance that this transaction has given and that is still locked for its taker. */
  holds(instanceId: string, lockToken: string): boolean {
    return lockToken === this.#demand?.lockToken && this.#given.has(instanceId);
  }

  /** Who takes an instance that becomes ready; null: nobody, it has to wait. */
  taker(codeId: number, readyAtMs: number): TurnDemand | null {
    const demand = this.#demand;
    if (demand === null || demand.room < 1) return null;
    if (demand.oldestMs !== null && demand.oldestMs <= readyAtMs) return null;
    return this.#codes.accepts(demand.accepts, codeId) ? demand : null;
  }

  /** Gives an instance to the taker. */
  give(item: Omit<OrchestrationItem, 'messages' | 'lockToken'>, with_: Pick<Given, 'readyAtMs' | 'messages'>): void {
    const demand = this.#demand;
    if (demand === null) return;
    demand.room -= 1;
    this.#given.set(item.instanceId, { item: { ...item, lockToken: demand.lockToken }, ...with_, isFull: false });
  }

  /** Adds messages to an instance that it holds. Returns who has it; null: it has enough. */
  add(instanceId: string, messages: readonly FetchedMessage[]): TurnDemand | null {
    const given = this.#given.get(instanceId);
    if (given === undefined) return null;
    given.isFull ||= given.messages.length + messages.length > MAX_MESSAGES_PER_TURN;
    if (given.isFull) return null;
    given.messages.push(...messages);
    return this.#demand;
  }

  /** T3. */
  withdraw(instanceId: string): void {
    this.#given.delete(instanceId);
  }

  /** The offer for a fetch; null: there is none. */
  of(lockToken: string): TurnDemand | null {
    return this.#demand?.lockToken === lockToken ? this.#demand : null;
  }

  /** When the last one in the ready order became ready of what was given to a fetch; null: nothing was. */
  latestMs(lockToken: string): number | null {
    if (this.#demand?.lockToken !== lockToken || this.#given.size === 0) return null;
    let latestMs = Number.NEGATIVE_INFINITY;
    for (const { readyAtMs } of this.#given.values()) latestMs = Math.max(latestMs, readyAtMs);
    return latestMs;
  }

  /** What was given to a fetch, in the ready order. */
  take(lockToken: string): OrchestrationItem[] {
    if (this.#demand?.lockToken !== lockToken) return [];
    const given = this.release();
    if (given.some((one, index) => index > 0 && isBefore(one, given[index - 1]))) given.sort((a, b) => (isBefore(a, b) ? -1 : 1));
    return given.map(({ item, messages }) => ({ ...item, messages }));
  }

  /** Ends the offer. Returns what was given and not taken. */
  release(): Given[] {
    this.#demand = null;
    const given = [...this.#given.values()];
    this.#given.clear();
    return given;
  }
}

function isBefore({ item, readyAtMs }: Given, other: Given | undefined): boolean {
  if (other === undefined) return false;
  return readyAtMs === other.readyAtMs ? item.instanceId < other.item.instanceId : readyAtMs < other.readyAtMs;
}
