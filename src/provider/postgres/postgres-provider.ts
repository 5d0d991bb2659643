// The store of a fleet: one schema of a PostgreSQL server, shared by any number of processes and hosts. Neighbours: sql/ (what happens to rows),
// lane.ts (batches), fetch-waits.ts and change-waits.ts (long polls), notifier.ts (other processes), connection.ts (statements), trouble.ts (errors).
//
// The way of a call: it joins a batch on its lane; the batch is one call of a function in the schema, which is one round trip and one transaction;
// its answers settle the promises, wake who waits here, and are told to the others.
//
// Q1. What came in order takes effect in order: starts, messages, publications and wishes of operators share a lane with one batch at a time.
// Q2. All times are those of the server (T54): no statement gets a time from here, but with a simulated clock.
// Q3. Who waits is woken after the commit, here and elsewhere. A wake-up that gets lost costs a slow poll, nothing else.
// Q4. Work that turns ask for is locked for a fetch that waits for it here, in the commit that makes it: one round trip and one write less.
// Q5. Other work that turns ask for is kept for the runtime that asks for work here, if one does: its threads have the instance in memory, and what
//     ends there goes with the next turn. Others take it when it waits for long, or when that runtime is gone.
// Q6. Who waits for the end of an instance that was just started here need not look whether it has ended: nearly everybody does so.
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../types/clock.ts';
import { encodeRecord } from '../../types/codec.ts';
import { ProviderError } from '../../types/errors.ts';
import { isEnded, type InstanceRecord } from '../../types/instance.ts';
import { isPageLimit, makeLimitError } from '../list-limit.ts';
import type {
  DeleteOutcome,
  DeleteRequest,
  ExecutionRecord,
  InstanceDump,
  InstanceList,
  InstanceQuery,
  QueueEdit,
  QueueItem,
  QueueQuery,
  WaitingCounts,
} from '../management.ts';
import {
  meetsCondition,
  SESSION_MESSAGE_TTL_MS,
  type ControlOutcome,
  type ControlRequest,
  type EnqueueOutcome,
  type HistoryPage,
  type HistoryRequest,
  type InstanceProgress,
  type NewInstance,
  type NewMessage,
  type NewWorkItem,
  type OrchestrationAck,
  type OrchestrationAckOutcome,
  type OrchestrationFetchParams,
  type OrchestrationItem,
  type OrchestrationLock,
  type Provider,
  type Publication,
  type QueueDepths,
  type RuntimeReport,
  type StartOutcome,
  type StoredValue,
  type StoreStats,
  type WaitCondition,
  type WorkFetchParams,
  type WorkItem,
  type WorkItemAck,
  type WorkItemLock,
  type WorkItemOutcome,
  type WorkItemRecord,
} from '../provider.ts';
import { ChangeWaits, hashOf } from './change-waits.ts';
import { Codes } from './codes.ts';
import { Connection, pause, type Row } from './connection.ts';
import { openPool, type OpenPool } from './driver.ts';
import { FetchWaits, type Look, type Reservation } from './fetch-waits.ts';
import { DUMP_COLUMNS, importParameters, toDumps } from './dumps.ts';
import { takeClient } from './in-time.ts';
import { Lane, type LaneOperation } from './lane.ts';
import { prepareSchema, UPGRADE_TIMEOUT_MS } from './migrations.ts';
import { ANY, channelOf, Notifier, type Notice } from './notifier.ts';
import { listParameters, peekParameters, toCounts, toDeleteOutcome, toExecution, toList, toQueueItem } from './operators.ts';
import { ackParameters, isPlainStart, lockParameters, startParameters } from './parameters.ts';
import { resolvePostgresOptions, type PostgresOptions, type ResolvedPostgresOptions } from './postgres-options.ts';
import { RECORD_COLUMNS, toOffered, toRecord, toTurns, toWork } from './rows.ts';
import { WORK_NOT_HELD } from './sql/turns.ts';
import { encodeJson } from './texts.ts';
import { codeOf, toConnectError } from './trouble.ts';

type WorkWish = { readonly select: NonNullable<WorkFetchParams['select']>; readonly affinity: WorkFetchParams['affinity'] };
type TurnWish = { readonly [Name in 'accepts' | 'affinity']: OrchestrationFetchParams[Name] | undefined };
type OrchestrationAbandon = OrchestrationLock & { readonly delayMs: number; readonly countAttempt: boolean };
type WorkAbandon = WorkItemLock & { readonly delayMs: number; readonly countAttempt: boolean };
type PruneRequest = Parameters<Provider['pruneExecutions']>[0][number];
type Renewal = { readonly lock: OrchestrationLock; readonly lockMs: number };
type WorkRenewal = { readonly lock: WorkItemLock & { readonly heartbeat?: string }; readonly lockMs: number };

/** Most messages of a session in one answer. */
const MAX_SESSION_MESSAGES = 100;
/** Most instances that are known to be alive. Reason: they cost memory, and who waits does so at once. */
const MAX_ALIVE = 10_000;
/** Looks at a queue that others are just taking from, and the pause between them, in milliseconds. */
const [MAX_CONTENDED, CONTENDED_MS] = [3, 2];
/** How often to look when nobody tells of changes, in milliseconds; with notices it is `pollMs`. */
const DEAF_POLL_MS = 100;
/** Who waits for an instance looks by itself so many times less often than a fetch: there may be thousands. */
const WATCH_POLL_FACTOR = 5;
/** Batches of commits on their way at a time: while one waits for the disk of the server, the next one runs. */
const ACK_CONCURRENCY = 2;

/** Starts whose first turns go to a fetch that waits. */
type TurnOffer = {
  readonly reservation: Reservation<OrchestrationItem, TurnWish>;
  readonly lockToken: string;
  readonly chosen: ReadonlySet<NewInstance>;
};

/** Work that goes to a fetch that waits: the items, and the index of the ack of each. */
type WorkOffer = {
  readonly reservation: Reservation<WorkItem, WorkWish>;
  readonly lockToken: string;
  readonly items: readonly WorkItem[];
  readonly acks: readonly number[];
  readonly chosen: ReadonlySet<NewWorkItem>;
};

/** Largest number that the columns of executions and events hold. */
const MAX_INTEGER = 2_147_483_647;
const NOTHING_CHANGED: Notice = { turns: false, work: false, instances: [], sessions: [] };

