// The routes of event streams: what they take, how many there are, and that all of them end. Neighbours: streams.ts says what they say, app.ts
// mounts them.
import * as z from 'zod';
import { notFound } from '../../client/instance-state.ts';
import { encodeRecord } from '../../types/codec.ts';
import { toSurfaceFailure } from '../operations/failures.ts';
import { filterShape, instanceIdSchema, toFilter, type ListOptions } from '../operations/filters.ts';
import type { LogFilter } from '../operations/log-source.ts';
import type { SurfaceContext, Tell } from '../operations/operation.ts';
import { readStats } from '../operations/system.ts';
import { toWireInstance } from '../operations/wire.ts';
import { eventStream, type StreamEvent } from './event-stream.ts';
import { InstanceFeeds } from './instance-feed.ts';
import type { ResolvedHttpOptions } from './options.ts';
import { refuse, refuseFailure, toProblem } from './problem.ts';
import { check, readQuery, type Read } from './request-body.ts';
import { SharedPolls, type SharedPoll } from './shared-poll.ts';
import { followInstance, followLogs, followProgress, followSnapshots, readCursor, toSnapshot, type Snapshot } from './streams.ts';

/** A request for a stream. */
export type StreamRequest = {
  readonly request: Request;
  /** Of the path. */
  readonly id: string;
  readonly parameters: URLSearchParams;
  /** What the reader has seen last; null: nothing. */
  readonly lastEventId: string | null;
  readonly requestId: string;
  readonly cut: (() => void) | null;
};

type Source = (signal: AbortSignal) => AsyncGenerator<string>;

const nothing = z.strictObject({});
const listQuery = z.strictObject({
  ...filterShape,
  orderBy: z.enum(['createdAt', 'endedAt', 'id']).optional(),
  direction: z.enum(['asc', 'desc']).optional(),
  limit: z.int().min(1).max(1_000).default(100),
});
const logQuery = z.strictObject({
  instanceId: instanceIdSchema.optional(),
  level: z.enum(['debug', 'info', 'warn', 'error']).optional(),
  afterSeq: z.int().min(0).optional(),
});

