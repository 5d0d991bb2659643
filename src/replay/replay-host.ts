// What the pure replay core asks of the thread it runs in. Declared here by its user; threads/replay-thread.ts implements it.
import type { OrchestrationDefinition } from '../types/definition.ts';
import type { Failure } from '../types/failure.ts';
import type { SizedLine } from '../types/log-line.ts';
import type { LogLevel } from '../types/logger.ts';
import type { ReplayEngine } from './replay-engine.ts';
import type { Scope } from './scope.ts';

/** The surroundings of replay engines. Draining microtasks is not here: whoever steps the engine's generator does it. */
export interface ReplayHost {
  /**
   * Finds the code of an orchestration.
   *
   * @param name - name of the orchestration
   * @param version - exact version; undefined: the highest one
   * @returns null when it is not registered
   */
  find(name: string, version: string | undefined): OrchestrationDefinition | null;
  /** Says which orchestrations are registered, for an error message. */
  describeRegistered(): string;
  /** Runs user code so that it and everything it starts can be told apart from other code on the thread. */
  enter<Result>(scope: Scope, run: () => Result): Result;
  /** The scope that the running code was entered with; undefined: it is nobody's. */
  currentScope(): Scope | undefined;
  /** Notes a call of the context, such as `ctx.scheduleActivity(charge)`, for the message of the watchdog. */
  noteCall(call: string): void;
  /**
   * Makes a log line, as nobody's code: what the logged data does when it is read has no part in the instance.
   *
   * @returns null when nobody wants lines of the level
   */
  takeLog(level: LogLevel, message: unknown, fields: unknown): SizedLine | null;
  /** Reports that an instance broke the contract while it was not its turn, so that it can be failed. */
  reportFault(engine: ReplayEngine, failure: Failure): void;
  /** Makes the stored trace parent of an execution that was started without one. Absent: nobody here records traces. */
  readonly beginTrace?: (() => string) | undefined;
}
