// Calls of a store as plain data, and how fast-check makes them up. Numbers instead of names where a call means something that was handed out
// before: world.ts looks it up when it makes the call. So any part of a list of steps is a list of steps, and a failing one shrinks.
// Neighbour: regressions.test.ts has lists that failed once.
import fc from 'fast-check';
import type { TagFilter } from '../../../src/provider/provider.ts';
import type { ParentClosePolicy, StartPolicy } from '../../../src/types/history-event.ts';
import type { InstanceStatus } from '../../../src/types/instance.ts';
import type { SharedLimit } from '../../../src/types/replay.ts';

/** Ids in the order of code points, which is not that of UTF-16 units for the last two. */
export const IDS = ['a', 'b', 'c', '\uFF5E', '\u{1F600}'] as const;
/** Keys of values, likewise; the empty one is a key. */
export const KEYS = ['', 'k', '\uFF5E', '\u{1F600}'] as const;
export const NAMES = ['x', 'y'] as const;
const VERSIONS = [null, '1.0.0', '2.0.0'] as const;
export const SESSIONS = ['s1', 's2', 's3'] as const;
export const OWNERS = ['n1', 'n2'] as const;

/** An index into `IDS`. */
type Id = number;

export type StartStep = {
  readonly id: Id;
  readonly name: string;
  readonly version: string | null;
  readonly policy: StartPolicy;
  /** null: no parent. */
  readonly parent: Id | null;
  readonly onParentClose: ParentClosePolicy;
  readonly priority: number;
  readonly delayMs: number;
  /** From now on; null: no time. */
  readonly startInMs: number | null;
  readonly closes: boolean;
  readonly notice: boolean;
};

export type MessageStep = { readonly to: Id; readonly key: string | null };

export type ActivityStep = {
  readonly routed: boolean;
  readonly tag: string | null;
  readonly session: string | null;
  readonly priority: number;
  readonly expiresAfterMs: number | null;
  /** One of `LIMITS`, when it has no session. */
  readonly limit: number | null;
};

export type PublicationStep = { readonly topic: string; readonly key: string | null };

export type EffectsStep = {
  readonly values: readonly { readonly key: string; readonly value: string | null }[];
  readonly subscriptions: readonly { readonly pattern: string; readonly subscribed: boolean }[];
  readonly publications: readonly PublicationStep[];
  readonly sessionMessages: readonly string[];
  readonly terminations: readonly { readonly id: Id; readonly parent: Id }[];
};

/** `pick`: what was handed out, counted from the last one. */
export type AckStep = {
  readonly pick: number;
  /** What is wrong with the ack, if anything. */
  readonly fault: 'none' | 'baseEventId' | 'executionId' | 'lockToken';
  readonly status: InstanceStatus;
  /** New events besides those of the decisions; null: no page, and no decisions. */
  readonly events: number | null;
  /** Bits of the messages that are not consumed; a start message always is. */
  readonly leaves: number;
  readonly customStatus: string | null | undefined;
  readonly version: string | null;
  readonly activities: readonly ActivityStep[];
  /** Due times from now on, in milliseconds. */
  readonly timers: readonly number[];
  readonly messages: readonly MessageStep[];
  readonly starts: readonly (StartStep & { readonly conflict: boolean })[];
  readonly cancelledActivities: readonly number[];
  readonly cancelledTimers: readonly number[];
  readonly next: { readonly name: string; readonly version: string | null } | null;
  readonly effects: EffectsStep | null;
  readonly closes: boolean;
};

/** The turn that follows from ended activities. `pick`: which activity it is for; a wrong token is that of this activity. */
export type AheadStep = AckStep & {
  /** Bits of the other activities of the execution, as far as they were handed out, that have ended with it. */
  readonly others: number;
  /** Only activities that still run are looked at. */
  readonly living: boolean;
  /** Whose messages the first activity has received. */
  readonly received: string | null;
};

type Pick = { readonly pick: number; readonly wrongToken: boolean };
type PickBack = Pick & { readonly delayMs: number; readonly countAttempt: boolean };

export type SelectStep =
  | { readonly kind: 'expired' }
  | {
      readonly kind: 'queue';
      readonly tags: TagFilter;
      readonly session: { readonly owner: string; readonly leaseMs: number; readonly maxSessions: number } | null;
    };

export type FetchTurnsStep = {
  readonly do: 'fetchTurns';
  readonly maxItems: number;
  readonly lockMs: number;
  /** Index into the filters. */ readonly accepts: number;
};
export type FetchWorkStep = { readonly do: 'fetchWork'; readonly maxItems: number; readonly lockMs: number; readonly select: SelectStep };

