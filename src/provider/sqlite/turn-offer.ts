// Turns that go straight to a fetch that waits for them, in the transaction that makes them ready: one statement instead of three, and no second
// look at the tables. Neighbours: instance-table.ts offers instances that start or get messages, orchestrator-queue.ts hands them out,
// sqlite-provider.ts says which fetch waits. Work items have the same in work-queue.ts.
//
// T1. Only what would come first anyway is given: nothing in the ready order that the fetch accepts is older.
// T2. Only an instance with an empty queue is given, so its messages are the ones that arrive in this transaction.
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

type Given = { readonly item: Omit<OrchestrationItem, 'messages'>; readonly readyAtMs: number; readonly messages: FetchedMessage[] };

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
    if (demand.oldestMs !== null && demand.oldestMs < readyAtMs) return null;
    return this.#codes.accepts(demand.accepts, codeId) ? demand : null;
  }

  /** Gives an instance to the taker. */
  give(item: Omit<OrchestrationItem, 'messages' | 'lockToken'>, with_: Pick<Given, 'readyAtMs' | 'messages'>): void {
    const demand = this.#demand;
    if (demand === null) return;
    demand.room -= 1;
    this.#given.set(item.instanceId, { item: { ...item, lockToken: demand.lockToken }, ...with_ });
  }

  /** Adds messages to an instance that it holds. Returns who has it; null: it has enough. */
  add(instanceId: string, messages: readonly FetchedMessage[]): TurnDemand | null {
    const given = this.#given.get(instanceId);
    if (given === undefined || given.messages.length + messages.length > MAX_MESSAGES_PER_TURN) return null;
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

  /** What was given to a fetch, in the ready order. */
  take(lockToken: string): OrchestrationItem[] {
    if (this.#demand?.lockToken !== lockToken) return [];
    return this.release();
  }

  /** Ends the offer. Returns what was given and not taken. */
  release(): OrchestrationItem[] {
    this.#demand = null;
    if (this.#given.size === 0) return [];
    const given = [...this.#given.values()];
    this.#given.clear();
    if (given.some(({ readyAtMs }) => readyAtMs !== given[0]?.readyAtMs)) given.sort((a, b) => a.readyAtMs - b.readyAtMs);
    return given.map(({ item, messages }) => ({ ...item, messages }));
  }
}
