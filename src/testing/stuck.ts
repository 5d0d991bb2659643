// The error for a test that waits for what can never happen. Neighbours: time-skipper.ts finds it out, replay/open-decisions.ts reads histories.
import type { Client } from '../client/client.ts';
import type { InstanceState } from '../client/instance-state.ts';
import { describeOpenDecisions } from '../replay/open-decisions.ts';
import { StuckError } from '../types/errors.ts';
import { isEnded } from '../types/instance.ts';

/** Instances that are read at most. Reason: the error is for a person. */
const MAX_INSTANCES = 1_000;
/** Living instances that the message shows. */
const MAX_SHOWN = 20;

type StuckInstance = StuckError['instances'][number];

/**
 * Makes the error.
 *
 * @param client - of the store
 * @param situation - what the test waits for, the simulated time, and which orchestrations the runtime has
 * @returns the error, with what each living instance waits for
 */
export async function makeStuckError(
  client: Client,
  situation: { readonly waits: readonly string[]; readonly nowMs: number; readonly orchestrations: readonly string[] },
): Promise<StuckError> {
  const { waits, nowMs, orchestrations } = situation;
  const { instances: states } = await client.listInstances({ limit: MAX_INSTANCES, orderBy: 'id' });
  const living = states.filter(({ status }) => !isEnded(status));
  const instances = await Promise.all(living.map((state) => describe(client, state, orchestrations)));
  const lines = instances
    .slice(0, MAX_SHOWN)
    .map(({ instanceId, name, status, waitsFor }) => `\n- '${instanceId}' (${name}, ${status}) waits for ${waitsFor.join(', ')}`);
  if (instances.length > MAX_SHOWN) lines.push(`\n- and ${instances.length - MAX_SHOWN} more`);
  const message =
    `the test waits for ${waits.join(' and ')}, and nothing can happen any more: no code runs and no timer is set. ` +
    'Raise the event, answer the activity or start the instance before you wait. ' +
    `It is ${new Date(nowMs).toISOString()}, and ${instances.length === 0 ? `none of ${states.length} instances is alive` : `these instances are alive:${lines.join('')}`}`;
  return new StuckError(message, instances);
}

async function describe(client: Client, state: InstanceState, orchestrations: readonly string[]): Promise<StuckInstance> {
  const { instanceId, name, status } = state;
  return { instanceId, name, status, waitsFor: await describeWaits(client, state, orchestrations) };
}

async function describeWaits(client: Client, state: InstanceState, orchestrations: readonly string[]): Promise<readonly string[]> {
  const { instanceId, name, status, error } = state;
  if (status === 'Quarantined') return [`a person, because it is quarantined: ${error?.message ?? ''}`];
  if (status === 'Suspended') return ['resume()'];
  if (!orchestrations.includes(name)) return [`its code: this runtime has only ${orchestrations.join(', ') || 'no orchestrations'}`];
  const waits = describeOpenDecisions(await client.readHistory(instanceId));
  return waits.length === 0 ? ['its first turn'] : waits;
}