/** All open streams of a server. */
export class EventStreams {
  readonly #options: ResolvedHttpOptions;
  readonly #context: SurfaceContext;
  readonly #feeds: InstanceFeeds;
  readonly #snapshots = new SharedPolls<Snapshot>();
  readonly #open = new Set<() => void>();
  /** Path below the prefix, and what opens a stream there. */
  readonly routes: readonly (readonly [string, (request: StreamRequest) => Promise<Read<Response>> | Read<Response>])[] = [
    ['/instances/:id/events', (request) => this.#instance(request)],
    ['/streams/instances', (request) => this.#instances(request)],
    ['/streams/logs', (request) => this.#logs(request)],
    ['/streams/stats', (request) => this.#stats(request)],
  ];

  /**
   * @param options - limits and pauses
   * @param context - what is looked at
   */
  constructor(options: ResolvedHttpOptions, context: SurfaceContext) {
    this.#options = options;
    this.#context = context;
    this.#feeds = new InstanceFeeds(context.client, options.pollMs);
  }

  /** What is open, and what is looked at for it. */
  get figures(): { readonly streams: number; readonly watched: number } {
    return { streams: this.#open.size, watched: this.#feeds.size + this.#snapshots.size };
  }

  /** Ends all streams. */
  close(): void {
    for (const end of this.#open) end();
  }

  async #instance(request: StreamRequest): Promise<Read<Response>> {
    const query = read(nothing, request);
    if ('refusal' in query) return query;
    const id = check(z.strictObject({ id: instanceIdSchema }), { id: request.id });
    if ('refusal' in id) return id;
    const resume = request.lastEventId === null ? null : readCursor(request.lastEventId);
    if (resume === null && request.lastEventId !== null) return wrongId('<executionId>:<eventId>');
    if ((await this.#context.client.getState(request.id)) === null) throw notFound(request.id);
    return this.#serve(request, (signal) => followInstance(() => this.#feeds.get(request.id), resume, signal));
  }

  #instances(request: StreamRequest): Read<Response> {
    const query = read(listQuery, request);
    if ('refusal' in query) return query;
    const { orderBy, direction, limit, ...filter } = query.value as z.output<typeof listQuery>;
    const options: ListOptions = {
      ...toFilter(filter),
      ...(orderBy !== undefined && { orderBy }),
      ...(direction !== undefined && { direction }),
      limit,
    };
    const find = (): SharedPoll<Snapshot> =>
      this.#snapshots.get(`instances ${encodeRecord(options)}`, {
        read: async () => {
          const { instances, cursor } = await this.#context.client.listInstances(options);
          return toSnapshot({ instances: instances.map((instance) => toWireInstance(instance)), cursor });
        },
        print: ({ digest }) => digest,
        pauseMs: this.#options.listPollMs,
      });
    return this.#serve(request, (signal) => followSnapshots(find, { event: 'instances', lastDigest: request.lastEventId }, signal));
  }

  #stats(request: StreamRequest): Read<Response> {
    const query = read(nothing, request);
    if ('refusal' in query) return query;
    const find = (): SharedPoll<Snapshot> =>
      this.#snapshots.get('stats', {
        read: async () => toSnapshot(await readStats(this.#context)),
        print: ({ digest }) => digest,
        pauseMs: this.#options.listPollMs,
      });
    return this.#serve(request, (signal) => followSnapshots(find, { event: 'stats', lastDigest: null }, signal));
  }

  #logs(request: StreamRequest): Read<Response> {
    const { logs } = this.#context;
    if (logs === null) return { refusal: refuse('NOT_OFFERED', 'This server was started without `logs`') };
    const query = read(logQuery, request);
    if ('refusal' in query) return query;
    const { afterSeq, ...filter } = query.value as z.output<typeof logQuery>;
    const { lastEventId } = request;
    if (lastEventId !== null && !/^\d{1,15}$/.test(lastEventId)) return wrongId('<seq>');
    const from = lastEventId === null ? (afterSeq ?? null) : Number(lastEventId);
    return this.#serve(request, (signal) => followLogs(logs, { filter: filter as LogFilter, afterSeq: from }, signal));
  }

  /**
   * Serves a call that tells how far it is, then what came of it.
   *
   * @param request - the call
   * @param run - runs it
   * @returns the stream, or why there is none
   */
  progress(
    request: Pick<StreamRequest, 'request' | 'requestId' | 'cut'>,
    run: (signal: AbortSignal, tell: Tell) => Promise<object>,
  ): Read<Response> {
    return this.#serve(request, (signal) =>
      followProgress((tell) => {
        const running = run(signal, tell);
        // Whoever has gone is told nothing.
        running.catch((error: unknown) => {
          if (signal.aborted) this.#options.logger.warn({ error, requestId: request.requestId }, 'a call failed after its reader had gone');
        });
        return running;
      }, signal),
    );
  }

  #serve({ request, requestId, cut }: Pick<StreamRequest, 'request' | 'requestId' | 'cut'>, source: Source): Read<Response> {
    if (this.#open.size >= this.#options.maxStreams) {
      return {
        refusal: refuse('TOO_MANY_STREAMS', `${this.#open.size} streams are open, as many as this server serves`, { retryAfterS: 5 }),
      };
    }
    const { response, end } = eventStream(source, {
      stallMs: this.#options.stallMs,
      signal: request.signal,
      cut,
      onFailure: (error) => this.#tell(error, requestId),
      onEnd: () => this.#open.delete(end),
    });
    this.#open.add(end);
    return { value: response };
  }

  #tell(error: unknown, requestId: string): StreamEvent {
    const failure = toSurfaceFailure(error);
    if (failure === null || failure.status === 500) this.#options.logger.error({ error, requestId }, 'a stream failed');
    const refusal =
      failure === null
        ? refuse('INTERNAL_ERROR', 'Something unexpected went wrong. The log of the server has it under the request id')
        : refuseFailure(failure);
    return { event: 'error', data: encodeRecord(toProblem(refusal, requestId)) };
  }
}

function read(schema: z.ZodObject, { parameters }: StreamRequest): Read<Record<string, unknown>> {
  const query = readQuery(schema, parameters);
  return 'refusal' in query ? query : check(schema, query.value);
}

function wrongId(form: string): Read<Response> {
  return { refusal: refuse('REQUEST_INVALID', `Expected the last event id to have the form ${form}`) };
}
