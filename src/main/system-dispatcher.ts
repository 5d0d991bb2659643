// Work that every runtime does by itself, whatever its roles and tags: reads of values for orchestrations, and the end of activities that
// nobody took in time (T37). Neighbours: fetch-loop.ts, activity-dispatcher.ts (the work of users).
//
// Y1. Every fetched item ends in exactly one of: ack, abandon, or the end of its lease. Nothing here takes long, so no lease is renewed.
import type { Fetched, FetchParams, Provider, WorkFetchParams, WorkItem, WorkItemAck } from '../provider/provider.ts';
import { encodeRecord, parseRecord, type EncodedPayload } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { toFailure, type Failure } from '../types/failure.ts';
import { field } from '../types/message-text.ts';
import { READ_VALUE_ACTIVITY, SYSTEM_TAG } from '../types/names.ts';
import { readStamp } from '../types/trace.ts';
import { lockOf } from './activity-dispatcher.ts';
import { FetchLoop } from './fetch-loop.ts';
import type { ResolvedRuntimeOptions } from './options.ts';
import { computeBackoffMs } from './turn-commit.ts';

type Answered = { readonly item: WorkItem; readonly completionPayload: string };
type Select = NonNullable<WorkFetchParams['select']>;
type ValueAddress = { readonly instanceId: string; readonly key: string };

/** Items that are worked on at once, of each kind. Reason: it bounds one transaction and what a crash delays. */
const MAX_IN_FLIGHT = 64;
/** An answer whose commit fails is offered again this often. */
const ACK_RETRIES = 5;
const ACK_BACKOFF = { initialMs: 50, maximumMs: 1_000 };

