// What a runtime must offer to be measured: the contract between workloads.ts, which measures, and drivers/*, one for each runtime.

/** Names of what runs: fan-out and join, a chain of activities, a wait for the event `go`. */
export type Kind = 'fan' | 'chain' | 'wait';

/** Input of an instance; each kind reads what concerns it. */
export type Input = {
  /** `fan`: activities side by side. The result is their number. */
  readonly width: number;
  /** `fan`: how long each activity waits, in milliseconds; 0: it returns at once. */
  readonly delayMs: number;
  /** `fan`: rounds of a busy loop in each activity, as `burn` counts them. */
  readonly loops: number;
  /** `chain`: activities one after the other. The result is their number. */
  readonly steps: number;
};

/** Where a runtime keeps its instances. */
export type Store = 'file' | 'memory' | 'postgres';

/** Settings of a runtime, such as its concurrency; their names are its driver's business. */
export type Knobs = Readonly<Record<string, number>>;

/** What a driver gets. */
export type DriverTask = {
  readonly store: Store;
  readonly knobs: Knobs;
  /** A folder of this process alone. */
  readonly folder: string;
  /** An empty database; null unless the store is `postgres`. */
  readonly databaseUrl: string | null;
};

/** A runtime with its store, ready to work. `Handle` is whatever it gives for a started instance. */
export interface Driver<Handle = unknown> {
  /** Starts an instance, and resolves when the runtime says that it is started. */
  start(kind: Kind, id: string, input: Input): Promise<Handle>;
  /** Waits for the result of one instance, in the quickest way that the runtime's users have. */
  result(handle: Handle): Promise<unknown>;
  /** Raises the event `go` for an instance. */
  raise(handle: Handle, id: string): Promise<void>;
  /** Resolves when `count` instances wait for the event, according to the store where it can tell. */
  untilWaiting(count: number): Promise<void>;
  /**
   * Resolves when all instances have completed, according to the store where there is one; rejects when one has failed.
   *
   * @param handles - of those that began since the last call
   * @param total - how many were started in this process
   */
  untilCompleted(handles: readonly Handle[], total: number): Promise<void>;
  /** How many activities have run so far; null when the driver checks results instead. */
  activitiesRun(): number | null;
  /** Stops the runtime and closes the store. */
  close(): Promise<void>;
}

/** The export `open` of each driver. */
export type OpenDriver = (task: DriverTask) => Promise<Driver>;
