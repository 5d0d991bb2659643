// What the compiler knows of a test runtime: mocks, calls and waits are typed by the activities. The lines with errors are checked by tsc.
import { createTestRuntime, type ActivityCall, type ActivityMocks, type TestRuntime } from 'duraloom/testing';
import { describe, expect, expectTypeOf, test } from 'vitest';
import * as activities from './fixtures/shop-activities.ts';
import * as orchestrations from './fixtures/shop-orchestrations.ts';

type Shop = typeof activities;
type Order = activities.Order;

describe('types of a test runtime', () => {
  test('of mocks follow the activities', () => {
    expectTypeOf<keyof ActivityMocks<Shop>>().toEqualTypeOf<'charge' | 'refund' | 'ship'>();
    const good: ActivityMocks<Shop> = { charge: (ctx, order) => `${ctx.attempt} ${order.id}`, ship: async (_, id) => ({ parcel: id }) };
    // @ts-expect-error: there is no such activity
    const unknown: ActivityMocks<Shop> = { chrage: () => 'receipt' };
    // @ts-expect-error: it returns another type
    const wrongOutput: ActivityMocks<Shop> = { ship: () => 'parcel' };
    // @ts-expect-error: it takes another type
    const wrongInput: ActivityMocks<Shop> = { charge: (_ctx, order: number) => `${order}` };
    expect([good, unknown, wrongOutput, wrongInput].map((mocks) => Object.keys(mocks).length)).toEqual([2, 1, 1, 1]);
  });

  test('also of lists of definitions, and of any name for addresses', () => {
    expectTypeOf<keyof ActivityMocks<readonly [typeof activities.charge]>>().toEqualTypeOf<'charge'>();
    const loose: ActivityMocks<never> = { anything: (_ctx, order: Order) => order.id };
    const mixed: ActivityMocks<(Shop | URL)[]> = { ...loose, charge: (_ctx, order) => order.id };
    expect(Object.keys(mixed)).toEqual(['anything', 'charge']);
  });

  test('of the parameters of mocks need not be written', async () => {
    await using module = await createTestRuntime({ orchestrations, activities, mocks: { charge: (ctx, order) => ctx.name + order.id } });
    await using list = await createTestRuntime({
      orchestrations,
      activities: [activities.charge, activities.refund],
      mocks: { refund: (_, receipt) => receipt.toUpperCase() },
    });
    await using types = await createTestRuntime<Shop>({ orchestrations, mocks: { ship: async (_, id) => ({ parcel: id.trim() }) } });
    expect([module, list, types].map(({ now }) => now.getTime())).toEqual([0, 0, 0].map(() => Date.UTC(2030, 0, 1)));
  });

  test('of calls and waits follow the activity', async () => {
    await using runtime = await createTestRuntime({ orchestrations, activities });
    expectTypeOf(runtime).toEqualTypeOf<TestRuntime<Shop>>();
    expectTypeOf(runtime.calls('charge')).toEqualTypeOf<readonly ActivityCall<Order, string>[]>();
    // @ts-expect-error: there is no such activity
    expect(runtime.calls('chrage')).toEqual([]);
    // @ts-expect-error: the input is missing
    expect(() => runtime.start(orchestrations.checkout)).not.toThrow();
    const handle = await runtime.start(orchestrations.checkout, { id: 'a', cents: 1 });
    await handle.raiseEvent('stock', 'Rome');
    expectTypeOf(await runtime.waitFor('ship')).toEqualTypeOf<ActivityCall<string, { readonly parcel: string }>>();
    expectTypeOf(await handle.result()).toEqualTypeOf<string>();
  });
});