/** The dispatcher of duraloom's own work items. */
export class SystemDispatcher {
  readonly #options: ResolvedRuntimeOptions;
  readonly #provider: Provider;
  readonly #loops: readonly FetchLoop<WorkItem>[];
  /** Batches that are not acked or given back yet. */
  readonly #open = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: ResolvedRuntimeOptions) {
    this.#options = options;
    this.#provider = options.provider;
    this.#loops = [
      this.#makeLoop({ kind: 'queue', tags: { kind: 'only', tags: [SYSTEM_TAG] }, session: null }, (items) => this.#readValues(items)),
      this.#makeLoop({ kind: 'expired' }, (items) => this.#expire(items)),
    ];
  }

  start(): void {
    for (const loop of this.#loops) loop.start();
  }

  /** Stops fetching. Resolves when no new item can arrive. */
  async stopFetching(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  /** Resolves when no item is in flight. */
  async idle(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  /** Offers no answer again. What is still in flight is given back, or its lease runs out. */
  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  #makeLoop(select: Select, answer: (items: readonly WorkItem[]) => Promise<readonly Answered[]>): FetchLoop<WorkItem> {
    let inFlight = 0;
    const loop = new FetchLoop<WorkItem>({
      clock: this.#options.clock,
      lockMs: this.#options.activityLockMs,
      room: () => MAX_IN_FLIGHT - inFlight,
      fetch: (params: FetchParams): Promise<Fetched<WorkItem>> => this.#provider.fetchWorkItems({ ...params, select }),
      onItems: ({ items }) => {
        inFlight += items.length;
        const batch = this.#work(items, answer).finally(() => {
          inFlight -= items.length;
          this.#open.delete(batch);
          loop.pump();
        });
        this.#open.add(batch);
      },
      giveBack: (items) => {
        // Nothing rejects: failures are handled inside.
        void this.#abandon(items, 0);
      },
      onError: (error) => this.#storeTrouble('fetchWorkItems', error),
    });
    return loop;
  }

  async #work(items: readonly WorkItem[], answer: (items: readonly WorkItem[]) => Promise<readonly Answered[]>): Promise<void> {
    let answers: readonly Answered[];
    try {
      answers = await answer(items);
    } catch (error) {
      this.#storeTrouble('readValues', error);
      await this.#abandon(items, ACK_BACKOFF.maximumMs);
      return;
    }
    if (answers.length > 0) await this.#commit(answers);
  }

  /** Acks, several times if need be; after that another runtime, or this one later, does it all again. */
  async #commit(answers: readonly Answered[]): Promise<void> {
    const acks = answers.map(({ item, completionPayload }): WorkItemAck => ({ ...lockOf(item), completionPayload }));
    for (let attempt = 1; !this.#isClosed && attempt <= ACK_RETRIES; attempt += 1) {
      try {
        await this.#provider.ackWorkItems(acks);
        return;
      } catch (error) {
        this.#storeTrouble('ackWorkItems', error);
        await this.#pause(computeBackoffMs(attempt, ACK_BACKOFF));
      }
    }
    await this.#abandon(
      answers.map(({ item }) => item),
      ACK_BACKOFF.maximumMs,
    );
  }

  // --- answers ---------------------------------------------------------------------------------------------------------------

  /** Reads the values of a batch side by side: a provider joins reads of one tick. */
  async #readValues(items: readonly WorkItem[]): Promise<readonly Answered[]> {
    const answers = await Promise.all(items.map((item) => this.#readValue(item)));
    return answers.filter((answer) => answer !== null);
  }

  async #readValue(item: WorkItem): Promise<Answered | null> {
    if (item.name !== READ_VALUE_ACTIVITY) return await this.#unknown(item);
    const address = parseAddress(readStamp(item.payload)?.input ?? item.payload);
    if (address === null) {
      const message = `the payload of '${item.name}' is not { instanceId, key }. It was changed outside duraloom, or a newer version wrote it`;
      return failed(item, toFailure(new DurableError('MESSAGE_INVALID', message)));
    }
    const [stored] = await this.#provider.readValues(address.instanceId, [address.key]);
    return completed(item, stored?.value);
  }

  /** A newer version scheduled it: one of its runtimes can do it, if there is one. */
  async #unknown(item: WorkItem): Promise<Answered | null> {
    if (item.attempt <= this.#options.maxAttempts) {
      await this.#abandon([item], computeBackoffMs(item.attempt, this.#options.retryBackoff), true);
      return null;
    }
    const message = `this version of duraloom does not know '${item.name}'. Run the version that scheduled it on every host of this store`;
    return failed(item, toFailure(new DurableError('ACTIVITY_NOT_REGISTERED', message)));
  }

  #expire(items: readonly WorkItem[]): Promise<readonly Answered[]> {
    return Promise.resolve(items.map((item) => failed(item, expired(item))));
  }

  // --- trouble ---------------------------------------------------------------------------------------------------------------

  async #abandon(items: readonly WorkItem[], delayMs: number, countAttempt = false): Promise<void> {
    try {
      await this.#provider.abandonWorkItems(items.map((item) => ({ ...lockOf(item), delayMs, countAttempt })));
    } catch (error) {
      // Their leases run out by themselves.
      this.#storeTrouble('abandonWorkItems', error);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.setTimer(ms, resolve);
    });
  }

  #storeTrouble(operation: string, error: unknown): void {
    this.#options.logger.warn({ operation, err: error }, `the store failed in ${operation}; it is tried again`);
  }
}

function completed(item: WorkItem, result: EncodedPayload): Answered {
  const { executionId, eventId } = item;
  return {
    item,
    completionPayload: `{"kind":"ActivityCompleted","executionId":${executionId},"sourceId":${eventId}${field('result', result)}}`,
  };
}

function failed(item: WorkItem, failure: Failure): Answered {
  const { executionId, eventId } = item;
  return { item, completionPayload: encodeRecord({ kind: 'ActivityFailed', executionId, sourceId: eventId, failure }) };
}

/** As data, without a stack: no code of the user is at fault. */
function expired({ name, instanceId, routing }: WorkItem): Failure {
  const tag = routing?.tag ?? null;
  const [queue, option] = tag === null ? ['the default queue', "'default'"] : [`tag '${tag}'`, `{ only: ['${tag}'] }`];
  return {
    name: 'DurableError',
    code: 'ACTIVITY_EXPIRED',
    message:
      `activity '${name}' of instance '${instanceId}' waited ${routing?.expiresAfterMs ?? 0} ms for a runtime that takes ${queue}, and none took it. ` +
      `Start a runtime with it and \`tags: ${option}\`, more of them, or give it a longer \`expiresAfterMs\``,
  };
}

function parseAddress(payload: string): ValueAddress | null {
  let parsed: unknown;
  try {
    parsed = parseRecord(payload);
  } catch {
    return null;
  }
  const { instanceId, key } = (parsed ?? {}) as Partial<Record<keyof ValueAddress, unknown>>;
  return typeof instanceId === 'string' && typeof key === 'string' ? { instanceId, key } : null;
}
