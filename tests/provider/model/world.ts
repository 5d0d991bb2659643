// Makes the calls of a list of steps on a store and on the model, and compares all answers and, now and then, all that can be read.
// Neighbours: model.ts says what is right, commands.ts what the steps are. It is the one place that knows tokens, numbers of messages and times.
//
// W1. All choices of a call are made before it: from the steps and from what the store has handed out up to then.
// W2. Payloads are never repeated, so that a message or an item is told by its payload.
import { listById } from '../../../src/conformance/case-kit.ts';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  AckEffects,
  Fetched,
  InstanceCode,
  NewInstance,
  NewMessage,
  OrchestrationAck,
  OrchestrationItem,
  Provider,
  SessionMessage,
  WaitCondition,
  WorkItem,
} from '../../../src/provider/provider.ts';
import { SimulatedClock } from '../../../src/provider/simulated-clock.ts';
import { ProviderError } from '../../../src/types/errors.ts';
import type { ParentLink } from '../../../src/types/names.ts';
import type { SharedLimit } from '../../../src/types/replay.ts';
import { IDS, KEYS, LIMITS } from './commands.ts';
import type {
  AckStep,
  AheadStep,
  EffectsStep,
  FetchTurnsStep,
  FetchWorkStep,
  MessageStep,
  PublicationStep,
  StartStep,
  Step,
  WatchStep,
  WriteStep,
} from './commands.ts';
import * as model from './model.ts';

/** A kind of store to test. */
export type StoreKind = {
  readonly name: string;
  /** How many providers share the store. */
  readonly clients: number;
  /** What is in it is still there after it was closed. */
  readonly survives: boolean;
  /** A store that is slow is given one in so many of the runs. @default 1 */
  readonly oneIn?: number;
  /** Calls that are made together take effect in their order only as far as `byLane` says. @default false: all of them */
  readonly hasLanes?: boolean;
  readonly open: (file: string, clock: SimulatedClock) => Promise<Provider>;
};

/** A call that is decided but not yet made, and what to do with its answer: make it on the model and compare. */
type Plan = { readonly call: (provider: Provider) => Promise<unknown>; readonly check: (answer: unknown) => void };

type FetchPlan = Plan & {
  /** True when nothing may be handed out now. */
  readonly isIdle: () => boolean;
  readonly wait: (provider: Provider, signal: AbortSignal) => Promise<unknown>;
};

const START_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;
/** How many steps are made between two looks at everything. */
const STEPS_PER_LOOK = 4;

/** Stable, as the contract wants it. The first ones stand for "any". */
const FILTERS: readonly ((code: InstanceCode) => boolean)[] = [
  () => true,
  () => true,
  () => true,
  () => true,
  ({ name }) => name === 'x',
  ({ version }) => version !== '2.0.0',
  ({ engine }) => engine === 0,
  ({ engine, version }) => engine > 0 || version === null,
];

/**
 * Runs steps on a new store.
 *
 * @param kind - which store
 * @param steps - what to do
 * @throws {assert.AssertionError} when the store does what the model does not, with the number of the step
 */
export async function runSteps(kind: StoreKind, steps: readonly Step[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'duraloom-model-'));
  const world = new World(kind, join(folder, 'store.db'));
  let number = 0;
  try {
    await world.open();
    for (const step of steps) {
      number += 1;
      await world.make(step);
      if (number % STEPS_PER_LOOK === 0 || number === steps.length) await world.look();
    }
  } catch (error) {
    if (error instanceof Error) error.message = `${kind.name}, step ${number} (${JSON.stringify(steps[number - 1])}): ${error.message}`;
    throw error;
  } finally {
    await world.close();
    rmSync(folder, { recursive: true });
  }
}