/** What a wait is for; versions and executions are those of the moment. */
export type WatchStep =
  | { readonly kind: 'ended' | 'executionOver' | 'customStatus' }
  | { readonly kind: 'value'; readonly key: string; readonly unless: string | null }
  | { readonly kind: 'received'; readonly key: string };

/** Steps whose effects come in the order of the calls, also when nobody waits in between. */
export type WriteStep =
  | { readonly do: 'start'; readonly starts: readonly StartStep[] }
  | { readonly do: 'enqueue'; readonly messages: readonly MessageStep[] }
  | FetchTurnsStep
  | { readonly do: 'ackTurns'; readonly acks: readonly AckStep[] }
  | { readonly do: 'ackAhead'; readonly acks: readonly AheadStep[] }
  | { readonly do: 'abandonTurns'; readonly items: readonly PickBack[] }
  | { readonly do: 'renewTurns'; readonly items: readonly Pick[]; readonly lockMs: number }
  | FetchWorkStep
  | { readonly do: 'ackWork'; readonly items: readonly (Pick & { readonly completes: boolean; readonly received: string | null })[] }
  | { readonly do: 'abandonWork'; readonly items: readonly PickBack[] }
  | { readonly do: 'renewWork'; readonly items: readonly (Pick & { readonly beats: boolean })[]; readonly lockMs: number }
  | {
      readonly do: 'renewSessions';
      readonly owner: string;
      readonly leaseMs: number;
      readonly idleMs: number;
      readonly session: string | null;
    }
  | { readonly do: 'publish'; readonly publications: readonly PublicationStep[] }
  | {
      readonly do: 'control';
      readonly requests: readonly { readonly kind: 'suspend' | 'resume' | 'terminate'; readonly id: Id; readonly tells: Id | null }[];
    }
  | { readonly do: 'runtime'; readonly runtime: string; readonly ttlMs: number };

/** One step of a test. */
export type Step = { readonly client?: number } & (
  | WriteStep
  /** Calls that are made one after the other without waiting for their answers. */
  | { readonly do: 'together'; readonly steps: readonly WriteStep[] }
  /** A fetch that waits while something else happens. */
  | { readonly do: 'park'; readonly fetch: FetchTurnsStep | FetchWorkStep; readonly meanwhile: WriteStep }
  /** A wait for an instance while something happens. */
  | { readonly do: 'watch'; readonly id: Id; readonly condition: WatchStep; readonly meanwhile: WriteStep }
  /** `after`: which of the messages seen before was taken last, counted from the end; `done`: which are removed; null: all up to that one. */
  | { readonly do: 'receive'; readonly session: string; readonly after: number; readonly done: readonly number[] | null }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'jump'; readonly ms: number }
  /** The store is closed under its parked calls, and opened again if it can be. */
  | { readonly do: 'crash' }
);

/** Limits of activities, whose intervals are whole milliseconds. Each key has its numbers: where they change, a store may go by those of any item. */
export const LIMITS: readonly SharedLimit[] = [
  { key: 'one', concurrency: 1, rate: null },
  { key: 'rate', concurrency: null, rate: { count: 2, perMs: 1_000 } },
  { key: 'both', concurrency: 2, rate: { count: 3, perMs: 6_000 } },
];

const id = fc.nat(IDS.length - 1);
const few = <Value>(value: fc.Arbitrary<Value>, maxLength = 3): fc.Arbitrary<Value[]> => fc.array(value, { maxLength, size: 'max' });
const some = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value[]> => fc.array(value, { minLength: 1, maxLength: 3 });
const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> => fc.option(value, { nil: null, freq: 1 });
const lockMs = fc.constantFrom(300, 2_000, 2_000, 20_000);
const priority = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 9 }) });
const delayMs = fc.constantFrom(0, 0, 0, 1, 700, 3_000);
const key = fc.constantFrom(null, null, 'k1', 'k2');
const version = fc.constantFrom(...VERSIONS);
const name = fc.constantFrom(...NAMES);
const onParentClose = fc.constantFrom<ParentClosePolicy[]>('cancel', 'abandon', 'terminate');