/** A provider on one schema of a PostgreSQL server. Open it with `PostgresProvider.connect`. */
export class PostgresProvider implements Provider {
  readonly name = 'postgres';
  readonly isRemote = true;
  readonly #schema: string;
  readonly #clock: Clock;
  readonly #pool: OpenPool;
  readonly #connection: Connection;
  readonly #notifier: Notifier;
  readonly #codes = new Codes();
  /** Q1. */
  readonly #requests = new Lane(1);
  readonly #acks = new Lane(ACK_CONCURRENCY);
  readonly #renewals = new Lane(1);
  readonly #reads = new Lane(ACK_CONCURRENCY);
  readonly #turnWaits: FetchWaits<OrchestrationItem, TurnWish>;
  readonly #workWaits: FetchWaits<WorkItem, WorkWish>;
  readonly #instanceWaits: ChangeWaits;
  readonly #sessionWaits: ChangeWaits;
  /** Q6. Hashes of instances that were started here and have not ended since, as far as anybody told. */
  readonly #alive = new Set<string>();
  /** Of those that are just being started: who ends before the start is answered is told of before, and taken out. */
  #starting = new Set<string>();
  readonly #filterKeys = new WeakMap<object, string>();
  #filterCount = 0;
  /** When the first timer is due that was set here, on the monotonic clock; other processes find it by their slow poll if this one dies. */
  #dueAtMs = Number.POSITIVE_INFINITY;
  #stopDue: () => void = () => undefined;
  #closing: Promise<void> | null = null;

