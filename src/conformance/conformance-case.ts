// What a conformance case is, and what somebody who wrote a provider must give to have it checked. Neighbours: conformance-cases.ts lists
// the cases, run-conformance.ts runs them, case-kit.ts is what they are written with.
import type { Provider } from '../provider/provider.ts';
import type { SimulatedClock } from '../provider/simulated-clock.ts';

/** One behaviour of the contract. */
export type ConformanceCase = {
  /** Part of the contract. */
  readonly contract: string;
  /** The behaviour, as a sentence; unique among all cases. `T…` at its beginning: the trap of that number in docs/traps.md. */
  readonly name: string;
  /** Rejects with `SkippedCase` when the store cannot be held to this, with any other error when the provider behaves otherwise. */
  readonly run: (context: ConformanceContext) => Promise<void>;
};

/** What a case runs against: a provider on an empty store. What a case opens is closed by who runs it. */
export type ConformanceContext = {
  /** Made with `clock`. */
  readonly provider: Provider;
  /** The store's clock. Time stands still unless the case moves it. */
  readonly clock: SimulatedClock;
  /**
   * Opens the store again, as after a restart. The provider before was closed, or is left as a crash would leave it: no call of it is under way.
   *
   * @returns a provider on the same store, with the same clock
   * @throws {SkippedCase} when the store dies with its provider
   */
  readonly reopen: () => Promise<Provider>;
  /**
   * Opens a second provider on the store while the first is in use, as another process would.
   *
   * @param clock - its clock. Default: the same
   * @returns the second provider
   * @throws {SkippedCase} when the store has one user at a time
   */
  readonly openSecond: (clock?: SimulatedClock) => Promise<Provider>;
  /**
   * Damages what is stored of an instance's history.
   *
   * @param instanceId - whose
   * @throws {SkippedCase} when there is no way to
   */
  readonly corruptHistory: (instanceId: string) => Promise<void>;
};

/** A store that a target has opened for one case. What it cannot do is left out; the cases that need it are skipped then. */
export type ConformanceStore = {
  /** On an empty store that no other case uses. */
  readonly provider: Provider;
  /** Opens the same store again; `provider` was closed, or is left without a call under way. Left out: the store dies with its provider. */
  readonly reopen?: (clock: SimulatedClock) => Promise<Provider>;
  /** Opens the same store while `provider` is open. Left out: one user at a time. */
  readonly openSecond?: (clock: SimulatedClock) => Promise<Provider>;
  /** Overwrites the stored text of all history pages of an instance with the beginning of it, past the provider. Left out: there is no way to. */
  readonly corruptHistory?: (instanceId: string) => Promise<void>;
  /** Removes what the store leaves behind. Called last, after all providers were closed. */
  readonly remove?: () => Promise<void>;
};

/** A provider to check. */
export type ConformanceTarget = {
  /** What it is called in the report. */
  readonly name: string;
  /**
   * Opens an empty store. Called once for each case.
   *
   * @param clock - the clock that the provider must use for all times and waits
   * @returns the store
   */
  readonly open: (clock: SimulatedClock) => Promise<ConformanceStore>;
};

/** Thrown by a case that does not apply to a store, or not yet to any. Its message is the reason. */
export class SkippedCase extends Error {
  override readonly name: string = 'SkippedCase';
}