class World {
  readonly #kind: StoreKind;
  readonly #file: string;
  readonly #clock = new SimulatedClock(START_MS);
  readonly #model = model.emptyModel(START_MS);
  #providers: Provider[] = [];
  /** Everything that was ever handed out, in order. */
  readonly #turns: OrchestrationItem[] = [];
  readonly #work: WorkItem[] = [];
  readonly #tokens = new Set<string>();
  /** Numbers of the messages of sessions that were seen. */
  readonly #seqs = new Map<string, number[]>();
  #lastPayload = 0;

  constructor(kind: StoreKind, file: string) {
    this.#kind = kind;
    this.#file = file;
  }

  async open(): Promise<void> {
    const open = (): Promise<Provider> => this.#kind.open(this.#file, this.#clock);
    while (this.#providers.length < this.#kind.clients) this.#providers.push(await open());
  }

  async close(): Promise<void> {
    for (const provider of this.#providers) await provider.close();
  }

  /** Makes one step. */
  async make(step: Step): Promise<void> {
    const provider = this.#provider(step.client);
    switch (step.do) {
      case 'advance':
        await this.#clock.advance(step.ms);
        model.setTime(this.#model, this.#clock.nowMs());
        return;
      case 'jump':
        this.#clock.jump(step.ms);
        model.setTime(this.#model, this.#clock.nowMs());
        return;
      case 'crash':
        if (this.#kind.survives) await this.#crash();
        return;
      case 'receive':
        await this.#receive(provider, step);
        return;
      case 'together': {
        for (const steps of this.#kind.hasLanes === true ? byLane(step.steps) : [step.steps]) {
          const plans = steps.map((write) => this.#plan(write));
          const answers = await Promise.all(plans.map(({ call }) => call(provider)));
          plans.forEach(({ check }, index) => check(answers[index]));
        }
        return;
      }
      case 'park':
        await this.#park(provider, step);
        return;
      case 'watch':
        await this.#watch(provider, step);
        return;
      case 'abandonTurns':
      case 'abandonWork':
      case 'ackAhead':
      case 'ackTurns':
      case 'ackWork':
      case 'control':
      case 'enqueue':
      case 'fetchTurns':
      case 'fetchWork':
      case 'publish':
      case 'renewSessions':
      case 'renewTurns':
      case 'renewWork':
      case 'runtime':
      case 'start': {
        const { call, check } = this.#plan(step);
        check(await call(provider));
      }
    }
  }

  /** Compares everything that can be read, of all providers. */
  async look(): Promise<void> {
    for (const provider of this.#providers) {
      const ids = [...IDS, 'nobody'];
      assert.deepEqual(
        await provider.readInstances(ids),
        ids.map((id) => model.readInstance(this.#model, id)),
        'readInstances',
      );
      await this.#lookAtLists(provider);
      const requests = ids.flatMap((instanceId) => {
        const last = model.readInstance(this.#model, instanceId)?.executionId ?? 1;
        return [last, 1].map((executionId, index) => ({
          instanceId,
          executionId,
          afterEventId: index * 2,
          ...(index === 1 && { upToEventId: 5 }),
        }));
      });
      assert.deepEqual(
        await provider.readHistory(requests),
        requests.map((request) => model.readHistory(this.#model, request)),
        'readHistory',
      );
      for (const id of ids) {
        for (const keys of [null, [KEYS[3], KEYS[0], KEYS[3], 'none']]) {
          assert.deepEqual(await provider.readValues(id, keys), model.readValues(this.#model, id, keys), `readValues of '${id}'`);
        }
        const records = await provider.readWorkItems(id);
        const timeless = records.map(({ visibleAtMs: _visibleAtMs, ...record }) => record);
        assert.deepEqual(timeless, model.readWorkItems(this.#model, id, records), `readWorkItems of '${id}'`);
      }
      assert.deepEqual(await provider.readQueueDepths(), model.readQueueDepths(this.#model), 'readQueueDepths');
      // What ran out on a clock that was set back since may be there again, or not.
      if (!this.#model.wentBack) assert.deepEqual(await provider.listRuntimes(), model.listRuntimes(this.#model), 'listRuntimes');
    }
  }

  async #lookAtLists(provider: Provider): Promise<void> {
    const all = model.listInstances(this.#model, () => true);
    assert.deepEqual(await listById(provider), all, 'listInstances');
    const [first] = all;
    if (first === undefined) return;
    const { instanceId: after, status } = first;
    const rest = model.listInstances(this.#model, (record) => record.instanceId !== after && record.status === status);
    assert.deepEqual(
      await listById(provider, { after, limit: 2, statuses: [status] }),
      rest.slice(0, 2),
      'listInstances after the first, by status',
    );
    const children = model.listInstances(this.#model, ({ parent }) => parent?.instanceId === after);
    assert.deepEqual(await listById(provider, { limit: 9, parentInstanceId: after }), children, 'children');
    const living = model.listInstances(this.#model, ({ parent, status }) => parent?.instanceId === 'a' && status === 'Running');
    assert.deepEqual(await listById(provider, { limit: 9, parentInstanceId: 'a', statuses: ['Running'] }), living, 'running children');
  }

  // Steps that are more than a call.

  async #crash(): Promise<void> {
    const living = this.#model.instances.find(({ record }) => record.status === 'Running')?.record;
    const wait = { waitMs: HOUR_MS };
    const fetch = { ...wait, maxItems: 1, lockMs: 1_000 };
    const providers = this.#providers;
    const parked = providers.map((provider) =>
      Promise.all([
        provider.fetchOrchestrationItems({ ...fetch, accepts: () => false }),
        provider.fetchWorkItems({ ...fetch, select: { kind: 'queue', tags: { kind: 'only', tags: ['nobody'] }, session: null } }),
        provider.receiveSessionMessages({ ...wait, sessionId: 'nobody', afterSeq: 0 }),
        provider.waitForInstance({
          ...wait,
          instanceId: living?.instanceId ?? 'nobody',
          condition: { kind: 'customStatus', afterVersion: 1_000_000 },
        }),
      ]),
    );
    await this.#clock.advance(0);
    this.#providers = [];
    for (const provider of providers) await provider.close();
    const empty = { nowMs: this.#model.nowMs, items: [] };
    for (const ended of await Promise.all(parked))
      assert.deepEqual(ended, [empty, empty, [], living ?? null], 'parked calls of a closed provider');
    for (const provider of providers) {
      await assert.rejects(
        async () => await provider.enqueueMessages([{ instanceId: 'a', payload: 'late' }]),
        (error) => error instanceof ProviderError && error.code === 'PROVIDER_CLOSED',
      );
    }
    await this.open();
  }

  async #receive(provider: Provider, { session, after, done }: Extract<Step, { readonly do: 'receive' }>): Promise<void> {
    const known = this.#seqs.get(session) ?? [];
    const params = {
      sessionId: session,
      afterSeq: after === 0 ? 0 : (known.at(-after) ?? 0),
      ...(done === null ? {} : { doneSeqs: done.flatMap((place) => known.at(-1 - place) ?? []) }),
    };
    const messages: readonly SessionMessage[] = await provider.receiveSessionMessages({ ...params, waitMs: 0 });
    const seqs = messages.map(({ seq }) => seq);
    assert.deepEqual(messages, model.receive(this.#model, params, seqs), 'messages of a session');
    this.#seqs.set(session, [...known, ...seqs.filter((seq) => !known.includes(seq))]);
  }

  async #park(provider: Provider, { fetch, meanwhile }: Extract<Step, { readonly do: 'park' }>): Promise<void> {
    const fetchPlan = fetch.do === 'fetchTurns' ? this.#fetchTurns(fetch) : this.#fetchWork(fetch);
    const plan = this.#plan(meanwhile);
    // Another fetch changes nothing that a parked one would be woken for. Of several transactions the first one answers it.
    const isSplit = this.#kind.hasLanes === true && countItems(meanwhile) > 1;
    if (!fetchPlan.isIdle() || isSplit || meanwhile.do === 'fetchTurns' || meanwhile.do === 'fetchWork') {
      fetchPlan.check(await fetchPlan.call(provider));
      plan.check(await plan.call(provider));
      return;
    }
    const controller = new AbortController();
    const parked = fetchPlan.wait(provider, controller.signal);
    const answer = await plan.call(provider);
    await this.#clock.advance(0);
    controller.abort();
    const fetched = await parked;
    plan.check(answer);
    fetchPlan.check(fetched);
  }

  async #watch(provider: Provider, { id, condition: wish, meanwhile }: Extract<Step, { readonly do: 'watch' }>): Promise<void> {
    const instanceId = idOf(id);
    const condition = this.#condition(instanceId, wish);
    const plan = this.#plan(meanwhile);
    const controller = new AbortController();
    const wait = { isOver: false };
    const waiting = provider.waitForInstance({ instanceId, condition, waitMs: HOUR_MS, signal: controller.signal }).finally(() => {
      wait.isOver = true;
    });
    await this.#clock.advance(0);
    assert.equal(wait.isOver, model.isOver(this.#model, instanceId, condition), 'a wait is over at once');
    const early = wait.isOver ? await waiting : null;
    if (wait.isOver) assert.deepEqual(early, model.readInstance(this.#model, instanceId), 'waitForInstance');
    plan.check(await plan.call(provider));
    if (wait.isOver) return;
    await this.#clock.advance(0);
    assert.equal(wait.isOver, model.isOver(this.#model, instanceId, condition), 'a wait is over');
    controller.abort();
    assert.deepEqual(await waiting, model.readInstance(this.#model, instanceId), 'waitForInstance');
  }

  #condition(instanceId: string, wish: WatchStep): WaitCondition {
    const record = model.readInstance(this.#model, instanceId);
    switch (wish.kind) {
      case 'ended':
        return { kind: 'ended' };
      case 'value':
      case 'received':
        return wish;
      case 'executionOver':
        return { kind: 'executionOver', executionId: record?.executionId ?? 1 };
      case 'customStatus':
        return { kind: 'customStatus', afterVersion: record?.customStatusVersion ?? 0 };
    }
  }

  // Calls.

  #plan(step: WriteStep): Plan {
    const state = this.#model;
    switch (step.do) {
      case 'start': {
        const starts = step.starts.map((start) => this.#start(start));
        return plan(
          step.do,
          (provider) => provider.startInstances(starts),
          () => starts.map((start) => model.startInstance(state, start)),
        );
      }
      case 'enqueue': {
        const messages = step.messages.map((message) => this.#message(message));
        return plan(
          step.do,
          (provider) => provider.enqueueMessages(messages),
          () => messages.map((message) => model.enqueue(state, message)),
        );
      }
      case 'publish': {
        const publications = step.publications.map((publication) => this.#publication(publication));
        return plan(
          step.do,
          (provider) => provider.publish(publications),
          () => publications.map((publication) => model.publish(state, publication)),
        );
      }
      case 'fetchTurns':
        return this.#fetchTurns(step);
      case 'ackTurns':
        return this.#ackTurns(step.acks);
      case 'ackAhead':
        return this.#ackAhead(step.acks);
      case 'abandonTurns': {
        const items = pickSome(this.#turns, step.items);
        return plan(
          step.do,
          (provider) => provider.abandonOrchestrationItems(items),
          (told) => items.map((item, index) => model.abandonTurn(state, item, told[index])),
        );
      }
      case 'renewTurns': {
        const items = pickSome(this.#turns, step.items);
        const { lockMs } = step;
        return plan(
          step.do,
          (provider) => provider.renewOrchestrationLocks(items, lockMs),
          (told) => items.map((item, index) => model.renewTurn(state, item, lockMs, told[index])),
        );
      }
      case 'fetchWork':
        return this.#fetchWork(step);
      case 'ackWork': {
        const acks = pickSome(this.#work, step.items).map(({ completes, received, ...item }) => ({
          ...item,
          completionPayload: completes ? this.#payload('done') : null,
          ...(received === null ? {} : { received: { sessionId: received, uptoSeq: this.#seqs.get(received)?.at(-1) ?? 0 } }),
        }));
        return plan(
          step.do,
          (provider) => provider.ackWorkItems(acks),
          (told) => acks.map((ack, index) => model.ackWork(state, ack, told[index])),
        );
      }
      case 'abandonWork': {
        const items = pickSome(this.#work, step.items);
        return plan(
          step.do,
          (provider) => provider.abandonWorkItems(items),
          (told) => items.map((item, index) => model.abandonWork(state, item, told[index])),
        );
      }
      case 'renewWork': {
        const { lockMs } = step;
        const items = pickSome(this.#work, step.items).map(({ instanceId, executionId, eventId, lockToken, beats }) => {
          const lock = { instanceId, executionId, eventId, lockToken };
          return beats ? { ...lock, heartbeat: this.#payload('beat') } : lock;
        });
        return plan(
          step.do,
          (provider) => provider.renewWorkLocks(items, lockMs),
          (told) => items.map((item, index) => model.renewWork(state, item, lockMs, told[index])),
        );
      }
      case 'renewSessions': {
        const { owner, leaseMs, idleMs, session } = step;
        const claim = { owner, leaseMs, idleMs, ...(session === null || leaseMs > 0 ? {} : { sessionId: session }) };
        // On a clock that was set back a store may take the time of the last use for now or not (M3), and with it goes the end of the lease.
        return plan(
          step.do,
          async (provider) => (state.wentBack ? 0 : await provider.renewSessions(claim)),
          () => (state.wentBack ? 0 : model.renewSessions(state, claim)),
        );
      }
      case 'control': {
        const requests = step.requests.map(({ kind, id, tells }) => {
          const instanceId = idOf(id);
          if (kind !== 'terminate') return { kind, instanceId };
          const parentMessage = tells === null ? null : { instanceId: idOf(tells), payload: this.#payload('ended') };
          return { kind, instanceId, output: this.#payload('out'), parentMessage, closeChildren: this.#closing() };
        });
        return plan(
          step.do,
          (provider) => provider.controlInstances(requests),
          () => requests.map((request) => model.control(state, request)),
        );
      }
      case 'runtime': {
        const report = { runtimeId: step.runtime, payload: this.#payload('report'), ttlMs: step.ttlMs };
        return plan(
          step.do,
          (provider) => provider.reportRuntime(report),
          () => model.reportRuntime(state, report),
        );
      }
    }
  }

  #fetchTurns({ maxItems, lockMs, accepts: index }: FetchTurnsStep): FetchPlan {
    const accepts = FILTERS[index % FILTERS.length] ?? ((): boolean => true);
    const params = { maxItems, lockMs, ...(index === 0 ? {} : { accepts }) };
    const check = (answer: unknown): void => {
      const { nowMs, items } = answer as Fetched<OrchestrationItem>;
      assert.equal(nowMs, this.#model.nowMs);
      const choice = { ids: items.map(({ instanceId }) => instanceId), lockToken: this.#tokenOf(items) };
      const expected = model.fetchTurns(this.#model, { maxItems, lockMs, accepts }, choice);
      const seen = items.map((item) => ({ ...item, messages: item.messages.map(({ payload, attempt }) => ({ payload, attempt })) }));
      assert.deepEqual(this.#model.wentBack ? seen.map(withoutOrder) : seen, this.#model.wentBack ? expected.map(withoutOrder) : expected);
      for (const { messages } of items)
        assert.equal(new Set(messages.map(({ messageId }) => messageId)).size, messages.length, 'numbers of messages');
      this.#turns.push(...items);
    };
    return {
      check,
      isIdle: () => model.readyTurns(this.#model, accepts).length === 0,
      call: (provider) => provider.fetchOrchestrationItems({ ...params, waitMs: 0 }),
      wait: (provider, signal) => provider.fetchOrchestrationItems({ ...params, waitMs: HOUR_MS, signal }),
    };
  }

  #fetchWork({ maxItems, lockMs, select }: FetchWorkStep): FetchPlan {
    const params = { maxItems, lockMs, select };
    const check = (answer: unknown): void => {
      const { nowMs, items } = answer as Fetched<WorkItem>;
      assert.equal(nowMs, this.#model.nowMs);
      assert.deepEqual(items, model.fetchWork(this.#model, params, { keys: items, lockToken: this.#tokenOf(items) }));
      this.#work.push(...items);
    };
    return {
      check,
      isIdle: () => model.readyWork(this.#model, select).length === 0,
      call: (provider) => provider.fetchWorkItems({ ...params, waitMs: 0 }),
      wait: (provider, signal) => provider.fetchWorkItems({ ...params, waitMs: HOUR_MS, signal }),
    };
  }

  #ackTurns(steps: readonly AckStep[]): Plan {
    const acks = steps.flatMap((step) => {
      const item = pickOne(this.#turns, step.pick);
      return item === undefined ? [] : [this.#ack(step, item)];
    });
    return plan(
      'ackTurns',
      (provider) => provider.ackOrchestrationItems(acks.map(({ ack }) => ack)),
      (told) => acks.map(({ ack, consumed }, index) => model.ackTurn(this.#model, ack, consumed, told[index])),
    );
  }

  #ackAhead(steps: readonly AheadStep[]): Plan {
    const acks = steps.flatMap((step) => this.#ahead(step) ?? []);
    return plan(
      'ackAhead',
      (provider) => provider.ackOrchestrationItems(acks),
      (told) => acks.map((ack, index) => model.ackTurn(this.#model, ack, [], told[index])),
    );
  }

  // Arguments.

  /** The turn that follows from activities of one execution, from where its instance stands now; null: nothing was handed out. */
  #ahead(step: AheadStep): OrchestrationAck | null {
    const isRunning = ({ instanceId, executionId, eventId }: WorkItem): boolean =>
      model
        .readWorkItems(this.#model, instanceId)
        .some((work) => work.executionId === executionId && work.eventId === eventId && work.isRunning);
    // Of each activity the last hand-out: the others have lost their locks.
    const last = new Map(this.#work.map((item) => [`${item.executionId} ${item.eventId} ${item.instanceId}`, item]));
    const known = step.living ? [...last.values()].filter(isRunning) : [...last.values()];
    const first = pickOne(known, step.pick);
    if (first === undefined) return null;
    const { instanceId, executionId } = first;
    const others = known.filter((item) => item !== first && item.instanceId === instanceId && item.executionId === executionId);
    const completed = [first, ...others.filter((_, index) => (step.others & (1 << (index % 8))) !== 0)].map((item) => ({
      instanceId,
      executionId,
      eventId: item.eventId,
      lockToken: item === first && step.fault === 'lockToken' ? 'wrong' : item.lockToken,
      completionPayload: this.#payload('done'),
    }));
    const [leader, ...rest] = completed.toSorted((a, b) => a.eventId - b.eventId);
    assert.ok(leader);
    const { received } = step;
    const taken = received === null ? {} : { received: { sessionId: received, uptoSeq: this.#seqs.get(received)?.at(-1) ?? 0 } };
    const lastEventId = model.readInstance(this.#model, instanceId)?.lastEventId ?? 0;
    const standing = { name: 'x', version: null, status: 'Running', parent: null, createdAtMs: 0 } as const;
    const { ack } = this.#ack(step, { instanceId, executionId, lastEventId, lockToken: '', messages: [], ...standing });
    return { ...ack, lockToken: null, completed: [{ ...leader, ...taken }, ...rest] };
  }

  #ack(step: AckStep, item: OrchestrationItem): { readonly ack: OrchestrationAck; readonly consumed: readonly string[] } {
    const hasPage = step.events !== null;
    const next = hasPage ? step.next : null;
    const status = next === null ? step.status : 'Running';
    let eventId = item.lastEventId;
    const newEvent = (): number => (eventId += 1);
    const workItems = (hasPage ? step.activities : []).map(({ routed, tag, session, priority, expiresAfterMs, limit }) => ({
      eventId: newEvent(),
      name: 'charge',
      payload: this.#payload('activity'),
      routing: routed
        ? { tag, sessionId: session, priority, timeoutMs: null, expiresAfterMs, limit: limitOf(limit, session), extras: null }
        : null,
    }));
    const timers = (hasPage ? step.timers : []).map((inMs) => ({
      eventId: newEvent(),
      visibleAtMs: this.#model.nowMs + inMs,
      payload: this.#payload('timer'),
    }));
    const lastEventId = eventId + (step.events ?? 0);
    const eventOf = (number: number): number => 1 + (number % Math.max(1, lastEventId));
    const consumed = item.messages.filter(({ payload }, index) => payload.startsWith('start') || (step.leaves & (1 << index)) === 0);
    const ack: OrchestrationAck = {
      instanceId: item.instanceId,
      lockToken: step.fault === 'lockToken' ? 'wrong' : item.lockToken,
      executionId: item.executionId + (step.fault === 'executionId' ? 1 : 0),
      baseEventId: item.lastEventId + (step.fault === 'baseEventId' ? 1 : 0),
      version: step.version,
      page: hasPage ? { lastEventId, events: this.#payload('events') } : null,
      consumedMessageIds: consumed.map(({ messageId }) => messageId),
      status,
      output: status === 'Running' || status === 'Suspended' ? null : this.#payload('output'),
      customStatus: step.customStatus,
      workItems,
      timers,
      messages: step.messages.map((message) => this.#message(message)),
      starts: step.starts.map((start) => ({ ...this.#start(start), conflictPayload: start.conflict ? this.#payload('taken') : null })),
      cancelledActivities: step.cancelledActivities.map(eventOf),
      cancelledTimers: step.cancelledTimers.map(eventOf),
      next: next === null ? null : { ...next, payload: this.#payload('start') },
      effects: step.effects === null ? null : this.#effects(step.effects),
      closeChildren: step.closes ? this.#closing() : null,
    };
    return { ack, consumed: consumed.map(({ payload }) => payload) };
  }

  #start({ id, parent, startInMs, closes, notice, ...rest }: StartStep): NewInstance {
    const { name, version, policy, onParentClose, priority, delayMs } = rest;
    const instanceId = idOf(id);
    return {
      instanceId,
      name,
      version,
      policy,
      onParentClose,
      priority,
      delayMs,
      payload: this.#payload('start'),
      // Nobody is its own parent.
      parent: parent === null || idOf(parent) === instanceId ? null : linkOf(parent),
      startAtMs: startInMs === null ? null : this.#model.nowMs + startInMs,
      closeChildren: closes ? this.#closing() : null,
      parentNotice: notice ? this.#payload('notice') : null,
      attributes: null,
    };
  }

  #message({ to, key }: MessageStep): NewMessage {
    return { instanceId: idOf(to), payload: this.#payload('message'), ...(key === null ? {} : { key }) };
  }

  #publication({ topic, key }: PublicationStep): { readonly topic: string; readonly payload: string; readonly key?: string } {
    return { topic, payload: this.#payload('published'), ...(key === null ? {} : { key }) };
  }

  #effects({ values, subscriptions, publications, sessionMessages, terminations }: EffectsStep): AckEffects {
    return {
      attributes: null,
      values,
      subscriptions,
      publications: publications.map((publication) => this.#publication(publication)),
      sessionMessages: sessionMessages.map((sessionId) => ({ sessionId, payload: this.#payload('note') })),
      terminations: terminations.map(({ id, parent }) => ({
        instanceId: idOf(id),
        parent: linkOf(parent),
        output: this.#payload('output'),
        cancelPayload: this.#payload('cancel'),
      })),
    };
  }

  #closing(): { readonly cancelPayload: string; readonly output: string } {
    return { cancelPayload: this.#payload('cancel'), output: this.#payload('output') };
  }

  #payload(what: string): string {
    this.#lastPayload += 1;
    return `${what} ${this.#lastPayload}`;
  }

  #provider(client = 0): Provider {
    const provider = this.#providers[client % this.#providers.length];
    assert.ok(provider);
    return provider;
  }

  /** The token of a fetch: the same for all items, and a new one. */
  #tokenOf(items: readonly { readonly lockToken: string }[]): string {
    const [first] = items;
    if (first === undefined) return '';
    assert.ok(!this.#tokens.has(first.lockToken), 'a lock token was used twice');
    this.#tokens.add(first.lockToken);
    return first.lockToken;
  }
}

function plan(name: string, call: Plan['call'], expected: (told: readonly unknown[]) => unknown): Plan {
  return { call, check: (answer) => assert.deepEqual(answer, expected(Array.isArray(answer) ? answer : []), name) };
}

/** Lanes of the PostgreSQL provider; other calls go their own way. */
const LANES: Partial<Record<WriteStep['do'], string>> = {
  start: 'requests',
  enqueue: 'requests',
  publish: 'requests',
  control: 'requests',
  ackTurns: 'acks',
  ackAhead: 'acks',
  abandonTurns: 'acks',
  ackWork: 'acks',
  abandonWork: 'acks',
};

/** Steps that take effect in their order when they are made together; a fetch of turns finds what was asked for before it. */
function byLane(steps: readonly WriteStep[]): readonly (readonly WriteStep[])[] {
  const groups: { readonly steps: WriteStep[]; lane: string | null }[] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    const lane = LANES[step.do] ?? null;
    if (last !== undefined && last.lane !== null && (lane === last.lane || (step.do === 'fetchTurns' && last.lane === 'requests'))) {
      last.steps.push(step);
      last.lane = lane;
    } else groups.push({ steps: [step], lane });
  }
  return groups.map((group) => group.steps);
}

function countItems(step: WriteStep): number {
  return Math.max(1, ...Object.values(step).map((part: unknown) => (Array.isArray(part) ? part.length : 1)));
}

/** Activities of a session have no limit. */
function limitOf(limit: number | null, session: string | null): SharedLimit | null {
  return limit === null || session !== null ? null : (LIMITS[limit] ?? null);
}

function idOf(id: number): string {
  return IDS[id % IDS.length] ?? IDS[0];
}

function linkOf(id: number): ParentLink {
  return { instanceId: idOf(id), executionId: 1, eventId: 2 };
}

function pickOne<Item>(items: readonly Item[], pick: number): Item | undefined {
  return items[items.length - 1 - (pick % Math.max(1, items.length))];
}

function pickSome<Item extends { readonly lockToken: string }, How extends { readonly pick: number; readonly wrongToken: boolean }>(
  items: readonly Item[],
  picks: readonly How[],
): (Item & How)[] {
  return picks.flatMap((how) => {
    const item = pickOne(items, how.pick);
    return item === undefined ? [] : [{ ...item, ...how, ...(how.wrongToken ? { lockToken: 'wrong' } : {}) }];
  });
}

/** Of messages and timers the order among each other is open when the clock was set back; that of each kind is not. */
function withoutOrder(turn: model.ModelTurn): unknown {
  const [timers, others] = [true, false].map((wanted) => turn.messages.filter(({ payload }) => payload.startsWith('timer') === wanted));
  return { ...turn, messages: [timers, others] };
}
