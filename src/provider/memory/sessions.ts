// Who takes the activities of which session. Neighbours: work-queue.ts asks before it hands out an item, memory-store.ts renews.
//
// I1. A session has one owner at most at any time: the one whose lease lasts. A lease that ended needs no clean-up, it is just none any more.
// I2. Leases are routing only: nothing that an activity does is refused because its lease ended.
import type { SessionClaim } from '../provider.ts';

type Session = { readonly sessionId: string; readonly owner: string; readonly leaseUntilMs: number; readonly usedAtMs: number };

/** The leases of all sessions. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();
  /** Session ids by owner, those whose lease ended included. */
  readonly #owned = new Map<string, Set<string>>();

  /**
   * Tells from when on an owner may take items of a session.
   *
   * @param sessionId - the session
   * @param claim - who, and how many sessions it may hold
   * @param nowMs - the time, epoch milliseconds
   * @returns the time, epoch milliseconds; not later than now: it may at once; infinite: never
   */
  opensAtMs(sessionId: string, { owner, maxSessions }: SessionClaim, nowMs: number): number {
    const session = this.#sessions.get(sessionId);
    if (session !== undefined && session.leaseUntilMs > nowMs) return session.owner === owner ? nowMs : session.leaseUntilMs;
    const held = this.#heldBy(owner, nowMs);
    return held.length < maxSessions ? nowMs : Math.min(...held.map(({ leaseUntilMs }) => leaseUntilMs));
  }

  /**
   * Takes a session, or keeps it.
   *
   * @param sessionId - the session; free or held by the owner
   * @param claim - who, for how long
   * @param nowMs - the time, epoch milliseconds
   */
  claim(sessionId: string, { owner, leaseMs }: SessionClaim, nowMs: number): void {
    this.#put({ sessionId, owner, leaseUntilMs: nowMs + leaseMs, usedAtMs: nowMs });
  }

  /**
   * Notes that a session is in use.
   *
   * @param sessionId - the session
   * @param user - who uses it; only its owner counts
   * @param nowMs - the time, epoch milliseconds
   */
  markUsed(sessionId: string, user: string | null, nowMs: number): void {
    const session = this.#sessions.get(sessionId);
    if (session?.owner === user) this.#put({ ...session, usedAtMs: nowMs });
  }

  /**
   * Extends the leases of the sessions that an owner holds and uses.
   *
   * @param renewal - whose, how long, idle limit, and which sessions are busy whatever the limit says
   * @param nowMs - the time, epoch milliseconds
   * @returns how many sessions the owner holds now
   */
  renew(
    renewal: {
      readonly owner: string;
      readonly leaseMs: number;
      readonly idleMs: number;
      readonly isBusy: (sessionId: string) => boolean;
      /** To release only this one. */
      readonly sessionId?: string | undefined;
    },
    nowMs: number,
  ): number {
    const { owner, leaseMs, idleMs, isBusy, sessionId } = renewal;
    for (const session of this.#heldBy(owner, nowMs)) {
      if (leaseMs <= 0 && sessionId !== undefined && session.sessionId !== sessionId) continue;
      const isUsed = session.usedAtMs + idleMs > nowMs || isBusy(session.sessionId);
      if (leaseMs <= 0 || isUsed) this.#put({ ...session, leaseUntilMs: nowMs + Math.max(0, leaseMs) });
    }
    return this.#heldBy(owner, nowMs).length;
  }

  /**
   * Forgets sessions whose lease ended.
   *
   * @param isKept - which to keep all the same
   * @param nowMs - the time, epoch milliseconds
   * @returns those that are forgotten
   */
  forget(isKept: (sessionId: string) => boolean, nowMs: number): readonly string[] {
    const over = [...this.#sessions.values()].filter(({ sessionId, leaseUntilMs }) => leaseUntilMs <= nowMs && !isKept(sessionId));
    for (const session of over) this.#remove(session);
    return over.map(({ sessionId }) => sessionId);
  }

  #heldBy(owner: string, nowMs: number): readonly Session[] {
    const sessions = [...(this.#owned.get(owner) ?? [])].flatMap((sessionId) => this.#sessions.get(sessionId) ?? []);
    return sessions.filter(({ leaseUntilMs }) => leaseUntilMs > nowMs);
  }

  #put(session: Session): void {
    const { sessionId, owner } = session;
    const old = this.#sessions.get(sessionId);
    if (old !== undefined && old.owner !== owner) this.#remove(old);
    this.#sessions.set(sessionId, session);
    const owned = this.#owned.get(owner);
    if (owned === undefined) this.#owned.set(owner, new Set([sessionId]));
    else owned.add(sessionId);
  }

  #remove({ sessionId, owner }: Session): void {
    this.#sessions.delete(sessionId);
    const owned = this.#owned.get(owner);
    owned?.delete(sessionId);
    if (owned?.size === 0) this.#owned.delete(owner);
  }
}
