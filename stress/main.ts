// npm run stress -- kill [--rounds 20] [--starts 100] [--seed n]: host processes on one file are killed with SIGKILL at random moments;
// at the end every orchestration that was started must have completed with the right result, every activity recorded exactly once.
// Prints seed and configuration first, a verdict, and a JSON line last; exits non-zero on any violation.
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Client, validateHistory } from 'duraloom';
import { SqliteProvider } from 'duraloom/sqlite';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    starts: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
  },
});
const [rounds, starts, seed] = [Number(values.rounds), Number(values.starts), Number(values.seed)];
if (positionals[0] !== 'kill' || ![rounds, starts, seed].every((value) => Number.isInteger(value) && value >= 0)) {
  console.error('usage: npm run stress -- kill [--rounds <n>] [--starts <n>] [--seed <n>]');
  process.exit(2);
}

/** Random moments from the seed: a multiplicative congruential generator is random enough for them. */
let state = (seed % 2_147_483_646) + 1;
function random(): number {
  state = (state * 48_271) % 2_147_483_647;
  return state / 2_147_483_647;
}

/** One life of a host: killed after a random number of its starts are acknowledged and a random time, or at the end when all is done. */
async function live(life: number, isLast: boolean): Promise<readonly string[]> {
  const child = fork(new URL('./host.ts', import.meta.url), [file, `life-${life}`, String(isLast ? 0 : starts)], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const acknowledged: string[] = [];
  const killAfter = Math.floor(random() * starts);
  const delayMs = random() * 300;
  if (child.stdout === null) throw new Error('the host has no stdout');
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('started ')) acknowledged.push(line.slice('started '.length));
    if (isLast && line === 'running') child.send('finish');
    if (!isLast && acknowledged.length === killAfter) setTimeout(() => child.kill('SIGKILL'), delayMs);
  }
  const code = await exited;
  if (isLast && code !== 0) throw new Error(`the last host ended with code ${String(code)}`);
  return acknowledged;
}

/** What `mixed` must return for an input. */
function expectedResult(n: number): number {
  const fromChild = Array.from({ length: n % 4 }, (_, index) => index * index).reduce((sum, value) => sum + value, 0);
  return 2 * (n * n + fromChild + 5);
}

async function findViolations(
  started: ReadonlySet<string>,
): Promise<{ readonly violations: string[]; readonly instances: number; readonly activities: number }> {
  const provider = await SqliteProvider.open(file);
  const client = new Client(provider);
  const violations: string[] = [];
  const seen = new Set<string>();
  let activities = 0;
  for (let after: string | undefined; ;) {
    const page = await client.listInstances({ limit: 1000, ...(after === undefined ? {} : { after }) });
    for (const instance of page) {
      seen.add(instance.instanceId);
      if (instance.status !== 'Completed')
        violations.push(`${instance.instanceId} is ${instance.status}: ${instance.error?.message ?? ''}`);
      const index = Number(/^life-\d+-(\d+)$/.exec(instance.instanceId)?.[1] ?? Number.NaN);
      if (!Number.isNaN(index) && instance.result !== expectedResult(index % 20)) {
        violations.push(`${instance.instanceId} returned ${String(instance.result)}, expected ${expectedResult(index % 20)}`);
      }
      for (let executionId = 1; executionId <= instance.executionId; executionId += 1) {
        // Rejects a second completion of a decision, gaps, and everything else that a torn commit could leave.
        const history = validateHistory(await client.readHistory(instance.instanceId, executionId));
        const completed = history.filter(({ kind }) => kind === 'ActivityCompleted').length;
        const scheduled = history.filter(({ kind }) => kind === 'ActivityScheduled').length;
        activities += completed;
        if (completed !== scheduled) violations.push(`${instance.instanceId} has ${scheduled} activities and ${completed} results`);
      }
    }
    after = page.at(-1)?.instanceId;
    if (page.length < 1000) break;
  }
  for (const instanceId of started) if (!seen.has(instanceId)) violations.push(`${instanceId} was acknowledged and is lost`);
  const depths = await provider.readQueueDepths();
  if (depths.orchestratorMessages + depths.workItems > 0) violations.push(`the queues are not empty: ${JSON.stringify(depths)}`);
  await provider.close();
  return { violations, instances: seen.size, activities };
}

const folder = await mkdtemp(join(tmpdir(), 'duraloom-stress-'));
const file = join(folder, 'stress.db');
console.log(`stress kill: seed ${seed}, ${rounds} rounds, ${starts} starts a round`);
const startedMs = performance.now();
const started = new Set<string>();
for (let round = 1; round <= rounds; round += 1) for (const instanceId of await live(round, false)) started.add(instanceId);
await live(rounds + 1, true);
const { violations, instances, activities } = await findViolations(started);
const seconds = (performance.now() - startedMs) / 1000;
await rm(folder, { recursive: true });
for (const violation of violations.slice(0, 50)) console.error(`violation: ${violation}`);
console.log(
  `${instances} instances, ${activities} activities recorded, ${rounds} kills, ${seconds.toFixed(1)} s: ${violations.length} violations`,
);
console.log(JSON.stringify({ stress: 'kill', seed, rounds, starts, instances, activities, seconds, violations: violations.length }));
process.exitCode = violations.length === 0 ? 0 : 1;
