// A provider for one process, in one file: each change is a line of JSON that is on disk before the change is answered. Opening the file makes
// all changes again. Neighbours: journal.ts is the file, target.ts has the provider checked.
import { ProviderError, type Clock, type InstanceCode, type InstanceRecord, type OrchestrationItem } from 'duraloom';
import type { Provider, SessionMessage, WorkItem } from 'duraloom';
import { FetchQueue, MemoryStore, Parking, systemClock, type TakeParams } from 'duraloom/conformance';
import { randomUUID } from 'node:crypto';
import { Journal, type Entry } from './journal.ts';

/** A method of the store that a line of the journal can name. */
type Call = Exclude<keyof MemoryStore, 'meets' | 'nextTurnAtMs' | 'nextWorkAtMs' | 'takeTouched'>;
type Params<Name extends Call> = Parameters<MemoryStore[Name]>;
type Answer<Name extends Call> = ReturnType<MemoryStore[Name]>;

export class JournalProvider implements Provider {
  readonly name = 'journal';
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #store = new MemoryStore(() => this.#replayedAtMs ?? this.#clock.nowMs());
  readonly #turns: FetchQueue<OrchestrationItem>;
  readonly #work: FetchQueue<WorkItem>;
  /** By instance. */
  readonly #waits: Parking<{ readonly record: InstanceRecord | null }>;
  /** By session. */
  readonly #receives: Parking<readonly SessionMessage[]>;
  /** Time of the change that is made again; null: the present. */
  #replayedAtMs: number | null = null;
  #isClosed = false;

  constructor(path: string, { clock = systemClock, sync = true }: { readonly clock?: Clock; readonly sync?: boolean } = {}) {
    this.#clock = clock;
    this.#journal = new Journal(path, { clock, sync });
    for (const entry of this.#journal.entries) this.#replay(entry);
    this.#turns = new FetchQueue(clock, () => this.#turns.serve());
    this.#work = new FetchQueue(clock, () => this.#work.serve());
    this.#waits = new Parking({ clock, competing: false });
    this.#receives = new Parking({ clock, competing: false });
  }

  readonly startInstances = this.#changing('startInstances');
  readonly enqueueMessages = this.#changing('enqueueMessages');
  readonly publish = this.#changing('publish');
  readonly controlInstances = this.#changing('controlInstances');
  readonly ackOrchestrationItems = this.#changing('ackOrchestrationItems');
  readonly abandonOrchestrationItems = this.#changing('abandonOrchestrationItems');
  readonly renewOrchestrationLocks = this.#changing('renewOrchestrationLocks');
  readonly ackWorkItems = this.#changing('ackWorkItems');
  readonly abandonWorkItems = this.#changing('abandonWorkItems');
  readonly renewWorkLocks = this.#changing('renewWorkLocks');
  readonly renewSessions = this.#changing('renewSessions');
  readonly reportRuntime = this.#changing('reportRuntime');
  readonly deleteInstances = this.#changing('deleteInstances');
  readonly pruneExecutions = this.#changing('pruneExecutions');
  readonly editQueues = this.#changing('editQueues');
  readonly importInstances = this.#changing('importInstances');

  readonly readHistory = this.#reading('readHistory');
  readonly readWorkItems = this.#reading('readWorkItems');
  readonly readValues = this.#reading('readValues');
  readonly readInstances = this.#reading('readInstances');
  readonly listInstances = this.#reading('listInstances');
  readonly listRuntimes = this.#reading('listRuntimes');
  readonly readQueueDepths = this.#reading('readQueueDepths');
  readonly countWaiting = this.#reading('countWaiting');
  readonly listExecutions = this.#reading('listExecutions');
  readonly peekQueue = this.#reading('peekQueue');
  readonly exportInstances = this.#reading('exportInstances');

  readonly fetchOrchestrationItems: Provider['fetchOrchestrationItems'] = (params) => {
    const { maxItems, lockMs, accepts = () => true } = params;
    const take = (): readonly OrchestrationItem[] => {
      // A function cannot be written down. What it said can.
      const codes = new Set<string>();
      const noting = (code: InstanceCode): boolean => accepts(code) && codes.add(JSON.stringify(code)).size > 0;
      const taking = { maxItems, lockMs, lockToken: randomUUID() };
      const items = this.#store.takeTurns({ ...taking, accepts: noting });
      if (items.length > 0) this.#write('takeTurns', [{ ...taking, codes: [...codes] }]);
      return items;
    };
    const nextAtMs = (): number | null => this.#store.nextTurnAtMs(accepts);
    return this.#answer('fetchOrchestrationItems', () => this.#turns.fetch(params, { take, nextAtMs }));
  };

  readonly fetchWorkItems: Provider['fetchWorkItems'] = (params) => {
    const { maxItems, lockMs, select } = params;
    const take = (): readonly WorkItem[] => {
      const taking = { maxItems, lockMs, lockToken: randomUUID(), ...(select === undefined ? {} : { select }) };
      const items = this.#store.takeWork(taking);
      if (items.length > 0) this.#write('takeWork', [taking]);
      return items;
    };
    const nextAtMs = (): number | null => this.#store.nextWorkAtMs(select);
    return this.#answer('fetchWorkItems', () => this.#work.fetch(params, { take, nextAtMs }));
  };

  readonly receiveSessionMessages: Provider['receiveSessionMessages'] = ({ waitMs, signal, ...taking }) => {
    const attempt = (): readonly SessionMessage[] | null => {
      const messages = this.#store.receiveSessionMessages(taking);
      return messages.length > 0 ? messages : null;
    };
    return this.#answer('receiveSessionMessages', async () => {
      // It removes what was taken before.
      this.#write('receiveSessionMessages', [taking]);
      return attempt() ?? (await this.#receives.park({ key: taking.sessionId, waitMs, signal, attempt, empty: () => [] }));
    });
  };

