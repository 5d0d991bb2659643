// What the provider contract says, in the plainest possible form: arrays, linear scans, no indexes, no waiting. Each operation of
// src/provider/provider.ts is a function of the state and its arguments. Neighbours: world.ts compares stores with it, commands.ts makes calls up.
//
// M1. Written from the contract, not from a store: what can be told from the state is told anew each time, nothing is kept ready.
// M2. The model follows a store in what is its own choice: lock tokens, numbers of messages, the order of what is equally long ready. So the
//     two fetches are given the choice, and refuse one that the contract does not allow.
// M3. A clock that was set back makes times of the future out of times of the past. What then must be handed out, and in which order, the
//     contract leaves open: the model only insists on what must not.
import assert from 'node:assert/strict';
import { IN_PROGRESS_HEAD_START_MS, PRIORITY_HEAD_START_MS, SESSION_MESSAGE_TTL_MS } from '../../../src/provider/provider.ts';
import type {
  AckEffects,
  CloseChildren,
  ControlOutcome,
  ControlRequest,
  EnqueueOutcome,
  HistoryPage,
  HistoryRequest,
  InstanceCode,
  NewInstance,
  NewTimer,
  OrchestrationAck,
  OrchestrationAckOutcome,
  OrchestrationItem,
  OrchestrationLock,
  Publication,
  QueueDepths,
  RuntimeReport,
  StartOutcome,
  StoredValue,
  TagFilter,
  WaitCondition,
  WorkFetchParams,
  WorkItem,
  WorkItemAck,
  WorkItemLock,
  WorkItemOutcome,
  WorkItemRecord,
} from '../../../src/provider/provider.ts';
import { ENGINE_BEHAVIOUR } from '../../../src/types/history-event.ts';
import { isEnded, type InstanceRecord, type InstanceStatus } from '../../../src/types/instance.ts';
import { isSameLink } from '../../../src/types/names.ts';
import type { SharedLimit } from '../../../src/types/replay.ts';
import { matchesTopic } from '../../../src/types/topics.ts';

type Lock = {
  readonly token: string;
  readonly untilMs: number;
  /** That time has come once. On a clock that was set back since, it may hold again, or be lost for ever (M3). */
  hasExpired: boolean;
};

type Message = {
  readonly kind: 'start' | 'message' | 'timer';
  readonly payload: string;
  readonly key: string | null;
  /** How old it is: when it came, when it is due. */
  readonly atMs: number;
  readonly timerEventId: number | null;
  attempt: number;
};

type Instance = {
  record: InstanceRecord;
  readonly parentNotice: string | null;
  /** A turn was committed. */
  hasRun: boolean;
  pages: (HistoryPage & { readonly executionId: number })[];
  values: StoredValue[];
  patterns: string[];
  /** In the order in which they were added. */
  messages: Message[];
  /** Nothing is handed out before. */
  holdUntilMs: number;
  /** That time has come once. On a clock that was set back since, the instance may still be held (M3). */
  holdIsOver: boolean;
  lock: Lock | null;
  handedOut: Message[];
  /** Its place in the ready order, head starts included; meaningless when there is nothing to hand out. */
  readySinceMs: number;
};

type Work = Pick<WorkItem, 'instanceId' | 'executionId' | 'eventId' | 'name' | 'payload' | 'routing'> & {
  attempt: number;
  heartbeat: string | null;
  visibleAtMs: number;
  /** When it expires unless somebody takes it; null: never, or somebody did. */
  expiresAtMs: number | null;
  lock: Lock | null;
  takenBy: string | null;
  readySinceMs: number;
};

type Session = { readonly sessionId: string; owner: string; leaseUntilMs: number; usedAtMs: number };

type SessionNote = { readonly sessionId: string; readonly payload: string; readonly sentAtMs: number; seq: number | null };

/** All that a store has to know. */
export type Model = {
  nowMs: number;
  /** The clock was set back once (M3). */
  wentBack: boolean;
  instances: Instance[];
  work: Work[];
  sessions: Session[];
  /** By the key of the limit: when all that has begun would be paid for, epoch milliseconds. */
  paidAtMs: Map<string, number>;
  sessionNotes: SessionNote[];
  runtimes: (RuntimeReport & { readonly aliveUntilMs: number })[];
};

/** A fetched instance; messages have no number here, they are told apart by their payloads. */
export type ModelTurn = Omit<OrchestrationItem, 'messages'> & {
  readonly messages: readonly { readonly payload: string; readonly attempt: number }[];
};

export function emptyModel(nowMs: number): Model {
  return { nowMs, wentBack: false, instances: [], work: [], sessions: [], paidAtMs: new Map(), sessionNotes: [], runtimes: [] };
}

