// Falsy, huge and hostile values through every channel, end to end on SQLite with threads: live, cold and after a restart.
import { Client, type InstanceHandle } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { fixture, modules, PATIENCE, quick, rejection, shareRuntime, stage } from '../support/integration-stage.ts';
import { makeUnwritable, UNWRITABLE, VALUES } from '../support/integration-values.ts';

const orchestrations = [modules.orchestrations, fixture('payload-orchestrations.ts')];
const names = Object.keys(VALUES);
/** Large values keep the event loop: leases are to outlast that on a slow machine, for a lost one is charged. */
const patient = { activityLockMs: 30_000, orchestrationLockMs: 30_000 };
/** A custom status may have 256 KiB. */
const smallNames = names.filter((name) => !name.startsWith('one MiB'));

/** Text, so that keys such as __proto__ count and undefined differs from null. */
function asText(value: unknown): string {
  return value === undefined ? 'undefined' : JSON.stringify(value);
}

describe.each([
  ['sticky', 64],
  ['cold', 0],
])('a value passes unharmed: %s', (_, stickyCacheMb) => {
  const shared = shareRuntime({ orchestrations, stickyCacheMb, ...patient });

  test.each(['mirror', 'viaActivity', 'viaEvent', 'viaChild', 'viaStatus', 'viaContinue', 'viaCarried', 'viaDetached'])(
    'through %s',
    async (channel) => {
      const { client } = shared;
      const run = async (name: string): Promise<string> => {
        const value = VALUES[name]?.value;
        const id = `${channel} ${name}`;
        const handle = await client.startOrchestration(id, channel, channel === 'viaEvent' || channel === 'viaCarried' ? null : value);
        if (channel === 'viaEvent' || channel === 'viaCarried') await client.raiseEvent(id, 'item', value);
        if (channel === 'viaCarried') await client.raiseEvent(id, 'continue');
        const result = await handle.result({ timeout: PATIENCE });
        if (channel !== 'viaDetached') return asText(result);
        return asText(await client.getHandle(`${id} detached`).result({ timeout: PATIENCE }));
      };
      const carried = channel === 'viaStatus' ? smallNames : names;
      const results = await Promise.all(carried.map(async (name) => [name, await run(name)] as const));
      for (const [name, result] of results) expect(result, name).toBe(asText(VALUES[name]?.expected));
      expect(({} as { readonly polluted?: unknown }).polluted).toBeUndefined();
    },
  );
});

test('a number that was written in an unusual way replays like any other', async () => {
  const { client } = await stage().open({ orchestrations, stickyCacheMb: 0 });
  const handle = await client.startOrchestration('raw', 'rawNumber');
  expect(await handle.result({ timeout: PATIENCE })).toEqual([1, 2]);
});

describe('clients', () => {
  const shared = shareRuntime({ orchestrations, ...patient });

  test('see results and custom status as they were given', async () => {
    const { client } = shared;
    await Promise.all(
      smallNames.map(async (name) => {
        const handle = await client.startOrchestration(name, 'viaStatus', VALUES[name]?.value);
        await handle.result({ timeout: PATIENCE });
        const { result, customStatus, customStatusVersion } = await handle.state();
        expect(asText(result), name).toBe(asText(VALUES[name]?.expected));
        expect(asText(customStatus), name).toBe(asText(VALUES[name]?.expected));
        expect(customStatusVersion).toBe(1);
      }),
    );
  });

  test('are refused what is no JSON value, and nothing is left behind', async () => {
    const { client } = shared;
    const waiting = await client.startOrchestration('waiting', 'viaEvent');
    for (const [name, code] of Object.entries(UNWRITABLE)) {
      const value = makeUnwritable(name);
      const error = await rejection(client.startOrchestration(`refused ${name}`, 'mirror', value));
      expect(error).toMatchObject({ name: 'PayloadError', code });
      expect(error.message).toContain("input of orchestration 'mirror'");
      expect(await client.getState(`refused ${name}`)).toBeNull();
      expect(await rejection(client.raiseEvent('waiting', 'item', value))).toMatchObject({ name: 'PayloadError', code });
    }
    await client.raiseEvent('waiting', 'item', 'fine');
    expect(await waiting.result({ timeout: PATIENCE })).toBe('fine');
  });
});

describe('a value that cannot be a payload', () => {
  // One turn encodes eight payloads over the limit: seconds on a busy machine, and no endless loop.
  const shared = shareRuntime({ orchestrations, turnTimeoutMs: 30_000, ...patient });

  test.each(Object.entries(UNWRITABLE))('is refused with a typed error in every channel: %s', async (name, code) => {
    const handle = await shared.client.startOrchestration(`refusals ${name}`, 'refusals', name);
    expect(await handle.result({ timeout: PATIENCE })).toEqual({
      activity: code,
      child: code,
      detached: code,
      status: code,
      continueAsNew: code,
      'activity result': code,
      'child result': code,
    });
    expect(await shared.client.getState(`refusals ${name} detached`)).toBeNull();
  });

  test.each(Object.entries(UNWRITABLE))('fails the orchestration that returns it: %s', async (name, code) => {
    const handle = await shared.client.startOrchestration(`gives ${name}`, 'givesUnwritable', name);
    const error = await rejection(handle.result({ timeout: PATIENCE }));
    expect(error).toMatchObject({ code: 'ORCHESTRATION_FAILED', cause: { name: 'PayloadError', code } });
    expect(error.message).toContain("result of orchestration 'givesUnwritable'");
  });

  test('is as large as the limit allows and no larger', async () => {
    const largest = 'x'.repeat(4 * 1024 * 1024 - 2);
    const handle = await shared.client.startOrchestration<string>('largest', 'viaActivity', largest);
    expect((await handle.result({ timeout: PATIENCE })).length).toBe(largest.length);
    expect(await rejection(shared.client.startOrchestration('too large', 'viaActivity', `${largest}x`))).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    // Bytes count, not characters.
    expect(await rejection(shared.client.startOrchestration('too wide', 'viaActivity', '€'.repeat(1_400_000)))).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
  });
});

describe('a restart', () => {
  test('changes no value that an instance had received', async () => {
    const stand = stage();
    const { provider, runtime, client } = await stand.open({ orchestrations, ...patient });
    await Promise.all(
      names.map(async (name) => {
        await client.startOrchestration(name, 'keeper', VALUES[name]?.value);
        await client.raiseEvent(name, 'item', VALUES[name]?.value);
        await client.waitForCustomStatus(name, { afterVersion: 0, timeout: PATIENCE });
      }),
    );
    await runtime.shutdown();
    await provider.close();

    const second = await stand.openProvider();
    await stand.startRuntime({ provider: second, ...modules, ...quick, orchestrations, ...patient });
    const again = new Client(second);
    await Promise.all(
      names.map(async (name) => {
        await again.raiseEvent(name, 'go');
        const handle: InstanceHandle<Readonly<Record<string, unknown>>> = again.getHandle(name);
        const got = await handle.result({ timeout: PATIENCE });
        const expected = VALUES[name]?.expected;
        for (const channel of ['result', 'data', 'child']) expect(asText(got[channel]), `${name} ${channel}`).toBe(asText(expected));
      }),
    );
  });
});