  private constructor(pool: OpenPool, options: ResolvedPostgresOptions) {
    const { schema, clock, pollMs } = options;
    this.#schema = schema;
    this.#clock = clock;
    this.#pool = pool;
    this.#connection = new Connection(pool, options);
    this.#notifier = new Notifier({
      connect: (timeoutMs) => takeClient(pool, timeoutMs),
      channel: channelOf(schema),
      onNotice: (notice) => this.#wake(notice),
      onGap: () => this.#wakeAll(),
    });
    const poll = (factor: number) => (): number => {
      const ms = this.#notifier.isHearing ? pollMs * factor : Math.min(pollMs, DEAF_POLL_MS);
      return ms * (0.75 + Math.random() / 2);
    };
    const fetching = { pollMs: poll(1), isTold: () => this.#notifier.isHearing };
    this.#turnWaits = new FetchWaits(clock, fetching);
    this.#workWaits = new FetchWaits(clock, fetching);
    this.#instanceWaits = new ChangeWaits(clock, poll(WATCH_POLL_FACTOR));
    this.#sessionWaits = new ChangeWaits(clock, poll(WATCH_POLL_FACTOR));
  }

  /**
   * Connects to a server; makes the schema when it is not there, migrates it when it is older. Any number of processes may do so at once.
   *
   * @param options - where, and tuning
   * @returns the open provider; close it when its runtimes and clients are done
   * @throws {OptionError} for an option outside its range
   * @throws {ProviderError} `DRIVER_MISSING`, `DATABASE_UNREACHABLE`, `DATABASE_DENIED`, `DATABASE_READ_ONLY`, `DATABASE_TOO_OLD`,
   *   `DATABASE_FOREIGN`, `DATABASE_UNREADABLE`, `SCHEMA_TOO_NEW`, within `connectTimeoutMs` unless the schema has to be upgraded
   */
  static async connect(options?: PostgresOptions): Promise<PostgresProvider> {
    const resolved = resolvePostgresOptions(options);
    let endMs = performance.now() + resolved.connectTimeoutMs;
    const pool = await openPool(resolved);
    try {
      const prepare = (upgrades: boolean, timeoutMs: number): Promise<boolean> =>
        pool.prepare((client) => prepareSchema(client, { ...resolved, where: pool.where, lockTimeoutMs: timeoutMs, upgrades }), timeoutMs);
      if (!(await prepare(false, resolved.connectTimeoutMs))) {
        await prepare(true, UPGRADE_TIMEOUT_MS);
        endMs = performance.now() + resolved.connectTimeoutMs;
      }
      const provider = new PostgresProvider(pool, resolved);
      await provider.#notifier.start(endMs - performance.now());
      return provider;
    } catch (error) {
      await pool.end();
      throw toConnectError(error, pool.where, resolved.schema);
    }
  }

  /**
   * Figures for people who tune: each statement that changes something is a commit of its own.
   *
   * @returns how many statements were answered, with how many items of callers, and how often one was run again because others were in its way
   */
  stats(): StoreStats {
    const { statements, repeats } = this.#connection;
    const lanes = [this.#requests, this.#acks, this.#renewals];
    const [items, slowPaths] = [lanes.reduce((sum, lane) => sum + lane.done, 0), lanes.reduce((sum, lane) => sum + lane.ranApart, 0)];
    return { commits: statements, items, statementMs: 0, commitMs: 0, syncs: 0, syncMs: 0, busyRetries: repeats, slowPaths };
  }

  // --- requests ---------------------------------------------------------------------------------------------------------------

  readonly #plainStarts: LaneOperation<NewInstance, StartOutcome> = {
    name: 'startInstances',
    keysOf: ({ instanceId }) => [instanceId],
    run: (starts) => this.#startPlain(starts),
  };

  readonly #replacingStarts: LaneOperation<NewInstance, StartOutcome> = {
    name: 'startInstances',
    keysOf: ({ instanceId }) => [instanceId],
    run: async (starts) => {
      const outcomes = await this.#outcomes('startInstances', 'start_replacing', [starts.map(encodeJson)]);
      this.#changed({ turns: true, isFamily: true });
      return outcomes as readonly StartOutcome[];
    },
  };

  async #startPlain(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]> {
    const starting = new Set(starts.map(({ instanceId }) => hashOf(instanceId)));
    this.#starting = starting;
    const offer = this.#offerTurns(starts);
    const offered = [
      starts.map((start) => offer?.chosen.has(start) === true),
      offer?.lockToken ?? null,
      offer?.reservation.lockMs ?? 0,
      offer?.reservation.wish.affinity?.runtimeId ?? null,
      offer?.reservation.wish.affinity?.keptMs ?? 0,
    ];
    try {
      const [row] = await this.#rows('startInstances', 'start_instances', [...startParameters(starts), 1, ...offered]);
      const outcomes = String(row?.['outcomes']).split(',') as StartOutcome[];
      const started = starts.filter((_, index) => outcomes[index] === 'started');
      const alive = started.map(({ instanceId }) => hashOf(instanceId)).filter((hash) => starting.has(hash));
      if (this.#alive.size < MAX_ALIVE) for (const hash of alive) this.#alive.add(hash);
      const taken = started.filter((start) => offer?.chosen.has(start));
      if (offer !== null && taken.length > 0) {
        const messageIds = String(row?.['message_ids']).split(',');
        const messageIdOf = new Map([...offer.chosen].map((start, index) => [start, Number(messageIds[index])]));
        const nowMs = Number(row?.['now_ms']);
        const items = taken.map((start) => toOffered(start, { lockToken: offer.lockToken, messageId: messageIdOf.get(start) ?? 0, nowMs }));
        offer.reservation.give({ nowMs, items });
      }
      this.#changed({ turns: started.length > taken.length });
      if (taken.length === 0) offer?.reservation.release();
      return outcomes;
    } catch (error) {
      if (offer !== null) {
        offer.reservation.release();
        // Nobody knows whether they were committed: what was locked for the offer goes back, if it was. If not that either, the locks run out.
        const uncharged = { lockToken: offer.lockToken, delayMs: 0, countAttempt: false };
        const locks = [...offer.chosen].map(({ instanceId }) => ({ instanceId, ...uncharged }));
        this.#acks.add(this.#abandons, locks).catch(() => this.#turnWaits.wake());
      }
      throw error;
    }
  }

  /** Q4, for starts. */
  #offerTurns(starts: readonly NewInstance[]): TurnOffer | null {
    // Nothing goes before what is more urgent.
    if (starts.some(({ priority }) => priority > 0)) return null;
    const takes = ({ accepts }: TurnWish, { name, version, startAtMs, delayMs }: NewInstance): boolean =>
      startAtMs === null && delayMs <= 0 && (accepts === undefined || accepts({ name, version, engine: 0 }));
    const reservation = this.#turnWaits.reserve((wish) => starts.some((start) => takes(wish, start)));
    if (reservation === null) return null;
    const chosen = starts.filter((start) => takes(reservation.wish, start)).slice(0, reservation.maxItems);
    return { reservation, lockToken: randomUUID(), chosen: new Set(chosen) };
  }

  async startInstances(starts: readonly NewInstance[]): Promise<readonly StartOutcome[]> {
    // Each kind is a transaction of its own: what one has committed is not for the failure of another to be run again (L3).
    const runs: NewInstance[][] = [];
    for (const start of starts) {
      const run = runs.at(-1);
      if (run?.[0] !== undefined && isPlainStart(run[0]) === isPlainStart(start)) run.push(start);
      else runs.push([start]);
    }
    const answers = runs.map((run) => {
      const kind = run.every(isPlainStart) ? this.#plainStarts : this.#replacingStarts;
      return this.#add('startInstances', this.#requests, kind, run);
    });
    return (await Promise.all(answers)).flat();
  }

  readonly #enqueues: LaneOperation<NewMessage, EnqueueOutcome> = {
    name: 'enqueueMessages',
    run: async (messages) => {
      const outcomes = await this.#outcomes('enqueueMessages', 'enqueue_messages', [
        messages.map(({ instanceId }) => instanceId),
        messages.map(({ payload }) => payload),
        messages.map(({ key }) => key ?? null),
      ]);
      this.#changed({ turns: true });
      return outcomes as readonly EnqueueOutcome[];
    },
  };

  enqueueMessages(messages: readonly NewMessage[]): Promise<readonly EnqueueOutcome[]> {
    return this.#add('enqueueMessages', this.#requests, this.#enqueues, messages);
  }

  readonly #publications: LaneOperation<Publication, number> = {
    name: 'publish',
    run: async (publications) => {
      const counts = await this.#outcomes('publish', 'publish_all', [publications.map(encodeJson)]);
      this.#changed({ turns: true });
      return counts.map(Number);
    },
  };

  publish(publications: readonly Publication[]): Promise<readonly number[]> {
    return this.#add('publish', this.#requests, this.#publications, publications);
  }

  readonly #controls: LaneOperation<ControlRequest, ControlOutcome> = {
    name: 'controlInstances',
    run: async (requests) => {
      const outcomes = await this.#outcomes('controlInstances', 'control_instances', [requests.map(encodeJson)]);
      this.#changed({ turns: true, instances: requests.map(({ instanceId }) => instanceId), isFamily: true });
      return outcomes as readonly ControlOutcome[];
    },
  };

  controlInstances(requests: readonly ControlRequest[]): Promise<readonly ControlOutcome[]> {
    return this.#add('controlInstances', this.#requests, this.#controls, requests);
  }

  // --- turns ------------------------------------------------------------------------------------------------------------------

  readonly fetchOrchestrationItems: Provider['fetchOrchestrationItems'] = (params) => {
    const { accepts, maxItems, lockMs, affinity } = params;
    const owner = [affinity?.runtimeId ?? null, affinity?.keptMs ?? 0];
    const called = this.#requests.fresh();
    const look = async (): Promise<Look<OrchestrationItem>> => {
      await called;
      for (;;) {
        const lockToken = randomUUID();
        const asked = [this.#codes.accepted(accepts), this.#codes.known, maxItems, lockMs, lockToken, ...owner];
        const rows = await this.#rows('fetchOrchestrationItems', 'fetch_turns', asked);
        if (rows[0]?.['has_new_codes'] !== true) return toTurns(rows, lockToken);
        await this.#readCodes();
      }
    };
    const key = `${accepts === undefined ? '' : this.#filterKey(accepts)} ${affinity?.runtimeId ?? ''}`;
    return this.#open('fetchOrchestrationItems', () =>
      this.#turnWaits.fetch({ ...params, key, wish: { accepts, affinity }, look: () => this.#contended(look) }),
    );
  };

  readonly #turnAcks: LaneOperation<OrchestrationAck, OrchestrationAckOutcome> = {
    name: 'ackOrchestrationItems',
    keysOf: changedBy,
    isAlone: ({ closeChildren }) => closeChildren !== null,
    run: async (acks) => {
      const offer = this.#offerWork(acks);
      try {
        const row = await this.#ackTurns(acks, offer);
        const outcomes = String(row['outcomes']).split(',') as OrchestrationAckOutcome[];
        const received = new Set(String(row['received']).split(',').map(Number));
        const taken = offer?.items.filter((_, index) => outcomes[offer.acks[index] ?? -1] === 'committed') ?? [];
        if (taken.length > 0) offer?.reservation.give({ nowMs: Number(row['now_ms']), items: taken });
        this.#afterAcks(acks, outcomes, { received, offered: taken.length, isReady: this.#noteDue(row) });
        if (taken.length === 0) offer?.reservation.release();
        return outcomes;
      } catch (error) {
        if (offer !== null) this.#withdraw(offer);
        throw error;
      }
    },
  };

  /** Q4. */
  #offerWork(acks: readonly OrchestrationAck[]): WorkOffer | null {
    // Nothing goes before what is more urgent.
    if (acks.every(({ workItems }) => workItems.length === 0) || acks.some(hasRouting)) return null;
    const reservation = this.#workWaits.reserve(takesPlain);
    if (reservation === null) return null;
    const offer = { reservation, lockToken: randomUUID(), items: [] as WorkItem[], acks: [] as number[], chosen: new Set<NewWorkItem>() };
    for (const [index, { instanceId, executionId, workItems, cancelledActivities }] of acks.entries()) {
      for (const item of workItems) {
        if (offer.items.length === reservation.maxItems) return offer;
        const { eventId, name, payload, routing } = item;
        if (cancelledActivities.includes(eventId)) continue;
        offer.chosen.add(item);
        offer.acks.push(index);
        offer.items.push({
          instanceId,
          executionId,
          eventId,
          name,
          payload,
          lockToken: offer.lockToken,
          attempt: 1,
          routing,
          heartbeat: null,
        });
      }
    }
    return offer;
  }

  async #ackTurns(acks: readonly OrchestrationAck[], offer: WorkOffer | null): Promise<Row> {
    const offered = [offer?.lockToken ?? null, offer?.reservation.lockMs ?? 0];
    const runtime = this.#workWaits.find((wish) => wish.affinity !== undefined && takesPlain(wish));
    const parameters = [...ackParameters(acks, offer?.chosen ?? new Set()), ...offered, runtime?.affinity?.runtimeId ?? ''];
    const call = async (checksWork: boolean): Promise<Row> =>
      (await this.#rows('ackOrchestrationItems', 'ack_turns', [...parameters, checksWork]))[0] ?? {};
    try {
      return await call(false);
    } catch (error) {
      if (!(error instanceof ProviderError) || codeOf(error.cause) !== WORK_NOT_HELD) throw error;
      return await call(true);
    }
  }

  /** Nobody knows whether the turns were committed: what was locked for the offer goes back, if it was. */
  #withdraw({ reservation, items }: WorkOffer): void {
    reservation.release();
    const uncharged = items.map((item) => ({ ...item, delayMs: 0, countAttempt: false }));
    // If that fails as well, the locks run out.
    this.#acks.add(this.#workAbandons, uncharged).catch(() => this.#workWaits.wake());
  }

  ackOrchestrationItems(acks: readonly OrchestrationAck[]): Promise<readonly OrchestrationAckOutcome[]> {
    return this.#add('ackOrchestrationItems', this.#acks, this.#turnAcks, acks);
  }

  readonly #abandons: LaneOperation<OrchestrationAbandon, 'done' | 'lockLost'> = {
    name: 'abandonOrchestrationItems',
    keysOf: ({ instanceId }) => [instanceId],
    run: async (items) => {
      const outcomes = await this.#outcomes('abandonOrchestrationItems', 'abandon_turns', [
        items.map(({ instanceId }) => instanceId),
        items.map(({ lockToken }) => lockToken),
        items.map(({ delayMs }) => delayMs),
        items.map(({ countAttempt }) => countAttempt),
      ]);
      this.#changed({ turns: true });
      return outcomes as readonly ('done' | 'lockLost')[];
    },
  };

  abandonOrchestrationItems(items: readonly OrchestrationAbandon[]): Promise<readonly ('done' | 'lockLost')[]> {
    return this.#add('abandonOrchestrationItems', this.#acks, this.#abandons, items);
  }

  readonly #turnRenewals: LaneOperation<Renewal, 'done' | 'lockLost'> = {
    name: 'renewOrchestrationLocks',
    run: async (renewals) =>
      await byLength(renewals, async (locks, lockMs) => {
        const keys = [locks.map(({ instanceId }) => instanceId), locks.map(({ lockToken }) => lockToken)];
        const outcomes = await this.#outcomes('renewOrchestrationLocks', 'renew_turns', [...keys, lockMs]);
        // A lock may end earlier than before. Others look for that by themselves: it is rare, and each renewal would wake the fleet.
        this.#wake({ ...NOTHING_CHANGED, turns: true });
        return outcomes as readonly ('done' | 'lockLost')[];
      }),
  };

  renewOrchestrationLocks(items: readonly OrchestrationLock[], lockMs: number): Promise<readonly ('done' | 'lockLost')[]> {
    const renewals = items.map((lock) => ({ lock, lockMs }));
    return this.#add('renewOrchestrationLocks', this.#renewals, this.#turnRenewals, renewals);
  }

  readonly #histories: LaneOperation<HistoryRequest, readonly HistoryPage[]> = {
    name: 'readHistory',
    run: async (requests) => {
      const rows = await this.#rows('readHistory', 'read_history', [
        requests.map(({ instanceId }) => instanceId),
        requests.map(({ executionId }) => Math.min(executionId, MAX_INTEGER)),
        requests.map(({ afterEventId }) => Math.min(afterEventId, MAX_INTEGER)),
        requests.map(({ upToEventId = MAX_INTEGER }) => Math.min(upToEventId, MAX_INTEGER)),
      ]);
      const histories = requests.map((): HistoryPage[] => []);
      for (const row of rows) {
        const page = {
          firstEventId: Number(row['first_event_id']),
          lastEventId: Number(row['last_event_id']),
          events: String(row['events']),
        };
        histories[Number(row['ord']) - 1]?.push(page);
      }
      return histories;
    },
  };

  readHistory(requests: readonly HistoryRequest[]): Promise<readonly (readonly HistoryPage[])[]> {
    return this.#add('readHistory', this.#reads, this.#histories, requests);
  }

  // --- work -------------------------------------------------------------------------------------------------------------------

  readonly fetchWorkItems: Provider['fetchWorkItems'] = (params) => {
    const { maxItems, lockMs, affinity, select = { kind: 'queue', tags: { kind: 'default' }, session: null } } = params;
    const look = async (): Promise<Look<WorkItem>> => {
      const lockToken = randomUUID();
      if (select.kind === 'expired') {
        return toWork(await this.#rows('fetchWorkItems', 'fetch_expired_work', [maxItems, lockMs, lockToken]), lockToken);
      }
      const { tags, session } = select;
      const named = tags.kind === 'only' || tags.kind === 'defaultAnd' ? tags.tags : [];
      const claim = [session?.owner ?? null, session?.leaseMs ?? 0, session?.maxSessions ?? 0];
      const asked = [tags.kind !== 'only', named, tags.kind === 'any', ...claim, maxItems, lockMs, lockToken];
      const kept = [affinity?.runtimeId ?? '', affinity?.keptMs ?? 0];
      return toWork(await this.#rows('fetchWorkItems', 'fetch_work', [...asked, ...kept]), lockToken);
    };
    return this.#open('fetchWorkItems', () =>
      this.#workWaits.fetch({
        ...params,
        key: encodeRecord([select, affinity?.runtimeId ?? '']),
        wish: { select, affinity },
        look: () => this.#contended(look),
      }),
    );
  };

  readonly #workAcks: LaneOperation<WorkItemAck, WorkItemOutcome> = {
    name: 'ackWorkItems',
    keysOf: (item) => [workKey(item)],
    run: async (acks) => {
      const outcomes = await this.#outcomes('ackWorkItems', 'ack_work', [
        ...lockParameters(acks),
        acks.map(({ completionPayload }) => completionPayload),
        acks.map(({ received }) => received?.sessionId ?? null),
        acks.map(({ received }) => received?.uptoSeq ?? null),
      ]);
      this.#changed({ turns: true });
      return outcomes as readonly WorkItemOutcome[];
    },
  };

  ackWorkItems(acks: readonly WorkItemAck[]): Promise<readonly WorkItemOutcome[]> {
    return this.#add('ackWorkItems', this.#acks, this.#workAcks, acks);
  }

  readonly #workAbandons: LaneOperation<WorkAbandon, WorkItemOutcome> = {
    name: 'abandonWorkItems',
    keysOf: (item) => [workKey(item)],
    run: async (items) => {
      const outcomes = await this.#outcomes('abandonWorkItems', 'abandon_work', [
        ...lockParameters(items),
        items.map(({ delayMs }) => delayMs),
        items.map(({ countAttempt }) => countAttempt),
      ]);
      this.#changed({ work: true });
      return outcomes as readonly WorkItemOutcome[];
    },
  };

  abandonWorkItems(items: readonly WorkAbandon[]): Promise<readonly WorkItemOutcome[]> {
    return this.#add('abandonWorkItems', this.#acks, this.#workAbandons, items);
  }

  readonly #workRenewals: LaneOperation<WorkRenewal, WorkItemOutcome> = {
    name: 'renewWorkLocks',
    keysOf: ({ lock }) => [workKey(lock)],
    run: async (renewals) =>
      await byLength(renewals, async (locks, lockMs) => {
        const heartbeats = locks.map(({ heartbeat }) => heartbeat ?? null);
        const outcomes = await this.#outcomes('renewWorkLocks', 'renew_work', [...lockParameters(locks), heartbeats, lockMs]);
        this.#wake({ ...NOTHING_CHANGED, work: true });
        return outcomes as readonly WorkItemOutcome[];
      }),
  };

  renewWorkLocks(items: readonly (WorkItemLock & { readonly heartbeat?: string })[], lockMs: number): Promise<readonly WorkItemOutcome[]> {
    const renewals = items.map((lock) => ({ lock, lockMs }));
    return this.#add('renewWorkLocks', this.#renewals, this.#workRenewals, renewals);
  }

  readonly renewSessions: Provider['renewSessions'] = ({ owner, leaseMs, idleMs, sessionId }) =>
    this.#open('renewSessions', async () => {
      const parameters = [owner, leaseMs, idleMs, sessionId ?? null, SESSION_MESSAGE_TTL_MS];
      const held = await this.#one<number>('renewSessions', 'renew_sessions', parameters);
      if (leaseMs <= 0) this.#changed({ work: true });
      return held;
    });

  readonly receiveSessionMessages: Provider['receiveSessionMessages'] = ({ sessionId, afterSeq, doneSeqs, waitMs, signal }) =>
    this.#open('receiveSessionMessages', () => {
      const attempt = async (): Promise<readonly { readonly seq: number; readonly payload: string }[] | null> => {
        const rows = await this.#connection.query(
          'receiveSessionMessages',
          `SELECT * FROM ${this.#table('receive_session_messages')}($1, $2, $3, $4)`,
          [sessionId, afterSeq, doneSeqs ?? null, MAX_SESSION_MESSAGES],
        );
        return rows.length === 0 ? null : rows.map(({ seq, payload }) => ({ seq: Number(seq), payload: String(payload) }));
      };
      return this.#sessionWaits.wait({ key: sessionId, waitMs, signal, attempt, empty: async () => [] });
    });

  readWorkItems(instanceId: string): Promise<readonly WorkItemRecord[]> {
    return this.#open('readWorkItems', async () => {
      const rows = await this.#connection.query(
        'readWorkItems',
        `SELECT w.execution_id AS "executionId", w.event_id AS "eventId", w.name, w.attempts AS attempt, w.tag, w.session_id AS "sessionId", w.heartbeat,
           ${this.#table('visible_at')}(w.lock_token, w.ready_at, w.priority, ${this.#table('now_ms')}($2)) AS "visibleAtMs", w.limit_key AS "limitKey",
           w.lock_token IS NOT NULL AND w.ready_at > ${this.#table('now_ms')}($2) AS "isRunning"
         FROM ${this.#table('work_items')} w WHERE w.instance_id = $1 ORDER BY w.execution_id, w.event_id`,
        [instanceId, this.#connection.nowParameter],
      );
      return rows as unknown as readonly WorkItemRecord[];
    });
  }

  // --- runtimes and reading ---------------------------------------------------------------------------------------------------

  reportRuntime({
    runtimeId,
    payload,
    ttlMs,
  }: {
    readonly runtimeId: string;
    readonly payload: string;
    readonly ttlMs: number;
  }): Promise<void> {
    return this.#open('reportRuntime', async () => {
      const now = `${this.#table('now_ms')}($1)`;
      const table = this.#table('runtimes');
      await this.#connection.query(
        'reportRuntime',
        `WITH gone AS (DELETE FROM ${table} WHERE expires_at <= ${now} AND runtime_id <> $2)
         INSERT INTO ${table} (runtime_id, payload, seen_at, expires_at) VALUES ($2, $3, ${now}, ${now} + $4::bigint)
         ON CONFLICT (runtime_id) DO UPDATE SET payload = excluded.payload, seen_at = excluded.seen_at, expires_at = excluded.expires_at`,
        [this.#connection.nowParameter, runtimeId, payload, ttlMs],
      );
      // What was kept for it is free.
      if (ttlMs <= 0) this.#changed({ turns: true });
    });
  }

  listRuntimes(): Promise<readonly RuntimeReport[]> {
    return this.#open('listRuntimes', async () => {
      const rows = await this.#connection.query(
        'listRuntimes',
        `SELECT runtime_id AS "runtimeId", payload, seen_at AS "seenAtMs" FROM ${this.#table('runtimes')}
         WHERE expires_at > ${this.#table('now_ms')}($1) ORDER BY runtime_id`,
        [this.#connection.nowParameter],
      );
      return rows as unknown as readonly RuntimeReport[];
    });
  }

  readonly #readings: LaneOperation<string, InstanceRecord | null> = {
    name: 'readInstances',
    run: async (instanceIds) => {
      const rows = await this.#records('readInstances', 'read_instances', 'r.ord', [instanceIds]);
      const records: (InstanceRecord | null)[] = instanceIds.map(() => null);
      for (const row of rows) records[Number(row['ord']) - 1] = toRecord(row);
      return records;
    },
  };

  readInstances(instanceIds: readonly string[]): Promise<readonly (InstanceRecord | null)[]> {
    return this.#add('readInstances', this.#reads, this.#readings, instanceIds);
  }

  readValues(instanceId: string, keys: readonly string[] | null): Promise<readonly StoredValue[]> {
    return this.#open('readValues', async () => {
      const rows = await this.#connection.query(
        'readValues',
        `SELECT key, value, updated_at AS "updatedAtMs" FROM ${this.#table('instance_values')}
         WHERE instance_id = $1 AND ($2::text[] IS NULL OR key = ANY ($2)) ORDER BY key`,
        [instanceId, keys],
      );
      return rows as unknown as readonly StoredValue[];
    });
  }

  readonly waitForInstance: Provider['waitForInstance'] = ({ instanceId, condition, waitMs, signal }) => {
    const read = async (): Promise<InstanceRecord | null> => (await this.#reads.add(this.#readings, [instanceId]))[0] ?? null;
    return this.#open('waitForInstance', async () => {
      const attempt = async (): Promise<{ readonly record: InstanceRecord | null } | null> => {
        // Before the record: that is at least as new then.
        const progress = await this.#readProgress(instanceId, condition);
        const record = await read();
        return record === null || meetsCondition({ ...record, ...progress }, condition) ? { record } : null;
      };
      const isAlive = condition.kind === 'ended' && this.#notifier.isHearing && this.#alive.delete(hashOf(instanceId));
      const empty = async (): Promise<{ readonly record: InstanceRecord | null }> => ({ record: await read() });
      const { record } = await this.#instanceWaits.wait({ key: instanceId, waitMs, signal, attempt, empty, skipsFirst: isAlive });
      return record;
    });
  };

  readQueueDepths(): Promise<QueueDepths> {
    return this.#open('readQueueDepths', async () => {
      const count = (table: string): string => `(SELECT count(*) FROM ${this.#table(table)})`;
      const rows = await this.#connection.query(
        'readQueueDepths',
        `SELECT ${count('messages')} AS messages, ${count('work_items')} AS work`,
        [],
      );
      return { orchestratorMessages: Number(rows[0]?.['messages']), workItems: Number(rows[0]?.['work']) };
    });
  }

  // --- operators --------------------------------------------------------------------------------------------------------------

  async listInstances(query: Readonly<InstanceQuery>): Promise<InstanceList> {
    if (!isPageLimit(query.limit)) throw makeLimitError('listInstances', query.limit);
    return await this.#open('listInstances', async () =>
      toList(await this.#records('listInstances', 'list_instances', 'r.ord, r.next_at, r.next_id', listParameters(query))),
    );
  }

  countWaiting(instanceIds: readonly string[]): Promise<readonly WaitingCounts[]> {
    return this.#open('countWaiting', async () => {
      if (instanceIds.length === 0) return [];
      const rows = await this.#rows('countWaiting', 'count_waiting', [instanceIds]);
      return rows.toSorted((a, b) => Number(a['ord']) - Number(b['ord'])).map(toCounts);
    });
  }

  listExecutions(instanceId: string): Promise<readonly ExecutionRecord[]> {
    return this.#open('listExecutions', async () => (await this.#rows('listExecutions', 'list_executions', [instanceId])).map(toExecution));
  }

  readonly #deletions: LaneOperation<DeleteRequest, DeleteOutcome> = {
    name: 'deleteInstances',
    run: async (requests) => {
      const words = await this.#outcomes('deleteInstances', 'delete_instances', [requests.map(encodeJson)]);
      // Who waits for one of them, or for a place under a limit that one of them held.
      this.#changed({ work: true, isFamily: true });
      return words.map(toDeleteOutcome);
    },
  };

  deleteInstances(requests: readonly DeleteRequest[]): Promise<readonly DeleteOutcome[]> {
    return this.#add('deleteInstances', this.#requests, this.#deletions, requests);
  }

  readonly #prunes: LaneOperation<PruneRequest, number> = {
    name: 'pruneExecutions',
    run: async (requests) => (await this.#outcomes('pruneExecutions', 'prune_executions', [requests.map(encodeJson)])).map(Number),
  };

  pruneExecutions(requests: readonly PruneRequest[]): Promise<readonly number[]> {
    return this.#add('pruneExecutions', this.#requests, this.#prunes, requests);
  }

  async peekQueue(query: Readonly<QueueQuery>): Promise<readonly QueueItem[]> {
    if (!isPageLimit(query.limit)) throw makeLimitError('peekQueue', query.limit);
    return await this.#open('peekQueue', async () => {
      const rows = await this.#rows('peekQueue', query.queue === 'worker' ? 'peek_work' : 'peek_messages', peekParameters(query));
      return rows.map((row) => toQueueItem(query.queue, row));
    });
  }

  readonly #edits: LaneOperation<QueueEdit, 'done' | 'gone'> = {
    name: 'editQueues',
    run: async (edits) => {
      const outcomes = await this.#outcomes('editQueues', 'edit_queues', [edits.map(encodeJson)]);
      const received = edits.flatMap(({ kind, item }) => (kind === 'drop' && item.kind === 'message' ? [item.instanceId] : []));
      this.#changed({ turns: true, work: true, instances: received });
      return outcomes as readonly ('done' | 'gone')[];
    },
  };

  editQueues(edits: readonly QueueEdit[]): Promise<readonly ('done' | 'gone')[]> {
    return this.#add('editQueues', this.#requests, this.#edits, edits);
  }

  exportInstances(instanceIds: readonly string[]): Promise<readonly (InstanceDump | null)[]> {
    return this.#open('exportInstances', async () =>
      toDumps(await this.#records('exportInstances', 'export_instances', DUMP_COLUMNS, [instanceIds]), instanceIds.length),
    );
  }

  readonly #imports: LaneOperation<InstanceDump, 'imported' | 'exists'> = {
    name: 'importInstances',
    // One has as much as a transaction should have.
    isAlone: () => true,
    run: async (dumps) => {
      const outcomes: ('imported' | 'exists')[] = [];
      for (const dump of dumps) outcomes.push(await this.#one('importInstances', 'import_instance', importParameters(dump)));
      this.#changed({ turns: true, work: true });
      return outcomes;
    },
  };

  importInstances(dumps: readonly InstanceDump[]): Promise<readonly ('imported' | 'exists')[]> {
    return this.#add('importInstances', this.#requests, this.#imports, dumps);
  }

  // --- closing ----------------------------------------------------------------------------------------------------------------

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stopDue();
    for (const waits of [this.#turnWaits, this.#workWaits, this.#instanceWaits, this.#sessionWaits]) waits.close();
    await this.#connection.held(async () => {
      for (const lane of [this.#requests, this.#acks, this.#renewals, this.#reads]) await lane.idle();
      await this.#notifier.close();
      await this.#pool.end();
    });
  }

  // --- inside -----------------------------------------------------------------------------------------------------------------

  /** Joins a batch, unless the provider is closed. */
  #add<Item, Answer>(operation: string, lane: Lane, kind: LaneOperation<Item, Answer>, items: readonly Item[]): Promise<readonly Answer[]> {
    return this.#open(operation, () => this.#connection.held(() => lane.add(kind, items)));
  }

  #open<Value>(operation: string, call: () => Promise<Value>): Promise<Value> {
    if (this.#closing === null) return call();
    const message = `${operation} was called after the provider was closed. Close a provider only after its runtimes and clients are done`;
    return Promise.reject(new ProviderError('PROVIDER_CLOSED', { operation, retryable: false, message }));
  }

  #table(name: string): string {
    return `"${this.#schema}".${name}`;
  }

  #call(name: string, parameters: readonly unknown[]): string {
    return `${this.#table(name)}(${['$1', ...parameters.map((_, index) => `$${index + 2}`)].join(', ')})`;
  }

  /** Calls a function that gives rows. */
  #rows(operation: string, name: string, parameters: readonly unknown[]): Promise<readonly Row[]> {
    return this.#connection.query(operation, `SELECT * FROM ${this.#call(name, parameters)}`, [
      this.#connection.nowParameter,
      ...parameters,
    ]);
  }

  /** Calls a function that gives rows with records. */
  #records(operation: string, name: string, columns: string, parameters: readonly unknown[]): Promise<readonly Row[]> {
    const text = `SELECT ${columns}, ${RECORD_COLUMNS} FROM ${this.#call(name, parameters)} r CROSS JOIN LATERAL (SELECT (r.record).*) i`;
    return this.#connection.query(operation, text, [this.#connection.nowParameter, ...parameters]);
  }

  /** Calls a function that gives one word an item. */
  async #outcomes(operation: string, name: string, parameters: readonly unknown[]): Promise<readonly string[]> {
    const text = `SELECT array_to_string(${this.#call(name, parameters)}, ',') AS outcomes`;
    const [row] = await this.#connection.query(operation, text, [this.#connection.nowParameter, ...parameters]);
    return String(row?.['outcomes']).split(',');
  }

  /** Calls a function that gives one value. */
  async #one<Value>(operation: string, name: string, parameters: readonly unknown[]): Promise<Value> {
    const text = `SELECT ${this.#call(name, parameters)} AS value`;
    const [row] = await this.#connection.query(operation, text, [this.#connection.nowParameter, ...parameters]);
    return row?.['value'] as Value;
  }

  /** Looks again while others are just taking what is there: they may leave some of it (T28). */
  #contended<Item>(look: () => Promise<Look<Item>>): Promise<Look<Item>> {
    return this.#connection.held(async () => {
      for (let tries = 1; ; tries += 1) {
        const found = await look();
        const isContended = found.items.length === 0 && found.nextAtMs !== null && found.nextAtMs <= found.nowMs;
        if (!isContended || tries === MAX_CONTENDED) return found;
        await pause(CONTENDED_MS);
      }
    });
  }

  async #readCodes(): Promise<void> {
    const text = `SELECT code_id, name, version, engine FROM ${this.#table('codes')} ORDER BY code_id`;
    for (const { code_id: codeId, name, version, engine } of await this.#connection.query('fetchOrchestrationItems', text, [])) {
      this.#codes.add(Number(codeId), { name: String(name), version: version as string | null, engine: Number(engine) });
    }
  }

  #filterKey(filter: object): string {
    const known = this.#filterKeys.get(filter);
    if (known !== undefined) return known;
    this.#filterCount += 1;
    const key = String(this.#filterCount);
    this.#filterKeys.set(filter, key);
    return key;
  }

  async #readProgress(instanceId: string, condition: WaitCondition): Promise<Pick<InstanceProgress, 'value' | 'isQueued'>> {
    switch (condition.kind) {
      case 'ended':
      case 'executionOver':
      case 'customStatus':
        return {};
      case 'value': {
        const text = `SELECT value FROM ${this.#table('instance_values')} WHERE instance_id = $1 AND key = $2`;
        const rows = await this.#connection.query('waitForInstance', text, [instanceId, condition.key]);
        return { value: (rows[0]?.['value'] as string | undefined) ?? null };
      }
      case 'received': {
        const text = `SELECT FROM ${this.#table('messages')} WHERE instance_id = $1 AND md5(message_key) = md5($2) AND message_key = $2 LIMIT 1`;
        return { isQueued: (await this.#connection.query('waitForInstance', text, [instanceId, condition.key])).length > 0 };
      }
    }
  }

  #afterAcks(
    acks: readonly OrchestrationAck[],
    outcomes: readonly OrchestrationAckOutcome[],
    { received, offered, isReady }: { readonly received: ReadonlySet<number>; readonly offered: number; readonly isReady: boolean },
  ): void {
    let turns = isReady;
    let workItems = -offered;
    let isFamily = false;
    const instances: string[] = [];
    const sessions: string[] = [];
    for (const [index, ack] of acks.entries()) {
      if (outcomes[index] !== 'committed') continue;
      const { effects, status } = ack;
      workItems += ack.workItems.length;
      turns ||= ack.messages.length > 0 || ack.starts.length > 0 || effects !== null || ack.closeChildren !== null;
      isFamily ||=
        ack.closeChildren !== null || (effects?.terminations.length ?? 0) > 0 || ack.starts.some((start) => !isPlainStart(start));
      const isSeen = ack.customStatus !== undefined || ack.next !== null || isEnded(status) || status === 'Quarantined';
      if (isSeen || received.has(index + 1) || (effects?.values.length ?? 0) > 0) instances.push(ack.instanceId);
      for (const { sessionId } of effects?.sessionMessages ?? []) sessions.push(sessionId);
    }
    this.#changed({ turns, work: workItems > 0, instances, sessions, isFamily });
  }

  /** What the turns left, and what came while they were locked. Returns true when there is something to fetch now; what is due later is noted. */
  #noteDue(row: Row): boolean {
    const { next_at: nextAtMs, now_ms: nowMs } = row;
    if (typeof nextAtMs !== 'number') return false;
    const delayMs = nextAtMs - Number(nowMs);
    if (delayMs <= 0) return true;
    const dueAtMs = this.#clock.monotonicMs() + delayMs;
    if (dueAtMs >= this.#dueAtMs) return false;
    this.#stopDue();
    this.#dueAtMs = dueAtMs;
    this.#stopDue = this.#clock.setTimer(delayMs, () => {
      this.#dueAtMs = Number.POSITIVE_INFINITY;
      this.#changed({ turns: true });
    });
    return false;
  }

  /**
   * Something was committed: tells who waits, here and elsewhere. `isFamily`: instances may have ended that nobody named here.
   */
  #changed(change: {
    readonly turns?: boolean;
    readonly work?: boolean;
    readonly instances?: readonly string[];
    readonly sessions?: readonly string[];
    readonly isFamily?: boolean;
  }): void {
    const { turns = false, work = false, isFamily = false } = change;
    const instances = isFamily ? [ANY] : (change.instances ?? []).map(hashOf);
    const notice = { ...NOTHING_CHANGED, turns, work, instances, sessions: (change.sessions ?? []).map(hashOf) };
    this.#wake(notice);
    this.#notifier.announce(notice);
  }

  #wake({ turns, work, instances, sessions }: Notice): void {
    for (const hash of instances) {
      if (hash === ANY) {
        this.#alive.clear();
        this.#starting.clear();
        this.#instanceWaits.touchAll();
      } else {
        this.#alive.delete(hash);
        this.#starting.delete(hash);
        this.#instanceWaits.touch(hash);
      }
    }
    for (const hash of sessions) this.#sessionWaits.touch(hash);
    if (turns) this.#turnWaits.wake();
    if (work) this.#workWaits.wake();
  }

  #wakeAll(): void {
    this.#wake({ turns: true, work: true, instances: [ANY], sessions: [] });
    this.#sessionWaits.touchAll();
  }
}