/** Sets the time, forward or back. A delay that was over once stays over. */
export function setTime(model: Model, nowMs: number): void {
  model.wentBack ||= nowMs < model.nowMs;
  model.nowMs = nowMs;
  for (const instance of model.instances) {
    instance.holdIsOver ||= instance.holdUntilMs <= nowMs;
    if (instance.lock !== null) instance.lock.hasExpired ||= instance.lock.untilMs <= nowMs;
  }
  for (const work of model.work) {
    if (work.visibleAtMs <= nowMs) work.visibleAtMs = 0;
    if (work.lock !== null) work.lock.hasExpired ||= work.lock.untilMs <= nowMs;
  }
}

/** The order of ids and keys: by code points, which is that of UTF-8. */
export function byCodePoints(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

// Starting and sending.

export function startInstance(model: Model, start: NewInstance): StartOutcome {
  const old = find(model, start.instanceId);
  const isReplaced =
    start.policy === 'terminateExisting' || (start.policy === 'replaceTerminal' && old !== undefined && isEnded(old.record.status));
  if (old !== undefined && !isReplaced) return 'exists';
  if (old !== undefined) {
    clear(model, old);
    model.instances = model.instances.filter((other) => other !== old);
    if (start.closeChildren !== null) closeChildren(model, start.instanceId, start.closeChildren);
  }
  const startAtMs = Math.max(start.startAtMs ?? model.nowMs, model.nowMs + start.delayMs);
  const { instanceId, name, version, parent, onParentClose, priority } = start;
  const zero = {
    executionId: old === undefined ? 1 : old.record.executionId + 1,
    lastEventId: 0,
    output: null,
    customStatus: null,
    customStatusVersion: 0,
    attributes: start.attributes?.text ?? null,
    endedAtMs: null,
  };
  const times = { createdAtMs: model.nowMs, updatedAtMs: model.nowMs };
  const instance: Instance = {
    record: { instanceId, name, version, status: 'Pending', ...zero, parent, onParentClose, priority, ...times },
    parentNotice: start.parentNotice,
    hasRun: false,
    pages: [],
    values: [],
    patterns: [],
    messages: [newMessage('start', start.payload, model.nowMs)],
    holdUntilMs: startAtMs > model.nowMs ? startAtMs : 0,
    holdIsOver: startAtMs <= model.nowMs,
    lock: null,
    handedOut: [],
    readySinceMs: 0,
  };
  model.instances.push(instance);
  giveBack(model, instance);
  if (old === undefined) return 'started';
  if (!isEnded(old.record.status) && old.record.parent !== null && old.parentNotice !== null) {
    enqueue(model, { instanceId: old.record.parent.instanceId, payload: old.parentNotice });
  }
  return 'replaced';
}

export function enqueue(
  model: Model,
  { instanceId, payload, key = null }: { readonly instanceId: string; readonly payload: string; readonly key?: string | null },
): EnqueueOutcome {
  const instance = find(model, instanceId);
  if (instance === undefined) return 'notFound';
  if (isEnded(instance.record.status)) return 'ended';
  if (key !== null && instance.messages.some((other) => other.key === key)) return 'duplicate';
  const wasReady = isTurnReady(model, instance);
  // First in, first out, also when the clock was set back.
  const before = instance.messages.filter(({ kind }) => kind === 'message').map(({ atMs }) => atMs);
  instance.messages.push({ ...newMessage('message', payload, Math.max(model.nowMs, ...before)), key });
  if (!isTurnReady(model, instance)) {
    if (!isLocked(model, instance)) instance.readySinceMs = Math.max(instance.holdUntilMs, model.nowMs);
    return 'enqueued';
  }
  // It counts from now on, with the head start of what it is a message to; who was ready for longer stays so.
  const sinceMs =
    model.nowMs -
    instance.record.priority * PRIORITY_HEAD_START_MS -
    (instance.record.status === 'Running' ? IN_PROGRESS_HEAD_START_MS : 0);
  const readyAtMs = instance.holdUntilMs > model.nowMs ? instance.holdUntilMs : sinceMs;
  instance.readySinceMs = wasReady ? Math.min(instance.readySinceMs, readyAtMs) : readyAtMs;
  return 'enqueued';
}

export function publish(model: Model, { topic, payload, key }: Publication): number {
  const subscribers = model.instances.filter(({ patterns }) => patterns.some((pattern) => matchesTopic(pattern, topic)));
  return subscribers
    .map(({ record: { instanceId } }) => enqueue(model, { instanceId, payload, key: key ?? null }))
    .filter((outcome) => outcome === 'enqueued').length;
}

// Turns.

export function fetchTurns(
  model: Model,
  params: { readonly maxItems: number; readonly lockMs: number; readonly accepts: (code: InstanceCode) => boolean },
  choice: { readonly ids: readonly string[]; readonly lockToken: string },
): readonly ModelTurn[] {
  const { maxItems, lockMs, accepts } = params;
  assert.ok(choice.ids.length <= maxItems, `${choice.ids.length} instances were handed out where ${maxItems} were asked for`);
  const turns = choice.ids.map((instanceId): ModelTurn => {
    const ready = readyTurns(model, accepts);
    const instance = ready.find(({ record }) => record.instanceId === instanceId);
    assert.ok(instance, `'${instanceId}' was handed out, and is not ready`);
    const longest = ready.toSorted((a, b) => a.readySinceMs - b.readySinceMs)[0];
    assert.ok(
      model.wentBack || longest === undefined || longest.readySinceMs >= instance.readySinceMs,
      `'${instanceId}' was handed out before '${longest?.record.instanceId}', which is ready for longer`,
    );
    const { record } = instance;
    instance.lock = newLock(model, choice.lockToken, lockMs);
    instance.readySinceMs = instance.lock.untilMs;
    instance.holdIsOver = true;
    instance.handedOut = inOrder(visible(model, instance));
    for (const message of instance.handedOut) message.attempt += 1;
    const messages = instance.handedOut.map(({ payload, attempt }) => ({ payload, attempt }));
    const { name, version, status, executionId, lastEventId, parent, createdAtMs } = record;
    return { instanceId, lockToken: choice.lockToken, name, version, status, executionId, lastEventId, messages, parent, createdAtMs };
  });
  const left = readyTurns(model, accepts).find(
    (instance) => !model.wentBack || (Math.max(instance.readySinceMs, instance.holdUntilMs) <= model.nowMs && !isLocked(model, instance)),
  );
  assert.ok(turns.length === maxItems || left === undefined, `'${left?.record.instanceId}' is ready, and was not handed out`);
  return turns;
}

/** Instances that may be handed out. */
export function readyTurns(model: Model, accepts: (code: InstanceCode) => boolean): readonly Instance[] {
  return model.instances.filter((instance) => {
    const { name, version, lastEventId } = instance.record;
    return isTurnReady(model, instance) && accepts({ name, version, engine: lastEventId === 0 ? 0 : ENGINE_BEHAVIOUR });
  });
}

/** `consumed`: payloads of `consumedMessageIds`; `told`: what the store says, for what is open (M3). */
export function ackTurn(model: Model, ack: OrchestrationAck, consumed: readonly string[], told: unknown): OrchestrationAckOutcome {
  const instance = find(model, ack.instanceId);
  if (instance === undefined) return 'instanceGone';
  const { lockToken, completed = [] } = ack;
  if (lockToken !== null && !holdsLock(model, instance, { ...ack, lockToken }, told)) return 'lockLost';
  const { record } = instance;
  if (record.executionId !== ack.executionId || record.lastEventId !== ack.baseEventId) return 'conflict';
  if (
    lockToken === null &&
    !(
      isIdle(model, instance, told) &&
      completed.every((lock) => withWork(model, lock, told === 'committed' ? 'done' : 'lockLost', () => undefined) === 'done')
    )
  )
    return 'conflict';
  // What they have to say is in the turn.
  for (const one of completed) ackWork(model, { ...one, completionPayload: null }, 'done');
  if (ack.page !== null) instance.pages.push({ executionId: ack.executionId, firstEventId: ack.baseEventId + 1, ...ack.page });
  instance.hasRun ||= ack.page !== null || ack.next !== null;
  instance.record = {
    ...record,
    version: ack.version,
    lastEventId: ack.page?.lastEventId ?? record.lastEventId,
    status: ack.status,
    endedAtMs: isEnded(ack.status) ? model.nowMs : null,
    output: ack.output,
    updatedAtMs: model.nowMs,
    ...(ack.customStatus === undefined ? {} : { customStatus: ack.customStatus, customStatusVersion: record.customStatusVersion + 1 }),
    ...(ack.next === null ? {} : { executionId: record.executionId + 1, lastEventId: 0, name: ack.next.name, version: ack.next.version }),
  };
  for (const message of instance.handedOut) message.attempt -= 1;
  instance.messages = instance.messages.filter(({ payload }) => !consumed.includes(payload));
  for (const { eventId, name, payload, routing } of ack.workItems) {
    const expiresAfterMs = routing?.expiresAfterMs ?? null;
    const expiresAtMs = expiresAfterMs === null ? null : model.nowMs + expiresAfterMs;
    const what = { instanceId: ack.instanceId, executionId: ack.executionId, eventId, name, payload, routing };
    const work: Work = { ...what, attempt: 0, heartbeat: null, visibleAtMs: 0, expiresAtMs, lock: null, takenBy: null, readySinceMs: 0 };
    model.work.push(work);
    giveBackWork(model, work, 0);
  }
  const isCancelled = (work: Work): boolean =>
    work.instanceId === ack.instanceId && work.executionId === ack.executionId && ack.cancelledActivities.includes(work.eventId);
  model.work = model.work.filter((work) => !isCancelled(work));
  for (const timer of ack.timers) instance.messages.push(newTimer(timer));
  instance.messages = instance.messages.filter(
    ({ timerEventId }) => timerEventId === null || (ack.next === null && !ack.cancelledTimers.includes(timerEventId)),
  );
  if (ack.next !== null) instance.messages.push(newMessage('start', ack.next.payload, model.nowMs));
  hold(model, instance, 0);
  giveBack(model, instance);
  for (const start of ack.starts) {
    const isTaken = start.instanceId === ack.instanceId || startInstance(model, start) === 'exists';
    if (isTaken && start.conflictPayload !== null) enqueue(model, { instanceId: ack.instanceId, payload: start.conflictPayload });
  }
  for (const message of ack.messages) enqueue(model, message);
  if (ack.effects !== null) applyEffects(model, instance, ack.effects);
  if (ack.closeChildren !== null) closeChildren(model, ack.instanceId, ack.closeChildren);
  if (isEnded(instance.record.status)) clear(model, instance);
  return 'committed';
}

function applyEffects(model: Model, instance: Instance, effects: AckEffects): void {
  for (const { key, value } of effects.values) {
    instance.values = instance.values.filter((other) => other.key !== key);
    if (value !== null) instance.values.push({ key, value, updatedAtMs: model.nowMs });
  }
  for (const { pattern, subscribed } of effects.subscriptions) {
    instance.patterns = instance.patterns.filter((other) => other !== pattern);
    if (subscribed) instance.patterns.push(pattern);
  }
  for (const publication of effects.publications) publish(model, publication);
  for (const note of effects.sessionMessages) model.sessionNotes.push({ ...note, sentAtMs: model.nowMs, seq: null });
  for (const { instanceId, parent, output, cancelPayload } of effects.terminations) {
    const child = find(model, instanceId);
    if (child === undefined || isEnded(child.record.status) || !isSameLink(parent, child.record.parent ?? undefined)) continue;
    terminate(model, child, { output, cancelPayload });
  }
}

export function abandonTurn(model: Model, item: OrchestrationLock & Abandon, told: unknown): 'done' | 'lockLost' {
  const instance = find(model, item.instanceId);
  if (instance === undefined || !holdsLock(model, instance, item, told)) return 'lockLost';
  if (!item.countAttempt) for (const message of instance.handedOut) message.attempt -= 1;
  hold(model, instance, item.delayMs > 0 ? model.nowMs + item.delayMs : 0);
  giveBack(model, instance);
  return 'done';
}

export function renewTurn(model: Model, item: OrchestrationLock, lockMs: number, told: unknown): 'done' | 'lockLost' {
  const instance = find(model, item.instanceId);
  if (instance === undefined || !holdsLock(model, instance, item, told)) return 'lockLost';
  instance.lock = newLock(model, item.lockToken, lockMs);
  instance.readySinceMs = instance.lock.untilMs;
  return 'done';
}

// Operators and parents.

export function control(model: Model, request: ControlRequest): ControlOutcome {
  const instance = find(model, request.instanceId);
  if (instance === undefined) return 'notFound';
  if (isEnded(instance.record.status)) return 'ended';
  if (request.kind === 'terminate') {
    terminate(model, instance, { ...request.closeChildren, output: request.output }, request.closeChildren);
    if (request.parentMessage !== null) enqueue(model, request.parentMessage);
    return 'done';
  }
  const isStopped = !takesTurns(instance);
  if (isStopped === (request.kind === 'suspend')) return 'unchanged';
  const resumed: InstanceStatus = instance.hasRun ? 'Running' : 'Pending';
  if (isStopped) for (const message of instance.messages) message.attempt = 0;
  const change = isStopped ? { status: resumed, output: null } : { status: 'Suspended' as const };
  instance.record = { ...instance.record, ...change, updatedAtMs: model.nowMs };
  giveBack(model, instance);
  return 'done';
}

function terminate(
  model: Model,
  instance: Instance,
  { output, cancelPayload }: CloseChildren,
  closing: CloseChildren = { output, cancelPayload },
): void {
  instance.record = { ...instance.record, status: 'Terminated', output, updatedAtMs: model.nowMs, endedAtMs: model.nowMs };
  clear(model, instance);
  closeChildren(model, instance.record.instanceId, closing);
}

function closeChildren(model: Model, parentId: string, closing: CloseChildren): void {
  const children = model.instances.filter(({ record }) => record.parent?.instanceId === parentId);
  for (const child of children.toSorted((a, b) => byCodePoints(a.record.instanceId, b.record.instanceId))) {
    const { instanceId, status, onParentClose } = child.record;
    if (isEnded(status)) continue;
    if (onParentClose === 'cancel') enqueue(model, { instanceId, payload: closing.cancelPayload });
    if (onParentClose !== 'terminate') continue;
    terminate(model, child, closing);
    if (child.parentNotice !== null) enqueue(model, { instanceId: parentId, payload: child.parentNotice });
  }
}

// Work.

/** What a fetch of work takes. */
export type Select = NonNullable<WorkFetchParams['select']>;

type WorkKey = Pick<WorkItem, 'instanceId' | 'executionId' | 'eventId'>;

type Abandon = { readonly delayMs: number; readonly countAttempt: boolean };

export function fetchWork(
  model: Model,
  params: { readonly maxItems: number; readonly lockMs: number; readonly select: Select },
  choice: { readonly keys: readonly WorkKey[]; readonly lockToken: string },
): readonly WorkItem[] {
  const { maxItems, lockMs, select } = params;
  assert.ok(choice.keys.length <= maxItems, `${choice.keys.length} work items were handed out where ${maxItems} were asked for`);
  const items = choice.keys.map((key): WorkItem => {
    const ready = readyWork(model, select);
    const work = ready.find((other) => isSameKey(other, key));
    assert.ok(work, `work item ${textOf(key)} was handed out, and is not ready for this fetch`);
    const longest = ready.toSorted((a, b) => workSince(a, select) - workSince(b, select))[0];
    assert.ok(
      model.wentBack || longest === undefined || workSince(longest, select) >= workSince(work, select),
      `work item ${textOf(key)} was handed out before ${longest === undefined ? '' : textOf(longest)}, which is ready for longer`,
    );
    work.attempt += 1;
    work.lock = newLock(model, choice.lockToken, lockMs);
    work.readySinceMs = work.lock.untilMs;
    if (select.kind === 'queue') {
      work.expiresAtMs = null;
      claim(model, work, select.session);
      begin(model, work);
    }
    const { instanceId, executionId, eventId, name, payload, routing, heartbeat, attempt } = work;
    return { instanceId, executionId, eventId, name, payload, lockToken: choice.lockToken, attempt, routing, heartbeat };
  });
  const left = readyWork(model, select).find(
    (work) =>
      !model.wentBack ||
      (limitOf(work) === null && workSince(work, select) <= model.nowMs && work.expiresAtMs === null && !isLocked(model, work)),
  );
  assert.ok(
    items.length === maxItems || left === undefined,
    `work item ${left === undefined ? '' : textOf(left)} is ready, and was not handed out`,
  );
  return items;
}

/** Work items that may be handed out. */
export function readyWork(model: Model, select: Select): readonly Work[] {
  return model.work.filter((work) => {
    // A store may shorten a delay by as much as the clock was set back.
    if ((isLocked(model, work) && work.lock?.hasExpired !== true) || (work.visibleAtMs > model.nowMs && !model.wentBack)) return false;
    const isExpired = work.expiresAtMs !== null && work.expiresAtMs <= model.nowMs;
    // What has expired on a clock that was set back since may count as expired, or not (M3).
    if (select.kind === 'expired') return isExpired || (model.wentBack && work.expiresAtMs !== null);
    if (isExpired || !takesTag(select.tags, work.routing?.tag ?? null)) return false;
    const sessionId = work.routing?.sessionId ?? null;
    if (sessionId === null) return mayBegin(model, work);
    if (select.session === null) return false;
    const { owner, maxSessions } = select.session;
    const held = model.sessions.filter(({ leaseUntilMs }) => leaseUntilMs > model.nowMs);
    const holder = held.find((session) => session.sessionId === sessionId)?.owner;
    return holder === undefined ? held.filter((session) => session.owner === owner).length < maxSessions : holder === owner;
  });
}

/** Under its limit, if it has one. */
function mayBegin(model: Model, work: Work): boolean {
  const limit = limitOf(work);
  // How a store gets over a clock that was set back is its own affair (M3).
  if (limit === null || model.wentBack) return true;
  const { key, concurrency, rate } = limit;
  const running = model.work.filter((other) => limitOf(other)?.key === key && other.expiresAtMs === null && isLocked(model, other));
  if (running.length >= (concurrency ?? Infinity)) return false;
  const owedMs = Math.max(0, (model.paidAtMs.get(key) ?? 0) - model.nowMs);
  return rate === null || owedMs <= (rate.perMs * (rate.count - 1)) / rate.count;
}

function begin(model: Model, work: Work): void {
  const limit = limitOf(work);
  if (limit === null || limit.rate === null) return;
  const paidAtMs = Math.max(model.nowMs, model.paidAtMs.get(limit.key) ?? 0);
  model.paidAtMs.set(limit.key, paidAtMs + limit.rate.perMs / limit.rate.count);
}

function limitOf({ routing }: Work): SharedLimit | null {
  return routing === null || routing.sessionId !== null ? null : routing.limit;
}

function claim(model: Model, work: Work, session: Extract<Select, { readonly kind: 'queue' }>['session']): void {
  const sessionId = work.routing?.sessionId ?? null;
  work.takenBy = null;
  if (sessionId === null || session === null) return;
  work.takenBy = session.owner;
  model.sessions = model.sessions.filter((other) => other.sessionId !== sessionId);
  model.sessions.push({ sessionId, owner: session.owner, leaseUntilMs: model.nowMs + session.leaseMs, usedAtMs: model.nowMs });
}

export function ackWork(model: Model, ack: WorkItemAck, told: unknown): WorkItemOutcome {
  return withWork(model, ack, told, (work) => {
    markUsed(model, work);
    model.work = model.work.filter((other) => other !== work);
    if (ack.received !== undefined) removeNotes(model, ack.received.sessionId, ack.received.uptoSeq);
    if (ack.completionPayload !== null) enqueue(model, { instanceId: ack.instanceId, payload: ack.completionPayload });
  });
}

export function abandonWork(model: Model, item: WorkItemLock & Abandon, told: unknown): WorkItemOutcome {
  return withWork(model, item, told, (work) => {
    if (!item.countAttempt) work.attempt -= 1;
    giveBackWork(model, work, item.delayMs);
  });
}

export function renewWork(
  model: Model,
  item: WorkItemLock & { readonly heartbeat?: string },
  lockMs: number,
  told: unknown,
): WorkItemOutcome {
  return withWork(model, item, told, (work) => {
    work.lock = newLock(model, item.lockToken, lockMs);
    work.readySinceMs = work.lock.untilMs;
    work.heartbeat = item.heartbeat ?? work.heartbeat;
    markUsed(model, work);
  });
}

/** `told`: what the store says, for what is open (M3). */
function withWork(model: Model, lock: WorkItemLock, told: unknown, change: (work: Work) => void): WorkItemOutcome {
  const work = model.work.find((other) => isSameKey(other, lock));
  if (work === undefined) return 'gone';
  if (!isLocked(model, work) || work.lock?.token !== lock.lockToken) return 'lockLost';
  if (work.lock.hasExpired && told === 'lockLost') return 'lockLost';
  change(work);
  return 'done';
}

// Sessions and runtimes.

export function renewSessions(
  model: Model,
  claim: { readonly owner: string; readonly leaseMs: number; readonly idleMs: number; readonly sessionId?: string },
): number {
  const { owner, leaseMs, idleMs } = claim;
  const held = (): readonly Session[] => model.sessions.filter((session) => session.owner === owner && session.leaseUntilMs > model.nowMs);
  for (const session of held()) {
    const { sessionId } = session;
    if (leaseMs === 0) {
      if (claim.sessionId === undefined || claim.sessionId === sessionId) session.leaseUntilMs = model.nowMs;
      continue;
    }
    const isBusy = model.work.some((work) => work.routing?.sessionId === sessionId && work.takenBy === owner && isLocked(model, work));
    if (isBusy || session.usedAtMs + idleMs > model.nowMs) session.leaseUntilMs = model.nowMs + leaseMs;
  }
  model.sessions = model.sessions.filter(
    ({ sessionId, leaseUntilMs }) => leaseUntilMs > model.nowMs || model.work.some((work) => work.routing?.sessionId === sessionId),
  );
  model.sessionNotes = model.sessionNotes.filter(({ sentAtMs }) => sentAtMs >= model.nowMs - SESSION_MESSAGE_TTL_MS);
  return held().length;
}

/** `seqs`: the numbers that the store gave, in order. */
export function receive(
  model: Model,
  { sessionId, afterSeq, doneSeqs }: { readonly sessionId: string; readonly afterSeq: number; readonly doneSeqs?: readonly number[] },
  seqs: readonly number[],
): readonly { readonly seq: number; readonly payload: string }[] {
  if (doneSeqs === undefined) removeNotes(model, sessionId, afterSeq);
  else {
    const isDone = (note: SessionNote): boolean => note.sessionId === sessionId && note.seq !== null && doneSeqs.includes(note.seq);
    model.sessionNotes = model.sessionNotes.filter((note) => !isDone(note));
  }
  // What nobody has seen yet has a number behind all that somebody has.
  const notes = model.sessionNotes.filter((note) => note.sessionId === sessionId && (note.seq ?? Infinity) > afterSeq).slice(0, 100);
  return notes.map((note, index) => {
    note.seq ??= seqs[index] ?? 0;
    assert.ok(note.seq > Math.max(afterSeq, notes[index - 1]?.seq ?? 0), `session message ${note.seq} is not after the one before`);
    return { seq: note.seq, payload: note.payload };
  });
}

export function reportRuntime(
  model: Model,
  { runtimeId, payload, ttlMs }: { readonly runtimeId: string; readonly payload: string; readonly ttlMs: number },
): void {
  model.runtimes = model.runtimes.filter((other) => other.runtimeId !== runtimeId && (!model.wentBack || other.aliveUntilMs > model.nowMs));
  if (ttlMs > 0) model.runtimes.push({ runtimeId, payload, seenAtMs: model.nowMs, aliveUntilMs: model.nowMs + ttlMs });
}

// Reading.

export function listRuntimes(model: Model): readonly RuntimeReport[] {
  return model.runtimes
    .filter(({ aliveUntilMs }) => aliveUntilMs > model.nowMs)
    .map(({ runtimeId, payload, seenAtMs }) => ({ runtimeId, payload, seenAtMs }))
    .toSorted((a, b) => byCodePoints(a.runtimeId, b.runtimeId));
}

export function readInstance(model: Model, instanceId: string): InstanceRecord | null {
  return find(model, instanceId)?.record ?? null;
}

/** True when a wait for an instance is over; an unknown one is not waited for. */
export function isOver(model: Model, instanceId: string, condition: WaitCondition): boolean {
  const instance = find(model, instanceId);
  if (instance === undefined) return true;
  const { status, executionId, customStatusVersion } = instance.record;
  const isAtRest = isEnded(status) || status === 'Quarantined';
  switch (condition.kind) {
    case 'ended':
      return isAtRest;
    case 'executionOver':
      return isEnded(status) || executionId !== condition.executionId;
    case 'customStatus':
      return isAtRest || customStatusVersion > condition.afterVersion;
    case 'value':
      return isAtRest || instance.values.some(({ key, value }) => key === condition.key && value !== condition.unless);
    case 'received':
      return !instance.messages.some(({ key }) => key === condition.key);
  }
}

export function listInstances(model: Model, wanted: (record: InstanceRecord) => boolean): readonly InstanceRecord[] {
  return model.instances
    .map(({ record }) => record)
    .filter(wanted)
    .toSorted((a, b) => byCodePoints(a.instanceId, b.instanceId));
}

export function readHistory(
  model: Model,
  { instanceId, executionId, afterEventId, upToEventId = Infinity }: HistoryRequest,
): readonly HistoryPage[] {
  return (find(model, instanceId)?.pages ?? [])
    .filter((page) => page.executionId === executionId && page.firstEventId > afterEventId && page.firstEventId <= upToEventId)
    .map(({ firstEventId, lastEventId, events }) => ({ firstEventId, lastEventId, events }));
}

export function readValues(model: Model, instanceId: string, keys: readonly string[] | null): readonly StoredValue[] {
  const values = find(model, instanceId)?.values ?? [];
  return values.filter(({ key }) => keys === null || keys.includes(key)).toSorted((a, b) => byCodePoints(a.key, b.key));
}

/** `told`: what the store says, for what is open (M3). */
export function readWorkItems(
  model: Model,
  instanceId: string,
  told?: readonly Pick<WorkItemRecord, 'isRunning'>[],
): readonly Omit<WorkItemRecord, 'visibleAtMs'>[] {
  return model.work
    .filter((work) => work.instanceId === instanceId)
    .toSorted((a, b) => a.executionId - b.executionId || a.eventId - b.eventId)
    .map((work, index) => {
      const { executionId, eventId, name, attempt, routing, heartbeat } = work;
      const limitKey = (routing?.sessionId ?? null) === null ? (routing?.limit?.key ?? null) : null;
      const where = { tag: routing?.tag ?? null, sessionId: routing?.sessionId ?? null, limitKey };
      const isRunning = isLocked(model, work) && (work.lock?.hasExpired !== true || told?.[index]?.isRunning !== false);
      return { executionId, eventId, name, attempt, isRunning, ...where, heartbeat };
    });
}

export function readQueueDepths(model: Model): QueueDepths {
  return { orchestratorMessages: model.instances.flatMap(({ messages }) => messages).length, workItems: model.work.length };
}

// The rules behind the operations.

function find(model: Model, instanceId: string): Instance | undefined {
  return model.instances.find(({ record }) => record.instanceId === instanceId);
}

function takesTurns({ record }: Instance): boolean {
  return record.status === 'Pending' || record.status === 'Running';
}

function isLocked(model: Model, { lock }: { readonly lock: Lock | null }): boolean {
  return lock !== null && lock.untilMs > model.nowMs;
}

function holdsLock(model: Model, instance: Instance, { lockToken }: OrchestrationLock, told: unknown): boolean {
  if (!isLocked(model, instance) || instance.lock?.token !== lockToken) return false;
  return !instance.lock.hasExpired || told !== 'lockLost';
}

function newLock(model: Model, token: string, lockMs: number): Lock {
  return { token, untilMs: model.nowMs + lockMs, hasExpired: false };
}

function isTurnReady(model: Model, instance: Instance): boolean {
  return (
    takesTurns(instance) &&
    (!isLocked(model, instance) || instance.lock?.hasExpired === true) &&
    (instance.holdIsOver || instance.holdUntilMs <= model.nowMs) &&
    visible(model, instance).length > 0
  );
}

/** A fetch has nothing to hand out of it, and has handed out nothing; what is open (M3) is as the store says. */
function isIdle(model: Model, { record, messages, lock, holdUntilMs }: Instance, told: unknown): boolean {
  const isLive = lock !== null && lock.untilMs > model.nowMs && !lock.hasExpired;
  if (record.status !== 'Running' || isLive || visible(model, { messages }).length > 0) return false;
  if (model.wentBack) return told === 'committed';
  return lock === null && holdUntilMs <= model.nowMs;
}

function visible(model: Model, { messages }: Pick<Instance, 'messages'>): readonly Message[] {
  return messages.filter(({ kind, atMs }) => kind !== 'timer' || atMs <= model.nowMs);
}

/** Oldest first, the start before all others; what is equally old, in the order in which it was added. */
function inOrder(messages: readonly Message[]): Message[] {
  return messages.toSorted((a, b) => Number(b.kind === 'start') - Number(a.kind === 'start') || a.atMs - b.atMs);
}

function hold(model: Model, instance: Instance, untilMs: number): void {
  instance.holdUntilMs = untilMs;
  instance.holdIsOver = untilMs <= model.nowMs;
}

/** Ends a lock. What can be handed out at once goes behind who waits, as far as priority allows; the rest waits for its time. */
function giveBack(model: Model, instance: Instance): void {
  instance.lock = null;
  instance.handedOut = [];
  const firstMs = Math.min(...instance.messages.map(({ kind, atMs }) => (kind === 'timer' ? atMs : 0)));
  const readyAtMs = Math.max(firstMs, instance.holdUntilMs);
  instance.readySinceMs = readyAtMs > model.nowMs ? readyAtMs : model.nowMs - instance.record.priority * PRIORITY_HEAD_START_MS;
}

function giveBackWork(model: Model, work: Work, delayMs: number): void {
  work.lock = null;
  work.visibleAtMs = delayMs > 0 ? model.nowMs + delayMs : 0;
  work.readySinceMs = delayMs > 0 ? work.visibleAtMs : model.nowMs - (work.routing?.priority ?? 0) * PRIORITY_HEAD_START_MS;
}

/** Its place in the ready order; what expired counts from then on, not from the time when it was added. */
function workSince({ readySinceMs, expiresAtMs }: Work, select: Select): number {
  return select.kind === 'expired' ? Math.max(readySinceMs, expiresAtMs ?? 0) : readySinceMs;
}

/** Removes what an ended instance must not have. */
function clear(model: Model, instance: Instance): void {
  instance.messages = [];
  instance.patterns = [];
  instance.lock = null;
  instance.handedOut = [];
  hold(model, instance, 0);
  model.work = model.work.filter(({ instanceId }) => instanceId !== instance.record.instanceId);
}

function markUsed(model: Model, { routing, takenBy }: Work): void {
  for (const session of model.sessions)
    if (session.sessionId === routing?.sessionId && session.owner === takenBy) session.usedAtMs = model.nowMs;
}

function removeNotes(model: Model, sessionId: string, uptoSeq: number): void {
  model.sessionNotes = model.sessionNotes.filter((note) => note.sessionId !== sessionId || note.seq === null || note.seq > uptoSeq);
}

/** Tags that begin with `duraloom:` are only taken when named. */
function takesTag(filter: TagFilter, tag: string | null): boolean {
  const isNamed = tag !== null && (filter.kind === 'only' || filter.kind === 'defaultAnd') && filter.tags.includes(tag);
  if (tag === null) return filter.kind !== 'only';
  return isNamed || (filter.kind === 'any' && !tag.startsWith('duraloom:'));
}

function newMessage(kind: Message['kind'], payload: string, atMs: number): Message {
  return { kind, payload, key: null, atMs, timerEventId: null, attempt: 0 };
}

function newTimer({ eventId, visibleAtMs, payload }: NewTimer): Message {
  return { ...newMessage('timer', payload, visibleAtMs), timerEventId: eventId };
}

function isSameKey(left: WorkKey, right: WorkKey): boolean {
  return left.instanceId === right.instanceId && left.executionId === right.executionId && left.eventId === right.eventId;
}

function textOf({ instanceId, executionId, eventId }: WorkKey): string {
  return `${instanceId}/${executionId}/${eventId}`;
}
