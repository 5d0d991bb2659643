// Asking others until they are done: a real server on this machine, asked by activities.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postOnce, runJob, waitByChild, waitOften, waitSeldom, watchWeather } from './fixtures/polling.ts';
import { inEveryMode } from './world.ts';

/** Jobs that are done after a number of looks, or when the test says so. */
class JobServer {
  readonly jobs: string[] = [];
  readonly looks = new Map<string, number>();
  weather = 'rain';
  readonly #done = new Set<string>();
  readonly #keys = new Set<string>();
  readonly #server: Server = createServer((request, response) => {
    const { pathname: path } = new URL(request.url ?? '', 'http://localhost');
    const look = (this.looks.get(path) ?? 0) + 1;
    if (request.method === 'POST') {
      const key = String(request.headers['idempotency-key']);
      if (!this.#keys.has(key)) this.jobs.push(path);
      this.#keys.add(key);
      // The job is taken, but the first answer gets lost on the way.
      response.writeHead(this.looks.has(path) ? 202 : 503, { location: path }).end();
      this.looks.set(path, 0);
      return;
    }
    this.looks.set(path, look);
    if (path === '/weather') response.writeHead(200).end(this.weather);
    else if (path.endsWith('-4') ? look >= 4 : this.#done.has(path)) response.writeHead(200).end(`result of ${path}`);
    else response.writeHead(202).end();
  });

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  finish(path: string): void {
    this.#done.add(path);
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

inEveryMode({ module: 'polling.ts' }, (world) => {
  const server = new JobServer();
  beforeAll(() => server.open());
  afterAll(() => server.close());

  test('asynchronous HTTP: the job is posted once though the first answer is lost, then polled with durable timers until it is done', async () => {
    await world.client.startOrchestration('job', runJob, `${server.url}/job-4`);
    await world.reach('job', (status: unknown) => (status as { readonly polls: number } | undefined)?.polls !== undefined);
    await world.interrupt();
    expect(await world.result('job')).toEqual({ polls: 4, body: 'result of /job-4' });
    expect(server.jobs.filter((path) => path === '/job-4')).toHaveLength(1);
    const outline = await world.outline('job');
    expect(outline.slice(0, 7)).toEqual([
      'OrchestrationStarted runJob',
      'ActivityScheduled callHttp',
      'ActivityFailed callHttp',
      'TimerCreated',
      'TimerFired',
      'ActivityScheduled callHttp',
      'ActivityCompleted callHttp',
    ]);
    const poll = ['ActivityScheduled callHttp', 'ActivityCompleted callHttp'];
    const pause = ['CustomStatusSet', 'TimerCreated', 'TimerFired'];
    expect(outline.slice(7)).toEqual([...poll, ...pause, ...poll, ...pause, ...poll, ...pause, ...poll, 'OrchestrationCompleted']);
  });

  test('asynchronous HTTP: instance, execution and event are the same key for all attempts of a retry policy', async () => {
    await world.client.startOrchestration('post', postOnce, `${server.url}/post`);
    expect(await world.result('post')).toBe(202);
    expect(server.jobs.filter((path) => path === '/post')).toHaveLength(1);
  });

  test('frequent polling: one activity polls on, and goes on from its heartbeat when its runtime died', async () => {
    await world.client.startOrchestration('often', waitOften, `${server.url}/often`);
    const polled = (count: number): Promise<unknown> =>
      world.log.waitFor(({ message, fields }) => message === 'polled' && Number(fields['polls']) >= count);
    await polled(3);
    await world.interrupt(0);
    await polled(6);
    server.finish('/often');
    const { polls } = await world.result<{ readonly polls: number }>('often');
    expect(polls).toBeGreaterThanOrEqual(7);
    // A look whose answer came after the last heartbeat is counted by the server only.
    expect((server.looks.get('/often') ?? 0) - polls).toBeOneOf([0, 1]);
    expect(await world.outline('often')).toEqual([
      'OrchestrationStarted waitOften',
      'ActivityScheduled pollOften',
      'ActivityCompleted pollOften',
      'OrchestrationCompleted',
    ]);
  });

  test('infrequent polling: the retry policy asks again, each attempt is an event', async () => {
    await world.client.startOrchestration('seldom', waitSeldom, `${server.url}/seldom-4`);
    await world.interrupt();
    expect(await world.result('seldom')).toBe('result of /seldom-4');
    const outline = await world.outline('seldom');
    expect(outline.filter((line) => line.startsWith('Activity'))).toEqual([
      ...Array.from({ length: 3 }, () => ['ActivityScheduled lookOnce', 'ActivityFailed lookOnce']).flat(),
      'ActivityScheduled lookOnce',
      'ActivityCompleted lookOnce',
    ]);
  });

  test('polling in a sequence: a child polls through many executions, its parent waits for one result', async () => {
    await world.client.startOrchestration('sequence', waitByChild, `${server.url}/sequence`);
    await world.reach('sequence', 'child started');
    await world.reach('sequence-child', (status: unknown) => Number((status as { readonly looks: number } | undefined)?.looks) >= 6);
    await world.interrupt();
    server.finish('/sequence');
    const { looks } = await world.result<{ readonly looks: number }>('sequence');
    expect(looks).toBe(server.looks.get('/sequence'));
    const child = await world.client.getState('sequence-child');
    expect(child).toMatchObject({ status: 'Completed', result: { looks }, executionId: Math.ceil(looks / 3) });
    expect(await world.outline('sequence')).toEqual([
      'OrchestrationStarted waitByChild',
      'SubOrchestrationScheduled lookAround',
      'CustomStatusSet',
      'SubOrchestrationCompleted lookAround',
      'OrchestrationCompleted',
    ]);
  });
});

describe('monitor', () => {
  inEveryMode({ module: 'polling.ts', simulated: true }, (world) => {
    const server = new JobServer();
    beforeAll(() => server.open());
    afterAll(() => server.close());

    test('it looks every ten minutes until the weather is clear', async () => {
      server.weather = 'rain';
      await world.client.startOrchestration('monitor', watchWeather, `${server.url}/weather`);
      for (let looks = 1; looks <= 3; looks += 1) {
        await world.reach('monitor', { looks, weather: 'rain' });
        if (looks === 2) await world.interrupt();
        if (looks === 3) server.weather = 'clear';
        await world.pass(10);
      }
      expect(await world.result('monitor')).toBe('clear after 4 looks');
      const { createdAt, updatedAt } = (await world.client.getState('monitor')) ?? {};
      expect(Number(updatedAt) - Number(createdAt)).toBeGreaterThanOrEqual(30 * 60_000);
    });

    test('it gives up after forty minutes', async () => {
      server.weather = 'fog';
      await world.client.startOrchestration('hopeless', watchWeather, `${server.url}/weather`);
      for (let looks = 1; looks <= 4; looks += 1) {
        await world.reach('hopeless', { looks, weather: 'fog' });
        if (looks === 3) await world.interrupt();
        await world.pass(10);
      }
      expect(await world.result('hopeless')).toBe('gave up');
      expect((await world.outline('hopeless')).filter((line) => line === 'TimerFired')).toHaveLength(4);
    });
  });
});
