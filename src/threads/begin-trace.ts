// Begins traces of executions that were started without one. Neighbour: replay-loop.ts. Random, and recorded in history: a replay reads it there.
import { randomBytes } from 'node:crypto';
import { newTraceparent } from '../types/trace.ts';

/**
 * Begins a trace.
 *
 * @param sampleRatio - share of the traces that are sampled, 0 to 1
 * @returns the stored trace parent
 */
export function beginTrace(sampleRatio: number): string {
  const bytes = randomBytes(16);
  // All zeros is no id.
  bytes[0] = (bytes[0] ?? 0) | 1;
  return newTraceparent(bytes.toString('hex'), bytes.readUInt32BE(12) / 2 ** 32 < sampleRatio);
}
