// What a thread has registered: which version is found, how it is shown, and what schemas tell of themselves.
import { defineActivity, defineOrchestration, defineTransactionalActivity, withPrefix, type TransactionSource } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { Registry, toThreadSource, type DefinitionSource } from '../../src/threads/registry.ts';
import { chooseVersion } from '../../src/threads/versions.ts';

const order = (version: string) => defineOrchestration('order', () => version, { version });

async function orchestrations(...sources: readonly DefinitionSource[]): Promise<Registry<'orchestration'>> {
  const registry = new Registry('orchestration');
  await registry.load(sources.map(toThreadSource));
  return registry;
}

describe('orchestrations', () => {
  test('are found by exact version, by range, and the latest without one', async () => {
    const registry = await orchestrations(order('1.2.0'), order('2.0.0'), order('1.10.0'));
    const found = [undefined, '1.2.0', '^1', '3.0.0', 'no version'].map((version) => registry.find('order', version)?.version ?? null);
    expect(found).toEqual(['2.0.0', '1.2.0', '1.10.0', null, null]);
    expect(registry.find('other')).toBeNull();
    expect(registry.list().map(({ version }) => version)).toEqual(['2.0.0', '1.10.0', '1.2.0']);
  });

  test('may be given twice when they are the same', async () => {
    const one = order('1.0.0');
    expect((await orchestrations(one, one)).list()).toHaveLength(1);
    await expect(orchestrations(one, order('1.0.0'))).rejects.toMatchObject({ code: 'DEFINITION_DUPLICATE' });
  });

  test('have the names of their package behind a prefix', async () => {
    const registry = await orchestrations(withPrefix('shop.', order('1.0.0')));
    expect(registry.find('shop.order')).toMatchObject({ name: 'shop.order', prefix: 'shop.' });
    for (const prefix of ['/shop', 5 as never]) {
      expect(() => withPrefix(prefix, order('1.0.0'))).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }));
    }
  });

  test('are listed for people, not all of very many', async () => {
    expect((await orchestrations()).describe()).toBe('it has no orchestrations');
    expect((await orchestrations(order('1.0.0'))).describe()).toBe('registered: order@1.0.0');
    const many = Array.from({ length: 22 }, (_, index) => defineOrchestration(`o${index}`, () => 1));
    expect((await orchestrations(...many)).describe()).toMatch(/^registered: o0@1\.0\.0, .*, o19@1\.0\.0 and 2 more$/);
  });
});

test('activities have no versions', async () => {
  const registry = new Registry('activity');
  expect(registry.describe()).toBe('it has no activities');
  await registry.load([{ prefix: '', source: defineActivity('charge', () => 1) }]);
  expect([registry.describe(), registry.find('charge')?.name]).toEqual(['registered: charge', 'charge']);
  expect(registry.list()).toEqual([{ name: 'charge', version: null }]);
});

test('schemas tell their library, and their JSON Schema when there is one', async () => {
  const input = z.object({ id: z.string() });
  const output = z.string().transform((text) => text.length);
  const definition = defineOrchestration('typed', (_ctx, given: { readonly id: string }) => given.id.length, {
    input,
    output,
    events: { paid: z.number() },
  });
  const [listed] = (await orchestrations(definition)).list();
  expect(listed?.schemas).toMatchObject({
    input: { vendor: 'zod', jsonSchema: { type: 'object', required: ['id'] } },
    output: { vendor: 'zod' },
    'event paid': { vendor: 'zod', jsonSchema: { type: 'number' } },
  });
});

test.each<readonly [readonly string[], string | undefined, string | undefined, string | null]>([
  [['1.0.0', '1.1.0'], undefined, undefined, '1.1.0'],
  [['1.0.0', '1.1.0'], undefined, 'latest', '1.1.0'],
  [['1.0.0', '1.1.0'], undefined, '1.0.0', '1.0.0'],
  [['1.0.0', '1.1.0'], undefined, '~1.0', '1.0.0'],
  [['1.0.0', '1.1.0'], '^1', '1.0.0', '1.1.0'],
  [['1.0.0'], '1.0.1', undefined, null],
  [['1.0.0'], 'nonsense', undefined, null],
  [[], undefined, undefined, null],
])('of the versions %j a start that wants %s, with the policy %s, gets %s', (versions, wanted, policy, chosen) => {
  expect(chooseVersion(versions, wanted, policy)).toBe(chosen);
});

describe('transactional activities', () => {
  const source: TransactionSource<string, 'sync'> = {
    mode: 'sync',
    transact: () => Promise.resolve('done'),
    close: () => Promise.resolve(),
  };
  const step = defineTransactionalActivity('step', source, () => 'done');

  test('keep their source and code, also under a prefix, and are told apart', async () => {
    const registry = new Registry('activity');
    await registry.load([step, step, withPrefix('billing.', step), defineActivity('plain', () => 1)].map(toThreadSource));
    expect(registry.list()).toEqual([
      { name: 'step', version: null, isTransactional: true },
      { name: 'billing.step', version: null, isTransactional: true },
      { name: 'plain', version: null },
    ]);
    expect(registry.find('billing.step')?.transaction?.source).toBe(source);
    expect([...registry.sources]).toEqual([source]);
  });

  test('with a source that is none are no definitions', async () => {
    const registry = new Registry('activity');
    const broken = { ...step, transaction: { source: {}, handler: () => 1 } };
    await expect(registry.load([toThreadSource(broken as never)])).rejects.toMatchObject({ code: 'DEFINITION_INVALID' });
  });
});
