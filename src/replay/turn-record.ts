// What one turn asks for, collected while it runs. Neighbour: replay-engine.ts fills it; a faulted turn's record is thrown away (E5).
import type { StoredAttributes } from '../types/attributes.ts';
import { encodeRecord, type EncodedPayload } from '../types/codec.ts';
import { DurableError } from '../types/errors.ts';
import { toFailure } from '../types/failure.ts';
import type { OrchestratorMessage, ParentClosePolicy, StartPolicy } from '../types/history-event.ts';
import { MAX_TURN_LOG_UNITS } from '../types/limits.ts';
import type { SizedLine } from '../types/log-line.ts';
import type { LogLine } from '../types/logger.ts';
import { encodeStart } from '../types/message-text.ts';
import type { ParentLink } from '../types/names.ts';
import type { TraceContext } from '../types/trace.ts';
import type { OutgoingMessage, OutgoingStart, ReplayResult, ScheduledActivity, ScheduledTimer, TurnEffects } from '../types/replay.ts';

type Mutable<Effects> = { -readonly [Key in keyof Effects]: Effects[Key] extends readonly (infer Item)[] ? Item[] : Effects[Key] };

/** The open record of a turn. */
export class TurnRecord {
  readonly events: string[] = [];
  readonly activities: ScheduledActivity[] = [];
  readonly timers: ScheduledTimer[] = [];
  readonly cancelledActivities: number[] = [];
  readonly cancelledTimers: number[] = [];
  customStatus: string | null | undefined;
  readonly #firstEventId: number;
  readonly #logs: LogLine[] = [];
  #logUnits = 0;
  #droppedLogs = 0;
  readonly #messages: OutgoingMessage[] = [];
  readonly #starts: OutgoingStart[] = [];
  #effects: Mutable<TurnEffects> | null = null;

  /**
   * @param firstEventId - id of the first event that the turn may add
   */
  constructor(firstEventId: number) {
    this.#firstEventId = firstEventId;
  }

  /** Made when it is first asked for: most turns have none. */
  get effects(): Mutable<TurnEffects> {
    this.#effects ??= {
      attributes: null,
      values: [],
      subscriptions: [],
      publications: [],
      sessionMessages: [],
      terminations: [],
      metrics: [],
      spans: [],
    };
    return this.#effects;
  }

  /** Adds a log line, or drops it when there are too many. */
  addLog({ line, units }: SizedLine): void {
    // Once full, it stays full: what is kept is the beginning, without gaps.
    if (this.#droppedLogs > 0 || this.#logUnits + units > MAX_TURN_LOG_UNITS) {
      this.#droppedLogs += 1;
      return;
    }
    this.#logs.push(line);
    this.#logUnits += units;
  }

  addMessage(instanceId: string, payload: string): void {
    this.#messages.push({ instanceId, payload });
  }

  /** Starts an instance: a child when it has a parent, else a detached one. */
  addStart(start: {
    readonly name: string;
    readonly instanceId: string;
    readonly version: string | undefined;
    readonly input: EncodedPayload;
    readonly parent: ParentLink | null;
    readonly policy: StartPolicy;
    readonly onParentClose: ParentClosePolicy;
    readonly startAtMs: number | null;
    readonly priority: number;
    readonly attributes: StoredAttributes | null;
    /** What the new instance is below; null: nothing. */
    readonly trace: TraceContext | null;
  }): void {
    const { name, instanceId, version, parent, policy, onParentClose, startAtMs, priority, attributes, trace } = start;
    this.#starts.push({
      eventId: parent?.eventId ?? 0,
      instanceId,
      name,
      version: version ?? null,
      payload: encodeStart({
        name,
        version,
        input: start.input,
        parent: parent === null ? undefined : encodeRecord(parent),
        attributes: attributes?.text,
        trace,
      }),
      conflictPayload: parent === null ? null : encodeRecord(startConflict(instanceId, parent)),
      isChild: parent !== null,
      policy,
      onParentClose,
      startAtMs,
      priority,
      attributes,
    });
  }

  finish(end: Pick<ReplayResult, 'outcome' | 'version' | 'lastEventId' | 'consumedMessages' | 'turns'>): ReplayResult {
    return {
      ...end,
      firstEventId: this.#firstEventId,
      events: `[${this.events.join(',')}]`,
      activities: this.activities,
      timers: this.timers,
      messages: this.#messages,
      starts: this.#starts,
      cancelledActivities: this.cancelledActivities,
      cancelledTimers: this.cancelledTimers,
      customStatus: this.customStatus,
      logs: this.#logs,
      logUnits: this.#logUnits,
      droppedLogs: this.#droppedLogs,
      effects: this.#effects,
    };
  }
}

/** Answer to a parent whose child's id is taken (T4). */
function startConflict(instanceId: string, parent: ParentLink): OrchestratorMessage {
  const error = new DurableError(
    'INSTANCE_EXISTS',
    `the sub-orchestration could not start: an instance with the id '${instanceId}' exists already. Choose another id, leave it out, or set \`onExisting\``,
  );
  // The stack would show our own code only.
  const { stack: _, ...failure } = toFailure(error);
  return { kind: 'SubOrchestrationFailed', executionId: parent.executionId, sourceId: parent.eventId, failure };
}
