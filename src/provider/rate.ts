// How many activities a rate lets begin: the generic cell rate algorithm, which needs one number a key. Neighbours: memory/limits.ts and
// sqlite/limits.ts keep the numbers, postgres/sql/limits.ts says the same in SQL.
//
// R1. The number of a key is the theoretical arrival time, in microseconds since the epoch: when all that has begun would have been paid for, at one
//     interval each. An activity may begin while it lies at most `count - 1` intervals ahead.
// R2. A number that lies more than two windows ahead is not believed: the clock was set back, or a longer rate had the key before. Of a smaller step
//     back it takes no more than those two windows to get over.
// Source: ITU-T I.371, annex A (virtual scheduling).
import type { LimitRate } from '../types/replay.ts';

/**
 * Tells how many activities may begin now.
 *
 * @param rate - the rate
 * @param arrivalUs - the number of the key; 0: nothing has begun
 * @param nowMs - the time, epoch milliseconds
 * @returns a whole number, 0 for none
 */
export function countReady(rate: LimitRate, arrivalUs: number, nowMs: number): number {
  const room = burstUs(rate) - aheadUs(rate, arrivalUs, nowMs);
  return room < 0 ? 0 : Math.floor(room / intervalUs(rate)) + 1;
}

/**
 * Tells when the next activity may begin.
 *
 * @param rate - the rate
 * @param arrivalUs - the number of the key
 * @param nowMs - the time, epoch milliseconds
 * @returns epoch milliseconds; not later than now: at once
 */
export function nextBeginMs(rate: LimitRate, arrivalUs: number, nowMs: number): number {
  return nowMs + Math.ceil(Math.max(0, aheadUs(rate, arrivalUs, nowMs) - burstUs(rate)) / 1_000);
}

/**
 * Counts an activity that begins.
 *
 * @param rate - the rate
 * @param arrivalUs - the number of the key before
 * @param nowMs - the time, epoch milliseconds
 * @returns the number after
 */
export function countBegin(rate: LimitRate, arrivalUs: number, nowMs: number): number {
  return nowMs * 1_000 + aheadUs(rate, arrivalUs, nowMs) + intervalUs(rate);
}

/**
 * Tells what each activity costs.
 *
 * @param rate - the rate
 * @returns microseconds until the next one may begin, when all that may begin at once have
 */
export function intervalUs({ count, perMs }: LimitRate): number {
  return Math.ceil((perMs * 1_000) / count);
}

function burstUs(rate: LimitRate): number {
  return intervalUs(rate) * (rate.count - 1);
}

function aheadUs(rate: LimitRate, arrivalUs: number, nowMs: number): number {
  const ahead = Math.max(0, arrivalUs - nowMs * 1_000);
  return ahead > 2 * intervalUs(rate) * rate.count ? 0 : ahead;
}
