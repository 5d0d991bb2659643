// Orchestrations of the demo store: something of each kind that the dashboard shows.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';

type Order = { readonly items: readonly string[]; readonly amount: number };

/** Retries, a custom status, values, an event that somebody must raise, a child. */
export const order = defineOrchestration('order', async (ctx, { items, amount }: Order) => {
  const { reserve } = ctx.activities<typeof activities>();
  ctx.setCustomStatus({ step: 'reserving' });
  const reserved = await ctx.all(items.map((item) => reserve(item)));
  ctx.kv.set('reserved', reserved);
  ctx.setCustomStatus({ step: 'charging', amount });
  const receipt = await ctx.scheduleActivity(
    'charge',
    { order: ctx.instanceId, amount },
    { retry: { maximumAttempts: 5, backoff: 'fixed', initialIntervalMs: 80 } },
  );
  ctx.kv.set('receipt', receipt);
  ctx.setCustomStatus({ step: 'waiting for approval' });
  const approved = await ctx.race({ approval: ctx.waitForEvent<{ readonly by: string }>('approved'), reminder: ctx.scheduleTimer('2d') });
  ctx.setCustomStatus({ step: 'shipping', decidedBy: approved.key });
  const parcels = await ctx.scheduleSubOrchestration('shipment', items, { instanceId: `${ctx.instanceId}:shipment` });
  ctx.setCustomStatus({ step: 'done' });
  return { receipt, parcels };
});

/** A child of `order`; with children of its own. */
export const shipment = defineOrchestration('shipment', async (ctx, items: readonly string[]) => {
  const { label } = ctx.activities<typeof activities>();
  const labels = await ctx.all(items.map((item) => label(item)));
  await ctx.scheduleTimer('50ms');
  return labels;
});

/** A parent that waits for its children. */
export const campaign = defineOrchestration('campaign', async (ctx, regions: readonly string[]) =>
  ctx.all(regions.map((region) => ctx.scheduleSubOrchestration<string>('mailing', region, { instanceId: `${ctx.instanceId}:${region}` }))),
);

/** A child that waits for its day. */
export const mailing = defineOrchestration('mailing', async (ctx, region: string) => {
  ctx.setCustomStatus(`letters for ${region} are ready`);
  await ctx.waitForEvent('send');
  return `sent to ${region}`;
});

/** Goes on as new twice, then waits. */
export const tally = defineOrchestration('tally', async (ctx, round: number) => {
  ctx.setCustomStatus(`round ${round}`);
  if (round < 3) return ctx.continueAsNew(round + 1);
  return ctx.waitForEvent<string>('close');
});

/** Fails for good. */
export const refund = defineOrchestration('refund', async (ctx, amount: number) => {
  const { payOut } = ctx.activities<typeof activities>();
  return payOut(amount);
});

/** Waits for a machine that is not there. */
export const film = defineOrchestration('film', async (ctx, scene: string) => ctx.scheduleActivity('render', scene, { tag: 'gpu' }));

/** In `orchestrations-changed.ts` it decides otherwise: its instances that wait no longer replay. */
export const renewal = defineOrchestration('renewal', async (ctx, customer: string) => {
  const { reserve } = ctx.activities<typeof activities>();
  await reserve(`licence of ${customer}`);
  await ctx.waitForEvent('paid');
  return 'renewed';
});

/** Short, for numbers. */
export const ping = defineOrchestration('ping', async (ctx, word: string) => {
  const { label } = ctx.activities<typeof activities>();
  return label(word);
});