const start: fc.Arbitrary<StartStep> = fc.record({
  id,
  name,
  version,
  policy: fc.constantFrom<StartPolicy[]>('fail', 'useExisting', 'replaceTerminal', 'terminateExisting'),
  parent: maybe(id),
  onParentClose,
  priority,
  delayMs,
  startInMs: fc.constantFrom(null, null, null, -1_000, 500, 4_000),
  closes: fc.boolean(),
  notice: fc.boolean(),
});
const message: fc.Arbitrary<MessageStep> = fc.record({ to: id, key });
const activity: fc.Arbitrary<ActivityStep> = fc.record({
  routed: fc.boolean(),
  tag: fc.constantFrom(null, null, 'gpu', 'duraloom:x'),
  session: fc.constantFrom(null, ...SESSIONS),
  priority,
  expiresAfterMs: fc.constantFrom(null, null, 1_500),
  limit: fc.constantFrom(null, null, ...LIMITS.keys()),
});
const publication: fc.Arbitrary<PublicationStep> = fc.record({ topic: fc.constantFrom('t/1', 't/2', 't/1/x', 'u'), key });
const effects: fc.Arbitrary<EffectsStep> = fc.record({
  values: few(fc.record({ key: fc.constantFrom(...KEYS), value: fc.constantFrom(null, '1', '"two"') })),
  subscriptions: few(
    fc.record({ pattern: fc.constantFrom('t/1', 't/*', 't/**', '**', '*', 'u'), subscribed: fc.constantFrom(true, true, false) }),
  ),
  publications: few(publication, 2),
  sessionMessages: few(fc.constantFrom(...SESSIONS), 2),
  terminations: few(fc.record({ id, parent: id }), 2),
});
const pick = fc.nat(5);
const ackParts = {
  pick,
  fault: fc.constantFrom('none', 'none', 'none', 'none', 'none', 'none', 'none', 'baseEventId', 'executionId', 'lockToken'),
  status: fc.constantFrom<InstanceStatus[]>(
    ...Array.from({ length: 12 }, () => 'Running' as const),
    'Completed',
    'Failed',
    'Cancelled',
    'Quarantined',
    'Suspended',
  ),
  events: fc.constantFrom(null, 1, 1, 2),
  leaves: fc.constantFrom(0, 0, 0, 1, 2, 7),
  customStatus: fc.constantFrom(undefined, undefined, null, '"s"'),
  version,
  activities: few(activity),
  timers: few(fc.constantFrom(-500, 0, 1, 10, 1_000, 3_000), 2),
  messages: few(message, 2),
  starts: few(
    start.chain((it) => fc.boolean().map((conflict) => ({ ...it, conflict }))),
    1,
  ),
  cancelledActivities: few(fc.nat(9), 2),
  cancelledTimers: few(fc.nat(9), 2),
  next: fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.record({ name, version }) }),
  effects: fc.option(effects, { nil: null }),
  closes: fc.boolean(),
};
const ack: fc.Arbitrary<AckStep> = fc.record(ackParts);
const ahead: fc.Arbitrary<AheadStep> = fc.record({
  ...ackParts,
  others: fc.constantFrom(0, 0, 1, 2, 3, 5, 255),
  living: fc.constantFrom(true, true, true, true, false),
  received: fc.constantFrom(null, null, ...SESSIONS),
});
const token = fc.constantFrom(false, false, false, false, false, true);
const back = fc.record({ pick, wrongToken: token, delayMs, countAttempt: fc.boolean() });
const owner = fc.constantFrom(...OWNERS);
const select: fc.Arbitrary<SelectStep> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'expired' } as const) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('queue' as const),
      tags: fc.constantFrom<TagFilter[]>(
        { kind: 'default' },
        { kind: 'any' },
        { kind: 'only', tags: ['gpu'] },
        { kind: 'only', tags: [] },
        { kind: 'defaultAnd', tags: ['duraloom:x', 'gpu', 'gpu'] },
      ),
      session: fc.option(fc.record({ owner, leaseMs: fc.constantFrom(500, 2_000), maxSessions: fc.constantFrom(0, 1, 2) }), { nil: null }),
    }),
  },
);
const maxItems = fc.constantFrom(1, 2, 5);
const fetchTurns: fc.Arbitrary<FetchTurnsStep> = fc.record({
  do: fc.constant('fetchTurns' as const),
  maxItems,
  lockMs,
  accepts: fc.nat(7),
});
const fetchWork: fc.Arbitrary<FetchWorkStep> = fc.record({ do: fc.constant('fetchWork' as const), maxItems, lockMs, select });

