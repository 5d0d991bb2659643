// Durable futures: native promises that can be cancelled and that combinators observe synchronously.
//
// F1. A core settles at most once. Settling tells listeners first, in the order of subscription, synchronously; then the promise.
// F2. Every promise has a no-op rejection handler: a failure that nobody awaits is no unhandled rejection.
// F3. The promise is a plain native one with two own properties, so that `await` takes the engine's fast path.
import type { DurableFuture } from '../types/context.ts';
import { CancelledError } from '../types/errors.ts';

/** How a future ended. */
export type Settled = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

const CORE: unique symbol = Symbol('duraloom.future');

type Carrier = Promise<unknown> & { cancel: () => void; [CORE]: FutureCore };

/** The inside of a durable future: who owns it settles and cancels it. */
export class FutureCore {
  readonly promise: Carrier;
  // Both are set below, by the promise.
  #resolve: (value: unknown) => void = ignore;
  #reject: (error: unknown) => void = ignore;
  #settled: Settled | null = null;
  #listeners: ((settled: Settled) => void)[] = [];
  #onCancel: ((core: FutureCore) => void) | null;
  /** A group that it loses in does not give it up. */
  survivesGroups = false;

  /**
   * @param onCancel - what giving up means, called before the future rejects with `CancelledError`; null: nothing more
   */
  constructor(onCancel: ((core: FutureCore) => void) | null) {
    const promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    }) as Carrier;
    promise.catch(ignore);
    promise.cancel = cancelThis;
    promise[CORE] = this;
    this.promise = promise;
    this.#onCancel = onCancel;
  }

  get settled(): Settled | null {
    return this.#settled;
  }

  settle(settled: Settled): void {
    if (this.#settled !== null) return;
    this.#settled = settled;
    this.#onCancel = null;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(settled);
    if (settled.ok) this.#resolve(settled.value);
    else this.#reject(settled.error);
  }

  /** Calls back when the future settles; at once when it has. */
  observe(listener: (settled: Settled) => void): void {
    if (this.#settled === null) this.#listeners.push(listener);
    else listener(this.#settled);
  }

  cancel(): void {
    if (this.#settled !== null) return;
    const onCancel = this.#onCancel;
    this.#onCancel = null;
    onCancel?.(this);
    this.settle({ ok: false, error: new CancelledError('the durable future was cancelled') });
  }

  /** The promise in the type that users see. */
  as<Value>(): DurableFuture<Value> {
    return this.promise as DurableFuture<unknown> as DurableFuture<Value>;
  }
}

function ignore(): void {
  // F2: whoever awaits the promise sees the rejection; nobody else has to.
}

function cancelThis(this: Carrier): void {
  this[CORE].cancel();
}

/**
 * Gives the inside of a durable future.
 *
 * @param value - anything
 * @returns its core, or null when the value is no durable future
 */
export function coreOf(value: unknown): FutureCore | null {
  if (typeof value !== 'object' || value === null) return null;
  try {
    const core = CORE in value ? value[CORE] : null;
    return core instanceof FutureCore ? core : null;
  } catch {
    // A value that cannot be read is none of ours.
    return null;
  }
}