  readonly waitForInstance: Provider['waitForInstance'] = ({ instanceId, condition, waitMs, signal }) => {
    type Found = { readonly record: InstanceRecord | null };
    const read = (): Found => ({ record: this.#store.readInstances([instanceId])[0] ?? null });
    const attempt = (): Found | null => (this.#store.meets(instanceId, condition) ? read() : null);
    return this.#answer('waitForInstance', async () => {
      const { record } = attempt() ?? (await this.#waits.park({ key: instanceId, waitMs, signal, attempt, empty: read }));
      return record;
    });
  };

  async close(): Promise<void> {
    const isFirst = !this.#isClosed;
    this.#isClosed = true;
    for (const queue of [this.#turns, this.#work]) queue.close();
    for (const parking of [this.#waits, this.#receives]) parking.closeAll();
    await this.#journal.saved();
    if (isFirst) this.#journal.close();
  }

  #changing<Name extends Call>(name: Name): (...params: Params<Name>) => Promise<Answer<Name>> {
    return (...params) =>
      this.#answer(name, () => {
        const answer = perform(this.#store, name, params);
        this.#write(name, params);
        this.#wake();
        return answer;
      });
  }

  #reading<Name extends Call>(name: Name): (...params: Params<Name>) => Promise<Answer<Name>> {
    return (...params) => this.#answer(name, () => perform(this.#store, name, params));
  }

  /** Asks at once, so that calls take effect in their order; answers when all that the answer may rest on is on disk. */
  async #answer<Value>(operation: string, ask: () => Value | Promise<Value>): Promise<Value> {
    if (this.#isClosed) {
      const message = `${operation} was called on a closed journal. Stop runtimes and clients before you close their provider`;
      throw new ProviderError('PROVIDER_CLOSED', { operation, retryable: false, message });
    }
    const value = await ask();
    await this.#journal.saved();
    return value;
  }

  #wake(): void {
    for (const instanceId of this.#store.takeTouched()) this.#waits.serve(instanceId).deliver();
    this.#receives.serve().deliver();
    this.#turns.serve();
    this.#work.serve();
  }

  #write(call: Call, params: readonly unknown[]): void {
    this.#journal.write({ atMs: this.#clock.nowMs(), call, params });
  }

  #replay({ atMs, call, params }: Entry): void {
    this.#replayedAtMs = atMs;
    if (call === 'takeTurns') {
      const [{ codes, ...taking }] = params as readonly [TakeParams & { readonly codes: readonly string[] }];
      this.#store.takeTurns({ ...taking, accepts: (code) => codes.includes(JSON.stringify(code)) });
    } else perform(this.#store, call as Call, params as Params<Call>);
    this.#replayedAtMs = null;
  }
}

function perform<Name extends Call>(store: MemoryStore, name: Name, params: Params<Name>): Answer<Name> {
  return (store[name] as (...params: Params<Name>) => Answer<Name>).apply(store, params);
}
