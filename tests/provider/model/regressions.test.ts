// Lists of steps on which a store and the model did not agree once, by what they showed. Neighbours: model.test.ts finds them, commands.ts says
// what the steps are.
import { afterAll, describe, test } from 'vitest';
import type { AckStep, StartStep, Step } from './commands.ts';
import { closeStores, STORES } from './stores.ts';
import { runSteps } from './world.ts';

afterAll(closeStores);

const start = (id: number, changes: Partial<StartStep> = {}): StartStep => ({
  id,
  name: 'x',
  version: null,
  policy: 'fail',
  parent: null,
  onParentClose: 'cancel',
  priority: 0,
  delayMs: 0,
  startInMs: null,
  closes: false,
  notice: false,
  ...changes,
});

const ack = (changes: Partial<AckStep> = {}): AckStep => ({
  pick: 0,
  fault: 'none',
  status: 'Running',
  events: null,
  leaves: 0,
  customStatus: undefined,
  version: null,
  activities: [],
  timers: [],
  messages: [],
  starts: [],
  cancelledActivities: [],
  cancelledTimers: [],
  next: null,
  effects: null,
  closes: false,
  ...changes,
});

const fetchTurns = { do: 'fetchTurns', maxItems: 1, lockMs: 300, accepts: 0 } as const;
const fetchWork = {
  do: 'fetchWork',
  maxItems: 1,
  lockMs: 300,
  select: { kind: 'queue', tags: { kind: 'default' }, session: null },
} as const;
const plain = { routed: false, tag: null, session: null, priority: 0, expiresAfterMs: null, limit: null };
const enqueue = (to: number): Extract<Step, { readonly do: 'enqueue' }> => ({ do: 'enqueue', messages: [{ to, key: null }] });
const subscribing = {
  values: [],
  subscriptions: [{ pattern: 'u', subscribed: true }],
  publications: [{ topic: 'u', key: null }],
  sessionMessages: [],
  terminations: [],
};

/** The contract leaves open what becomes of a time that was over when the clock was set back before it: the model must, too. */
const LISTS: Readonly<Record<string, readonly Step[]>> = {
  'a start that was due when the clock was set back may wait again, also with a new message': [
    { do: 'start', starts: [start(0, { startInMs: 500 })] },
    { do: 'advance', ms: 1_500 },
    { do: 'jump', ms: -100_000 },
    { do: 'together', steps: [enqueue(0), fetchTurns] },
  ],
  'a start that was due and had a message when the clock was set back may wait again': [
    { do: 'start', starts: [start(4, { priority: 1, delayMs: 1 }), start(0)] },
    { do: 'advance', ms: 1 },
    enqueue(4),
    { do: 'jump', ms: -1 },
    { do: 'control', requests: [{ kind: 'terminate', id: 0, tells: 4 }] },
    fetchTurns,
  ],
  'a lock that had expired when the clock was set back may be lost for ever': [
    { do: 'park', fetch: fetchTurns, meanwhile: { do: 'start', starts: [start(0, { priority: 2 })] } },
    { do: 'advance', ms: 2_000 },
    enqueue(0),
    { do: 'jump', ms: -100_000 },
    {
      do: 'together',
      steps: [
        { do: 'ackTurns', acks: [ack()] },
        { do: 'ackTurns', acks: [ack({ next: { name: 'x', version: null } })] },
      ],
    },
  ],
  'an instance whose lock had expired when the clock was set back may be handed out': [
    { do: 'start', starts: [start(0)] },
    fetchTurns,
    { do: 'ackTurns', acks: [ack({ effects: subscribing })] },
    fetchTurns,
    { do: 'advance', ms: 1_500 },
    { do: 'publish', publications: [{ topic: 'u', key: null }] },
    { do: 'jump', ms: -5_000 },
    fetchTurns,
    { do: 'advance', ms: 1 },
  ],
  'work whose lock had expired when the clock was set back may be handed out': [
    { do: 'start', starts: [start(0)] },
    fetchTurns,
    { do: 'ackTurns', acks: [ack({ events: 1, activities: [plain, plain] })] },
    { ...fetchWork, maxItems: 2 },
    { do: 'advance', ms: 2_000 },
    fetchWork,
    { do: 'jump', ms: -100_000 },
    fetchWork,
  ],
};

/** Found by the seed 1802742104: a fetch that found nothing made room for an optimistic turn, and was not written down. */
const IN_VAIN: readonly Step[] = [
  { do: 'start', starts: [start(0, { priority: 9 })] },
  fetchTurns,
  { do: 'ackTurns', acks: [ack({ events: 1, activities: [plain], timers: [-500] })] },
  { ...fetchWork, lockMs: 20_000 },
  { do: 'jump', ms: -100_000 },
  fetchTurns,
  { do: 'ackAhead', acks: [{ ...ack({ events: 1 }), others: 0, living: true, received: null }] },
  { do: 'crash' },
  { do: 'start', starts: [start(0)] },
];

/** Found by the same seed with two clients: the number of a lease that one had ended came back, and the other deleted it. */
const NUMBERS: readonly Step[] = [
  { do: 'start', starts: [start(0)], client: 0 },
  { ...fetchTurns, client: 0 },
  { do: 'park', fetch: fetchTurns, meanwhile: { do: 'ackTurns', acks: [ack({ starts: [{ ...start(1), conflict: false }] })] }, client: 0 },
  { do: 'advance', ms: 25_000 },
  { ...fetchTurns, client: 1 },
  { do: 'advance', ms: 2_000 },
  { ...fetchTurns, client: 0 },
];

/** Found by the seed 103: a message moved the place of an instance back to the end of its delay, which was long over. */
const DELAYED: readonly Step[] = [
  { do: 'start', starts: [start(2, { priority: 1, startInMs: 4_000 }), start(0, { priority: 1 })] },
  { do: 'jump', ms: 60_000 },
  {
    do: 'enqueue',
    messages: [
      { to: 2, key: null },
      { to: 0, key: null },
    ],
  },
  fetchTurns,
  { do: 'advance', ms: 1 },
  { do: 'ackTurns', acks: [ack({ leaves: 7, messages: [{ to: 2, key: null }] })] },
  fetchTurns,
];

describe.each(STORES)('$name and the model agree', (store) => {
  test.each(Object.entries(LISTS))('%s', async (_, steps) => {
    await runSteps(store, steps);
  });

  test('a later message does not move an instance back whose delay is over', async () => {
    await runSteps(store, DELAYED);
  });

  test('what a store has said of an optimistic turn outlives it, also when the clock was set back', async () => {
    await runSteps(store, IN_VAIN);
  });

  test('no client removes the lease of another', async () => {
    await runSteps(store, NUMBERS);
  });
});
