// What golden histories with search attributes were recorded from. Frozen, as orchestrations.ts is.
import { defineOrchestration, type Attributes } from 'duraloom';

/** Begins with some, changes them over two generations, and gives others to those that it starts. */
export const attributes = defineOrchestration('attributes', async (ctx, round: number): Promise<Attributes> => {
  ctx.setAttributes({ round, draft: true, name: 'Ключ 😀 "1"', toString: -1.5e21, 10: false });
  const inherited = await ctx.scheduleSubOrchestration<Attributes>('attributesOfChild', undefined, {
    instanceId: `attributes ${round}`,
    attributes: { ...ctx.attributes, parent: 'attributes' },
  });
  ctx.startOrchestration('attributesOfChild', `attributes detached ${round}`, undefined, { attributes: { detached: true } });
  ctx.setAttributes({ draft: null, never: null, children: Object.keys(inherited).length });
  ctx.setAttributes({ vip: true });
  ctx.setAttributes({});
  return round === 1 ? await ctx.continueAsNew(2) : ctx.attributes;
});

/** Has what its start gave it. */
export const attributesOfChild = defineOrchestration('attributesOfChild', (ctx) => Promise.resolve(ctx.attributes));
