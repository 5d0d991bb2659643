// The history: the closed union of facts that one execution is made of, and the messages that become such facts.
//
// H1. Ids are dense from 1; the first event is OrchestrationStarted; a terminal event is the last.
// H2. Order is causal: an input event, then the decisions that the code took because of it, then the next input event.
// H3. A completion points at its decision by `sourceId`; a decision has at most one completion, and none after FutureCancelled.
// H4. An orchestrator message is the input event that it will become, without `id` and `atMs`.
//     So its text can be completed to the event's text without encoding the payload again.
// A field that is absent stands for `undefined`: JSON cannot write it.
import type { AttributeChange, Attributes } from './attributes.ts';
import type { Failure } from './failure.ts';
import type { ParentLink } from './names.ts';

/** Version of the engine's behaviour, recorded at the start of every execution, so that old histories replay for ever. */
export const ENGINE_BEHAVIOUR = 1;

/** An external event that had no taker when its execution continued as new. */
export type CarriedEvent = { readonly name: string; readonly data?: unknown };

/** A key-value pair as an execution leaves it to the next one. */
export type CarriedValue = { readonly key: string; readonly value: unknown; readonly updatedAtMs: number };

/** What happens to a child when its parent ends first, whatever the end. */
export type ParentClosePolicy = 'cancel' | 'abandon' | 'terminate';

/**
 * What a start does when its id is in use. `fail`: refused. `useExisting`: nothing changes, the caller gets the existing one.
 * `replaceTerminal`: an instance that has ended is replaced, a living one is a conflict. `terminateExisting`: a living one is terminated, then replaced.
 */
export type StartPolicy = 'fail' | 'useExisting' | 'replaceTerminal' | 'terminateExisting';

/** First fact of an execution. */
export type OrchestrationStarted = {
  readonly kind: 'OrchestrationStarted';
  readonly executionId: number;
  readonly name: string;
  readonly version: string;
  /** Engine behaviour version; see `ENGINE_BEHAVIOUR`. */
  readonly engine: number;
  readonly input?: unknown;
  /** Who waits for the result; absent for an orchestration started by a client or detached. Survives continue-as-new (T1). */
  readonly parent?: ParentLink;
  /** External events that the execution before left unread, oldest first. */
  readonly carried?: readonly CarriedEvent[];
  /** Custom status at the end of the execution before. */
  readonly customStatus?: unknown;
  /** Key-value pairs at the end of the execution before, in the order of their keys. */
  readonly values?: readonly CarriedValue[];
  /** Search attributes from the start, or at the end of the execution before. */
  readonly attributes?: Attributes;
  /** Topic patterns that the execution before was subscribed to. */
  readonly subscriptions?: readonly string[];
  /** Keys of external events that were received before, newest last, so that a repeated one is known. */
  readonly eventKeys?: readonly string[];
  /** The span that this execution is below; with a parent id of zeros the trace begins here. Absent: it has no trace. See `TraceContext`. */
  readonly traceparent?: string;
  readonly tracestate?: string;
};

/** Facts that come from outside. */
export type InputBody =
  | OrchestrationStarted
  | { readonly kind: 'ActivityCompleted'; readonly executionId: number; readonly sourceId: number; readonly result?: unknown }
  | {
      readonly kind: 'ActivityFailed';
      readonly executionId: number;
      readonly sourceId: number;
      readonly failure: Failure;
      /** Last heartbeat details of the attempt: the next attempt gets them. */
      readonly heartbeat?: unknown;
    }
  | { readonly kind: 'TimerFired'; readonly executionId: number; readonly sourceId: number }
  /** `key`: the caller's key, by which a repeated event is known (T55). */
  | { readonly kind: 'EventRaised'; readonly name: string; readonly data?: unknown; readonly key?: string }
  | { readonly kind: 'TopicReceived'; readonly topic: string; readonly data?: unknown; readonly key?: string }
  | { readonly kind: 'SubOrchestrationCompleted'; readonly executionId: number; readonly sourceId: number; readonly result?: unknown }
  | { readonly kind: 'SubOrchestrationFailed'; readonly executionId: number; readonly sourceId: number; readonly failure: Failure }
  /** `parent`: the child that a parent means; absent when a client asks. */
  | { readonly kind: 'CancelRequested'; readonly reason: string; readonly parent?: ParentLink };

