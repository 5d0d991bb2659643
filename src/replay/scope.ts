// Cancellation scopes: which part of an instance's code asked for what. Neighbours: replay-engine.ts cancels by scope, the host tells in which
// scope the running code is.
//
// X1. Scopes form a tree; the root is the whole orchestration. What is cancelled stays cancelled.
// X2. A cancellation reaches the scopes below, but not through a shield; a shield can be cancelled by itself.
import type { CancelledError } from '../types/errors.ts';
import type { ReplayEngine } from './replay-engine.ts';

/** A part of an instance's code that can be cancelled. */
export class Scope {
  readonly engine: ReplayEngine;
  readonly #parent: Scope | null;
  readonly #isShield: boolean;
  #cancelled: CancelledError | null = null;

  /**
   * @param engine - the instance
   * @param parent - the scope around it; null: the root
   * @param isShield - true: a cancellation of the scopes around it does not reach it
   */
  constructor(engine: ReplayEngine, parent: Scope | null, isShield: boolean) {
    this.engine = engine;
    this.#parent = parent;
    this.#isShield = isShield;
  }

  /** Why it is cancelled, by itself or by a scope around it; null: it is not. */
  get cancelled(): CancelledError | null {
    if (this.#cancelled !== null || this.#isShield || this.#parent === null) return this.#cancelled;
    return this.#parent.cancelled;
  }

  /** Marks it as cancelled; the first reason stays. */
  cancel(reason: CancelledError): void {
    this.#cancelled ??= reason;
  }
}
