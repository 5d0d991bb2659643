// Restate: a server of its own (one node, its data in RocksDB), which calls handlers in this process over HTTP. Steps run inline in the handler.
/** @import { Driver, DriverTask } from '../driver.ts' */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as restate from '@restatedev/restate-sdk';
import { connect } from '@restatedev/restate-sdk-clients';
import { freePort } from '../../../postgres-server/port.ts';
import { Probe } from '../probe.ts';

/** How long the server may take to start, and how often it is asked. */
const START_MS = 20_000;
const START_POLL_MS = 50;

/**
 * @param {DriverTask} task - knobs: `partitions` of the server
 * @returns {Promise<Driver<any>>} the driver
 */
export async function open({ knobs, folder }) {
  const probe = new Probe();
  const workflows = makeWorkflows(probe);
  const logger = () => undefined;
  const endpointPort = await restate.serve({ services: Object.values(workflows), port: 0, logger });
  const server = await startServer(folder, knobs);
  await register(server.adminUrl, endpointPort);
  const client = connect({ url: server.ingressUrl });
  return {
    start: async (kind, id, input) => {
      const workflow = client.workflowClient(workflows[kind], id);
      await workflow.workflowSubmit({ id, ...input });
      // Not the workflow itself: it has a method of any name, also `then`.
      return { workflow };
    },
    result: ({ workflow }) => workflow.workflowAttach(),
    raise: async ({ workflow }) => {
      await workflow.go(1);
    },
    untilWaiting: (count) => probe.untilWaiting(count),
    untilCompleted: (_handles, total) => probe.untilCompleted(total, () => readCounts(server.adminUrl)),
    activitiesRun: () => probe.activities,
    close: () => server.stop(),
  };
}

/** @param {Probe} probe */
function makeWorkflows(probe) {
  const run = (ctx, index, delayMs, loops) => ctx.run(`step${index}`, () => probe.work(index, delayMs, loops));
  return {
    fan: restate.workflow({
      name: 'fan',
      handlers: {
        run: async (ctx, { id, width, delayMs, loops }) => {
          const results = await restate.RestatePromise.all(Array.from({ length: width }, (_, index) => run(ctx, index, delayMs, loops)));
          probe.noteEnd(id);
          return results.length;
        },
      },
    }),
    chain: restate.workflow({
      name: 'chain',
      handlers: {
        run: async (ctx, { id, steps }) => {
          for (let index = 0; index < steps; index += 1) await run(ctx, index, 0, 0);
          probe.noteEnd(id);
          return steps;
        },
      },
    }),
    wait: restate.workflow({
      name: 'wait',
      handlers: {
        run: async (ctx, { id }) => {
          probe.noteWaiting(id);
          const data = await ctx.promise('go');
          probe.noteEnd(id);
          return data;
        },
        go: (ctx, data) => ctx.promise('go').resolve(data),
      },
    }),
  };
}

/**
 * @param {string} folder
 * @param {Readonly<Record<string, number>>} knobs
 */
async function startServer(folder, knobs) {
  const [ingress, admin, node] = [await freePort(), await freePort(), await freePort()];
  const platformPackage = `@restatedev/restate-server-${process.platform}-${process.arch}/package.json`;
  const binary = join(dirname(createRequire(import.meta.url).resolve(platformPackage)), 'bin', 'restate-server');
  // The shell ends the server when its input ends, which it does when this process is gone, however that ended.
  const shell = spawn(
    '/bin/sh',
    ['-c', '"$@" & read -r _; kill -9 $!', 'sh', binary, '--base-dir', folder, '--node-name', 'bench', '--no-logo'],
    {
      cwd: folder,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {
        ...process.env,
        RUST_LOG: 'error',
        RESTATE_DISABLE_TELEMETRY: 'true',
        RESTATE_LISTEN_MODE: 'tcp',
        RESTATE_DEFAULT_NUM_PARTITIONS: String(knobs.partitions),
        RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
        RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
        RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
      },
    },
  );
  const ended = new Promise((resolve) => shell.once('exit', resolve));
  return {
    ingressUrl: `http://127.0.0.1:${ingress}`,
    adminUrl: `http://127.0.0.1:${admin}`,
    stop: async () => {
      shell.stdin.end();
      await ended;
    },
  };
}

async function register(adminUrl, endpointPort) {
  const untilMs = performance.now() + START_MS;
  for (;;) {
    let answer;
    try {
      const response = await post(`${adminUrl}/deployments`, { uri: `http://127.0.0.1:${endpointPort}` });
      if (response.ok) return;
      answer = await response.text();
    } catch (error) {
      // It refuses connections until it listens.
      answer = String(error.cause ?? error);
    }
    if (performance.now() > untilMs) throw new TypeError(`the server did not start: ${answer}`);
    await delay(START_POLL_MS);
  }
}

async function readCounts(adminUrl) {
  const query =
    "SELECT count(*) AS ended, count(completion_failure) AS failed FROM sys_invocation WHERE status = 'completed' AND target_handler_name = 'run'";
  const response = await post(`${adminUrl}/query`, { query });
  const { rows } = await response.json();
  const [{ ended, failed }] = rows;
  return { completed: Number(ended) - Number(failed), failed: Number(failed) };
}

function post(url, body) {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(body),
  });
}
