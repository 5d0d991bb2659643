// What the HTTP API answers, as the dashboard reads it: the client's types with dates as ISO text.

/** Parameters of a URL; undefined ones are left out, arrays are repeated. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** Values of search attributes. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** An error as data. */
export type Failure = {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: Failure;
};

/** An instance. */
export type Instance = {
  readonly instanceId: string;
  readonly name: string;
  readonly version: string | null;
  readonly status: string;
  readonly executionId: number;
  readonly result?: unknown;
  readonly error?: Failure | null;
  readonly customStatus?: unknown;
  readonly parentInstanceId: string | null;
  readonly priority: number;
  readonly attributes: Attributes;
  readonly eventCount: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly endedAt: string | null;
};

/** What an instance waits for, in numbers. */
export type WaitingSummary = {
  readonly activities: number;
  readonly runningActivities: number;
  readonly timers: number;
  readonly nextTimerAt: string | null;
  readonly messages: number;
  readonly children: number;
};

/** A row of the list. */
export type InstanceRow = Instance & { readonly waitingFor: WaitingSummary | null };

/** A page of the list. */
export type InstancePage = { readonly instances: readonly InstanceRow[]; readonly cursor: string | null };

/** One thing that an instance waits for. */
export type Wait = {
  readonly kind: 'turn' | 'activity' | 'timer' | 'event' | 'topic' | 'child' | 'operator';
  readonly problem: string | null;
  readonly since?: string | null;
  readonly eventId?: number;
  readonly name?: string;
  readonly state?: string;
  readonly attempt?: number;
  readonly dueAt?: string | null;
  readonly lockedUntil?: string | null;
  readonly tag?: string | null;
  readonly sessionId?: string | null;
  readonly limitKey?: string | null;
  readonly heartbeat?: unknown;
  readonly runtimes?: readonly string[];
  readonly pattern?: string;
  readonly instanceId?: string;
  readonly status?: string | null;
  readonly reason?: string;
  readonly messages?: number;
  readonly isLocked?: boolean;
};

/** Why an instance waits. */
export type WaitingExplanation = {
  readonly instanceId: string;
  readonly status: string;
  readonly executionId: number;
  readonly checkedAt: string;
  readonly summary: string;
  readonly waits: readonly Wait[];
};

/** One execution of an instance. */
export type Execution = {
  readonly executionId: number;
  readonly name: string;
  readonly version: string | null;
  readonly status: string;
  readonly eventCount: number;
  readonly endedAt: string | null;
};

/** An instance with its children. */
export type Tree = { readonly instance: Instance; readonly children: readonly Tree[]; readonly isTruncated: boolean };

/** An item of a queue. */
export type QueueEntry =
  | {
      readonly kind: 'message';
      readonly instanceId: string;
      readonly messageId: number;
      readonly timerEventId: number | null;
      readonly key: string | null;
      readonly visibleAt: string | null;
      readonly attempt: number;
      readonly lockedUntil: string | null;
      readonly message: unknown;
    }
  | {
      readonly kind: 'workItem';
      readonly instanceId: string;
      readonly executionId: number;
      readonly eventId: number;
      readonly name: string;
      readonly visibleAt: string;
      readonly attempt: number;
      readonly lockedUntil: string | null;
      readonly routing: unknown;
      readonly heartbeat: unknown;
      readonly input: unknown;
    };

/** Outcome of a bulk action. */
export type BulkResult = {
  readonly action: string;
  readonly dryRun: boolean;
  readonly matched: number;
  readonly done: number;
  readonly skipped: number;
  readonly failed: number;
  readonly failures: readonly { readonly instanceId: string; readonly code: string; readonly message: string }[];
  readonly sample: readonly string[];
};
