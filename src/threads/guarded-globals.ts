// Deterministic globals for orchestration code: real ones for everybody else. Neighbour: replay-loop.ts installs them in replay threads,
// and in the main thread for inline mode.
//
// G1. Whose code is running is asked of AsyncLocalStorage at each call, never of a `current` variable: a drain also runs microtasks of
//     libraries and, inline, of the host, and they must see real time and must not draw from an instance's random stream.
// G2. Installing is counted; the originals come back when the last user uninstalls.
import { DeterminismError } from '../types/errors.ts';
import type { ReplayEngine } from '../replay/replay-engine.ts';

type FindEngine = () => ReplayEngine | undefined;
type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

/** What to use instead of a global that is not deterministic. */
const ADVICE: Readonly<Record<string, string>> = {
  setTimeout: 'Use ctx.scheduleTimer',
  setInterval: 'Use ctx.scheduleTimer in a loop',
  setImmediate: 'Use ctx.scheduleTimer',
  fetch: 'Call it in an activity',
  WebSocket: 'Use it in an activity',
  WeakRef: 'Garbage collection is not deterministic: keep a plain reference',
  FinalizationRegistry: 'Garbage collection is not deterministic: clean up explicitly',
};

let installed: { count: number; readonly restore: () => void } | null = null;

/**
 * Replaces the nondeterministic globals.
 *
 * @param findEngine - the instance whose code is running, if any
 * @returns a function that puts the originals back
 */
export function installGuards(findEngine: FindEngine): () => void {
  installed ??= { count: 0, restore: install(findEngine) };
  installed.count += 1;
  let active = true;
  return () => {
    if (!active || installed === null) return;
    active = false;
    installed.count -= 1;
    if (installed.count > 0) return;
    installed.restore();
    installed = null;
  };
}

function install(findEngine: FindEngine): () => void {
  const undo: (() => void)[] = [];
  const replace = (target: object, name: string, make: (original: AnyFunction) => unknown): void => {
    if (!(name in target)) return;
    // Methods of performance and crypto stand on their prototypes; there is no own property to put back then.
    const descriptor = Object.getOwnPropertyDescriptor(target, name);
    // Some globals (fetch, crypto) are lazy getters: read through the object.
    const original = (target as Readonly<Record<string, unknown>>)[name] as AnyFunction;
    const enumerable = descriptor?.enumerable ?? false;
    Object.defineProperty(target, name, { value: make(original), writable: true, configurable: true, enumerable });
    undo.push(() => (descriptor === undefined ? Reflect.deleteProperty(target, name) : Object.defineProperty(target, name, descriptor)));
  };
  const instead = (target: object, name: string, deterministic: (engine: ReplayEngine, args: unknown[]) => unknown): void =>
    replace(target, name, (original) =>
      // Named properties such as promisify symbols stay reachable through the prototype.
      Object.setPrototypeOf(function guarded(this: unknown, ...args: unknown[]): unknown {
        const engine = findEngine();
        return engine === undefined ? original.apply(this, args) : deterministic(engine, args);
      }, original),
    );

  replace(globalThis, 'Date', (original) => guardDate(original as unknown as DateConstructor, findEngine));
  instead(Math, 'random', (engine) => engine.random().nextFloat());
  instead(performance, 'now', (engine) => engine.now());
  instead(crypto, 'randomUUID', (engine) => engine.random().nextUuid());
  instead(crypto, 'getRandomValues', (engine, [array]) => fillRandom(engine, array));
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'fetch']) instead(globalThis, name, (engine) => forbid(engine, name));
  for (const name of ['WebSocket', 'WeakRef', 'FinalizationRegistry']) {
    replace(globalThis, name, (original) => guardClass(original, (engine) => forbid(engine, name), findEngine));
  }
  for (const name of ['debug', 'error', 'info', 'log', 'trace', 'warn'] as const) {
    replace(console, name, (original) => (...args: unknown[]) => {
      if (findEngine()?.isReplaying !== true) original.apply(console, args);
    });
  }
  return () => {
    for (const step of undo.toReversed()) step();
  };
}

function guardDate(original: DateConstructor, findEngine: FindEngine): unknown {
  return new Proxy(original, {
    construct(target, args: unknown[], newTarget) {
      const engine = args.length === 0 ? findEngine() : undefined;
      return Reflect.construct(target, engine === undefined ? args : [engine.now()], newTarget) as object;
    },
    apply(target, self, args) {
      const engine = findEngine();
      return engine === undefined ? (Reflect.apply(target, self, args) as string) : new target(engine.now()).toString();
    },
    get(target, name, receiver) {
      if (name !== 'now') return Reflect.get(target, name, receiver) as unknown;
      return () => findEngine()?.now() ?? target.now();
    },
  });
}

function guardClass(original: AnyFunction, forbidden: (engine: ReplayEngine) => never, findEngine: FindEngine): unknown {
  return new Proxy(original, {
    construct(target, args, newTarget) {
      const engine = findEngine();
      if (engine !== undefined) forbidden(engine);
      return Reflect.construct(target, args, newTarget) as object;
    },
  });
}

function fillRandom(engine: ReplayEngine, array: unknown): unknown {
  if (!ArrayBuffer.isView(array)) throw new TypeError('Expected an integer typed array');
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const random = engine.random();
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = random.nextUint32() & 0xff;
  return array;
}

function forbid(engine: ReplayEngine, name: string): never {
  throw new DeterminismError(
    'GLOBAL_FORBIDDEN',
    `orchestration '${engine.name}' used ${name}, which is not deterministic. ${ADVICE[name] ?? 'Use it in an activity'}`,
  );
}
