// Waits for a person, but not for ever.
import { defineOrchestration, type Duration } from 'duraloom';
import type * as activities from './activities.ts';

/** An expense to approve. */
type Expense = { readonly title: string; readonly amount: number; readonly patience: Duration };

/** What a person decided: the data of the event `decision`. */
type Decision = { readonly approved: boolean; readonly by: string };

export const approveExpense = defineOrchestration('approveExpense', async (ctx, { title, amount, patience }: Expense) => {
  const { pay } = ctx.activities<typeof activities>();
  ctx.setCustomStatus(`waiting for somebody to approve ${amount} for ${title}`);
  // The one that comes first wins, the other is cancelled.
  const winner = await ctx.race({ decision: ctx.waitForEvent<Decision>('decision'), timeout: ctx.scheduleTimer(patience) });
  ctx.setCustomStatus('decided');

  if (winner.key === 'timeout') return `nobody decided about ${title}: not paid`;
  const { approved, by } = winner.value;
  return approved ? `${await pay({ title, amount })}, approved by ${by}` : `${by} refused ${title}: not paid`;
});
