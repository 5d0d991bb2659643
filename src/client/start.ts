// What a client says to start an orchestration → what the provider stores. Neighbour: client.ts.
import type { NewInstance, StartOutcome } from '../provider/provider.ts';
import { readOptions, readTime, type FieldNames } from '../types/arguments.ts';
import { encodeAttributes, type Attributes } from '../types/attributes.ts';
import { encodePayload } from '../types/codec.ts';
import type { OrchestrationDefinition } from '../types/definition.ts';
import { toMilliseconds, type Duration } from '../types/duration.ts';
import { ArgumentError, InstanceError } from '../types/errors.ts';
import type { StartPolicy } from '../types/history-event.ts';
import { MAX_PRIORITY } from '../types/limits.ts';
import { encodeStart } from '../types/message-text.ts';
import { assertInstanceId, assertName } from '../types/names.ts';
import { show } from '../types/show.ts';
import { assertTrace } from '../types/trace.ts';
import type { InstanceHandle } from './instance-handle.ts';
import { closingOf } from './requests.ts';

/** Options of a start. */
export type StartOptions = {
  /**
   * Version to run: an exact one such as '1.2.3', or a semver range such as '^1.2', of which the runtime takes the highest that it has.
   * @default by the `versionPolicy` of the runtime
   */
  readonly version?: string;
  /**
   * What happens when the id is in use. `fail`: `INSTANCE_EXISTS`. `useExisting`: nothing changes, the handle is that of the existing
   * instance. `replaceTerminal`: an instance that has ended is replaced, with its history and values; a living one is `INSTANCE_EXISTS`.
   * `terminateExisting`: a living one is terminated first. @default 'fail'
   */
  readonly onExisting?: StartPolicy;
  /** The first turn runs this long after the start at the earliest. With `startAt` as well, the later one counts. @default at once */
  readonly startAfter?: Duration;
  /** The first turn runs at this moment of the store's clock at the earliest. @default at once */
  readonly startAt?: Date;
  /** 0 to 9: each level goes before what became ready up to a minute earlier. @default 0 */
  readonly priority?: number;
  /** Search attributes that the instance begins with; its code may change them. One that is `true` is a tag. @default none */
  readonly attributes?: Attributes;
  /**
   * The span that the orchestration is below, as the W3C header says it; for those of a request see `readTraceHeaders`.
   * @default none; a runtime that records traces begins one then
   */
  readonly traceparent?: string;
  /** What vendors have added to the trace: the W3C header beside `traceparent`. */
  readonly tracestate?: string;
};

/** One start of a batch. */
export type StartRequest = StartOptions & {
  /** Id of the new instance: 1 to 512 characters, without '::'. */
  readonly instanceId: string;
  /** Definition, or name. */
  readonly orchestration: OrchestrationDefinition | string;
  /** A JSON value. */
  readonly input?: unknown;
};

/** What became of one start of a batch. */
export type StartResult<Output = unknown> = {
  readonly instanceId: string;
  /** `started`; `replaced`: started in place of another instance that is gone; `exists`: nothing changed, the id is in use. */
  readonly outcome: StartOutcome;
  /** Of the instance that has the id now. */
  readonly handle: InstanceHandle<Output>;
};

/** The names of the options. */
export const START_OPTIONS: FieldNames<StartOptions> = {
  version: true,
  onExisting: true,
  startAfter: true,
  startAt: true,
  priority: true,
  attributes: true,
  traceparent: true,
  tracestate: true,
};

/** Complete by type: a policy cannot be forgotten. */
const POLICIES: Readonly<Record<StartPolicy, true>> = { fail: true, useExisting: true, replaceTerminal: true, terminateExisting: true };

/**
 * Checks a start and encodes it.
 *
 * @param request - what is to be started
 * @returns what the provider takes
 * @throws {ArgumentError} for a bad id, name, definition or option
 * @throws {PayloadError} when the input is no JSON value or too large
 */
export function toNewInstance(request: StartRequest): NewInstance {
  const { instanceId, orchestration, input, version, onExisting = 'fail', startAfter = 0, startAt, priority = 0 } = request;
  assertInstanceId(instanceId);
  const name = nameOf(orchestration);
  const attributes = request.attributes === undefined ? null : encodeAttributes(request.attributes);
  if (version !== undefined) assertName(version, 'version');
  if (typeof onExisting !== 'string' || !Object.hasOwn(POLICIES, onExisting)) {
    throw new ArgumentError(`Expected onExisting to be one of ${Object.keys(POLICIES).join(', ')}, got ${show(onExisting)}`);
  }
  if (!Number.isInteger(priority) || priority < 0 || priority > MAX_PRIORITY) {
    throw new ArgumentError(`Expected priority to be an integer from 0 to ${MAX_PRIORITY}, got ${show(priority)}`);
  }
  const trace = assertTrace(request);
  return {
    instanceId,
    name,
    version: version ?? null,
    payload: encodeStart({
      name,
      version,
      input: encodePayload(input, `input of orchestration '${name}'`),
      parent: undefined,
      attributes: attributes?.text,
      trace,
    }),
    parent: null,
    parentNotice: null,
    attributes,
    // Without a parent it has no effect.
    onParentClose: 'abandon',
    policy: onExisting,
    priority,
    startAtMs: startAt === undefined ? null : toEpochMs(startAt),
    delayMs: toMilliseconds(startAfter, 'startAfter'),
    closeChildren: onExisting === 'terminateExisting' ? closingOf(instanceId, 'was replaced') : null,
  };
}

/**
 * Makes the error for a start whose id is in use.
 *
 * @param instanceId - the id
 * @param policy - what the start asked for
 * @returns the error
 */
export function alreadyExists(instanceId: string, policy: StartPolicy | undefined): InstanceError {
  const message =
    policy === 'replaceTerminal'
      ? `instance '${instanceId}' has not ended, so it is not replaced. Wait for its end, or start with onExisting: 'terminateExisting'`
      : `instance '${instanceId}' exists already. Choose another id, or start with onExisting: 'useExisting' to wait for that one`;
  return new InstanceError('INSTANCE_EXISTS', instanceId, message);
}

function nameOf(orchestration: unknown): string {
  if (typeof orchestration === 'string') return assertName(orchestration, 'orchestration name');
  if (typeof orchestration === 'object' && orchestration !== null) {
    const definition = orchestration as Pick<OrchestrationDefinition, 'kind' | 'name'>;
    const { kind, name = '' } = readOptions(definition, 'orchestration', { kind: true, name: true });
    if (kind === 'orchestration') return assertName(name, 'orchestration name');
  }
  throw new ArgumentError('Expected orchestration to be a definition made by defineOrchestration, or its name');
}

function toEpochMs(startAt: Date): number {
  // A number may be seconds as well.
  if (typeof startAt === 'object') return readTime(startAt, 'startAt');
  throw new ArgumentError(`Expected startAt to be a valid Date, got ${show(startAt)}`);
}