/** Tells whether a fetch takes items without routing. */
function takesPlain({ select }: WorkWish): boolean {
  return select.kind === 'queue' && select.tags.kind !== 'only';
}

/** The instances that a turn may end or replace, and the work that it takes along. */
function changedBy({ instanceId, completed = [], starts, effects }: OrchestrationAck): readonly string[] {
  const replaced = starts.filter((start) => !isPlainStart(start)).map((start) => start.instanceId);
  const terminated = effects?.terminations.map((termination) => termination.instanceId) ?? [];
  return [...new Set([instanceId, ...replaced, ...terminated]), ...completed.map(workKey)];
}

function hasRouting({ workItems }: OrchestrationAck): boolean {
  return workItems.some(({ routing }) => routing !== null);
}

function workKey({ instanceId, executionId, eventId }: WorkItemLock): string {
  return `${instanceId}\0${executionId}\0${eventId}`;
}

/** Runs renewals of one length together: nearly always all of them. */
async function byLength<Lock, Answer>(
  renewals: readonly { readonly lock: Lock; readonly lockMs: number }[],
  run: (locks: readonly Lock[], lockMs: number) => Promise<readonly Answer[]>,
): Promise<readonly Answer[]> {
  const answers = new Map<object, Answer>();
  for (const lockMs of new Set(renewals.map((renewal) => renewal.lockMs))) {
    const group = renewals.filter((renewal) => renewal.lockMs === lockMs);
    const outcomes = await run(
      group.map(({ lock }) => lock),
      lockMs,
    );
    for (const [index, renewal] of group.entries()) answers.set(renewal, outcomes[index] as Answer);
  }
  return renewals.map((renewal) => answers.get(renewal) as Answer);
}