const write: fc.Arbitrary<WriteStep> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('start' as const), starts: some(start) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('enqueue' as const), messages: some(message) }) },
  { weight: 6, arbitrary: fetchTurns },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('ackTurns' as const), acks: some(ack) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ackAhead' as const), acks: fc.array(ahead, { minLength: 1, maxLength: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abandonTurns' as const), items: some(back) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('renewTurns' as const), items: some(fc.record({ pick, wrongToken: token })), lockMs }),
  },
  { weight: 6, arbitrary: fetchWork },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('ackWork' as const),
      items: some(fc.record({ pick, wrongToken: token, completes: fc.boolean(), received: fc.constantFrom(null, null, ...SESSIONS) })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abandonWork' as const), items: some(back) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('renewWork' as const),
      items: some(fc.record({ pick, wrongToken: token, beats: fc.boolean() })),
      lockMs,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('renewSessions' as const),
      owner,
      leaseMs: fc.constantFrom(0, 500, 2_000),
      idleMs: fc.constantFrom(0, 300, 5_000),
      session: fc.constantFrom(null, null, ...SESSIONS),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('publish' as const), publications: some(publication) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('control' as const),
      requests: some(
        fc.record({
          kind: fc.constantFrom<('suspend' | 'resume' | 'terminate')[]>('suspend', 'resume', 'resume', 'terminate'),
          id,
          tells: fc.option(id, { nil: null }),
        }),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('runtime' as const),
      runtime: fc.constantFrom('r1', '\u{1F600}', '\uFF5E'),
      ttlMs: fc.constantFrom(0, 1_000, 5_000),
    }),
  },
);

const watch: fc.Arbitrary<WatchStep> = fc.oneof(
  fc.record({ kind: fc.constantFrom('ended' as const, 'executionOver' as const, 'customStatus' as const) }),
  fc.record({ kind: fc.constant('value' as const), key: fc.constantFrom(...KEYS), unless: fc.constantFrom(null, '1') }),
  fc.record({ kind: fc.constant('received' as const), key: fc.constantFrom('k1', 'k2') }),
);

const client = fc.nat(1);

/** One step. */
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 40, arbitrary: fc.tuple(write, client).map(([it, client]) => ({ ...it, client })) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('together' as const), steps: fc.array(write, { minLength: 2, maxLength: 4 }), client }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('park' as const), fetch: fc.oneof(fetchTurns, fetchWork, fetchWork), meanwhile: write, client }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('watch' as const), id, condition: watch, meanwhile: write, client }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('receive' as const),
      session: fc.constantFrom(...SESSIONS),
      after: fc.nat(3),
      done: fc.option(few(fc.nat(3)), { nil: null }),
      client,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 1, 7, 299, 700, 1_500, 2_000, 25_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('jump' as const), ms: fc.constantFrom(1, 600, 2_000, 60_000, 8 * 24 * 60 * 60 * 1_000) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'crash' as const }) },
);

/** A life that an optimistic turn can follow, which steps that know nothing of each other rarely make: its activities run and nothing waits. */
const lifeAhead: fc.Arbitrary<Step[]> = fc
  .record({
    first: start,
    opening: fc.record(ackParts),
    activities: fc.array(activity, { minLength: 1, maxLength: 4 }),
    turns: fetchTurns,
    work: fetchWork,
    between: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: step }),
    turn: ahead,
    after: ahead,
  })
  .map(({ first, opening, activities, turns, work, between, turn, after }) => {
    const begun = {
      ...opening,
      activities,
      fault: 'none',
      pick: 0,
      status: 'Running',
      events: 1,
      leaves: 0,
      next: null,
      messages: [],
    } as const;
    const session = { owner: OWNERS[0], leaseMs: 2_000, maxSessions: 2 };
    return [
      { do: 'start', starts: [{ ...first, policy: 'terminateExisting', priority: 9, delayMs: 0, startInMs: null }] },
      { ...turns, maxItems: 1, accepts: 0 },
      { do: 'ackTurns', acks: [begun] },
      { ...work, maxItems: 5, select: { kind: 'queue', tags: { kind: 'any' }, session } },
      ...(between === null ? [] : [between]),
      { do: 'ackAhead', acks: [{ ...turn, pick: 0 }] },
      { do: 'ackAhead', acks: [after] },
    ];
  });

/** Sets the clock back. Rare: what follows is checked less strictly. */
const backwards: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('jump' as const),
  ms: fc.constantFrom(-1, -250, -1_000, -5_000, -100_000),
});

const oneStep = step.map((it) => [it]);
const many = (part: fc.Arbitrary<Step[]>): fc.Arbitrary<Step[]> =>
  fc.array(part, { minLength: 1, maxLength: 80, size: 'max' }).map((parts) => parts.flat());

/** Lists of steps; in one of four the clock is set back now and then. */
export const stepLists: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 3, arbitrary: many(fc.oneof({ weight: 40, arbitrary: oneStep }, { weight: 3, arbitrary: lifeAhead })) },
  {
    weight: 1,
    arbitrary: many(
      fc.oneof(
        { weight: 40, arbitrary: oneStep },
        { weight: 3, arbitrary: lifeAhead },
        { weight: 2, arbitrary: backwards.map((it) => [it]) },
      ),
    ),
  },
);
