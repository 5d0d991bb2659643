// Rejections that nobody handles: those of orchestration code go to their instance, all others take Node's usual way. Neighbours:
// replay-loop.ts knows whose they are, guarded-globals.ts replaces other things in the same manner.
//
// J1. What is claimed is seen by nobody else: test runners fail a test for a rejection that they hear of.
// J2. What is not claimed is emitted as if this file did not exist: listeners hear it, and without any Node ends the process.
// J3. Installing is counted; the original comes back when the last user uninstalls.
import { runInThisContext } from 'node:vm';

type Claim = (reason: unknown) => boolean;

/** The process itself: test runners that have a context for each test file give it a copy, on which Node emits nothing. */
const realProcess = runInThisContext('process') as NodeJS.Process;

const claims = new Set<Claim>();
let restore: () => void = () => undefined;

/**
 * Lets somebody take rejections that nobody handled.
 *
 * @param claim - called with the reason, in the async context of the rejection; true: it was taken
 * @returns a function that ends it
 */
export function claimRejections(claim: Claim): () => void {
  if (claims.size === 0) restore = install();
  claims.add(claim);
  return () => {
    if (claims.delete(claim) && claims.size === 0) restore();
  };
}

/** A listener would be heard besides all others, and its presence alone tells Node and test runners that rejections are dealt with. */
function install(): () => void {
  const original = Object.getOwnPropertyDescriptor(realProcess, 'emit');
  const emit = realProcess.emit.bind(realProcess) as (...args: readonly unknown[]) => boolean;
  const claiming = (...args: readonly unknown[]): boolean => {
    const [event, reason] = args;
    return (event === 'unhandledRejection' && [...claims].some((claim) => claim(reason))) || emit(...args);
  };
  Object.defineProperty(realProcess, 'emit', { value: claiming, writable: true, configurable: true, enumerable: false });
  return () => {
    // Somebody else has replaced it since: without claims ours only passes on.
    if (realProcess.emit !== claiming) return;
    if (original === undefined) Reflect.deleteProperty(realProcess, 'emit');
    else Object.defineProperty(realProcess, 'emit', original);
  };
}