/** Facts that orchestration code causes. */
export type DecisionBody =
  | {
      readonly kind: 'ActivityScheduled';
      readonly name: string;
      readonly input?: unknown;
      /** Only runtimes that take this tag run it. */
      readonly tag?: string;
      readonly sessionId?: string;
      /** Which attempt of a retry policy, from 2; absent: the first. */
      readonly attempt?: number;
    }
  | { readonly kind: 'TimerCreated'; readonly fireAtMs: number }
  | { readonly kind: 'EventAwaited'; readonly name: string }
  | {
      readonly kind: 'SubOrchestrationScheduled';
      readonly name: string;
      readonly version?: string;
      readonly instanceId: string;
      readonly input?: unknown;
      /** Absent: `cancel`. */
      readonly onParentClose?: ParentClosePolicy;
    }
  | {
      readonly kind: 'OrchestrationStartRequested';
      readonly name: string;
      readonly version?: string;
      readonly instanceId: string;
      readonly input?: unknown;
    }
  | { readonly kind: 'CustomStatusSet'; readonly status?: unknown }
  | { readonly kind: 'FutureCancelled'; readonly sourceId: number }
  | { readonly kind: 'ValueSet'; readonly key: string; readonly value: unknown }
  | { readonly kind: 'ValueDeleted'; readonly key: string }
  /** Values set, null removes, what is not named stays. */
  | { readonly kind: 'AttributesSet'; readonly attributes: AttributeChange }
  | { readonly kind: 'TopicSubscribed'; readonly pattern: string }
  | { readonly kind: 'TopicUnsubscribed'; readonly pattern: string }
  | { readonly kind: 'TopicPublished'; readonly topic: string; readonly data?: unknown }
  | { readonly kind: 'SessionMessageSent'; readonly sessionId: string; readonly data?: unknown }
  /** The code has taken the new way at this place: see `ctx.patched`. */
  | { readonly kind: 'Patched'; readonly patchId: string };

/** Last fact of an execution. */
export type TerminalBody =
  | { readonly kind: 'OrchestrationCompleted'; readonly result?: unknown }
  | { readonly kind: 'OrchestrationFailed'; readonly failure: Failure }
  | { readonly kind: 'OrchestrationCancelled'; readonly reason: string }
  | { readonly kind: 'OrchestrationContinuedAsNew'; readonly version?: string; readonly input?: unknown };

/** What every event has besides its body. */
export type EventEnvelope = {
  /** Position in the execution, dense from 1. */
  readonly id: number;
  /** Time of the event on the store's clock, epoch milliseconds, never decreasing within an execution. */
  readonly atMs: number;
};

/** One immutable fact in the history of an execution. */
export type HistoryEvent = EventEnvelope & (InputBody | DecisionBody | TerminalBody);

/** The kind of an event. */
export type EventKind = HistoryEvent['kind'];

/** An orchestrator message: an input event to be, or the report that an instance broke the determinism contract between its turns. */
export type OrchestratorMessage =
  | Exclude<InputBody, OrchestrationStarted>
  /** Without an execution it starts the one that its instance is at. */
  | (Omit<OrchestrationStarted, 'version' | 'engine' | 'executionId'> & { readonly version?: string; readonly executionId?: number })
  | { readonly kind: 'InstanceFaulted'; readonly executionId: number; readonly failure: Failure };

/** Which role each kind plays. The record is complete by type: a new kind cannot be forgotten. */
export const EVENT_ROLES: Readonly<Record<EventKind, 'input' | 'decision' | 'terminal'>> = {
  OrchestrationStarted: 'input',
  ActivityCompleted: 'input',
  ActivityFailed: 'input',
  TimerFired: 'input',
  EventRaised: 'input',
  TopicReceived: 'input',
  SubOrchestrationCompleted: 'input',
  SubOrchestrationFailed: 'input',
  CancelRequested: 'input',
  ActivityScheduled: 'decision',
  TimerCreated: 'decision',
  EventAwaited: 'decision',
  SubOrchestrationScheduled: 'decision',
  OrchestrationStartRequested: 'decision',
  CustomStatusSet: 'decision',
  FutureCancelled: 'decision',
  ValueSet: 'decision',
  ValueDeleted: 'decision',
  AttributesSet: 'decision',
  TopicSubscribed: 'decision',
  TopicUnsubscribed: 'decision',
  TopicPublished: 'decision',
  SessionMessageSent: 'decision',
  Patched: 'decision',
  OrchestrationCompleted: 'terminal',
  OrchestrationFailed: 'terminal',
  OrchestrationCancelled: 'terminal',
  OrchestrationContinuedAsNew: 'terminal',
};
