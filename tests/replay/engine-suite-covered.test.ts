// The count of the engine suite: which of its cases other tests cover already, by the words of their titles. The others are in
// engine-suite.test.ts. A test that is renamed must be renamed here: nothing of the suite gets lost unseen.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const folder = new URL('./', import.meta.url);
const sources = new Map(
  readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => [name.replace('.test.ts', ''), readFileSync(new URL(name, folder), 'utf8')]),
);

/** Cases of a group that have a test in another file. */
const covered: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'action to event (14)': {
    decisions: [
      'an activity by name',
      'a timer in milliseconds',
      'a wait for an event',
      'a child with an automatic id',
      'a child by definition with id and version',
      'a detached start',
      'a custom status',
      'a reset of the custom status',
    ],
    retry: ['keeps routing and input for all attempts', 'is a timer after the first attempt, given up with the result'],
    'key-values': ['records each change and tells the store, in order'],
    topics: [
      'is an event and an effect, once',
      'is an event and a message for every subscriber, in order, once',
      'is an event and a message, in order, once',
    ],
  },
  'cancellation (5)': {
    cancellation: [
      'rejects everything open with CancelledError, in the order of the ids, and ends the instance cancelled',
      'counts once; the first reason stays',
      'lets the code clean up with status and detached starts, and ends cancelled though it returns',
      'in the first turn comes after the code has begun',
      'takes no more messages',
    ],
  },
  'completion messages (11)': {
    completions: [
      "'ActivityCompleted',",
      "'ActivityFailed',",
      "'TimerFired',",
      "'EventRaised',",
      "'SubOrchestrationCompleted',",
      "'SubOrchestrationFailed',",
      'a completion of an unknown event',
      'an activity completion of a timer',
      'a completion of an earlier execution',
      'a completion of a later execution',
      '%s: the first wins',
    ],
  },
  'composition (7)': {
    combinators: [
      'all of an array',
      'allSettled waits for all and cancels none',
      'all rejects with the first rejection in history order and cancels the rest',
      'any takes the first that resolves and cancels the rest',
      'race rejects when the first to settle rejects',
      'inside nested groups are cancelled depth first',
      'let the event that came first win, however many helpers are in between',
    ],
  },
  'id allocation (4), 3 of them': {
    decisions: [
      'get their ids in the order of the calls, not of the awaits',
      'number the events of each turn without a gap',
      'stand directly after the input event that caused them',
    ],
  },
  'history corruption (30)': {
    'validate-history': [
      'refuses an empty history as a whole',
      'refuses an event that is %s',
      "'no kind', undefined]",
      "'an unknown kind', 'ActivityVanished']",
      "'a message kind', 'InstanceFaulted']",
      "'a kind of Object.prototype', 'toString']",
      "'a kind that is an object', {}]",
      'refuses the id %s where 2 is due',
      'refuses ids that do not begin at 1',
      'refuses the time %s',
      'refuses times that decrease',
      'refuses a history that begins with another event',
      'refuses a second start',
      'refuses $kind that is not the last',
      'refuses a second cancel request',
      'refuses an engine behaviour that is newer',
      'refuses %s with a bad %s',
      'accepts %s of its decision and of no other event',
      'refuses %s after another completion or after the cancellation',
      'accepts one FutureCancelled of $kind',
      'refuses FutureCancelled of anything else',
      'names the first event at fault',
      'looks at own fields only',
      'takes a hundred thousand events',
      'has no %s of another execution',
      'has no timer that fired before it was due',
      'has no failure whose cause is %s',
      'has no %s that cannot be shown as text',
      'has no failure with a stack that is no text',
      'accepts fields that it does not know, for later versions',
    ],
  },
  'is replaying (4), 1 of them': { 'deterministic-helpers': ['is true for recorded events only'] },
  'key-values (27)': {
    'key-values': [
      "'get of nothing'",
      "'get',",
      "'get after overwriting'",
      "'get after deleting'",
      "'get of null'",
      "'get of text'",
      "'delete of something'",
      "'delete of nothing'",
      "'size'",
      "'keys of nothing'",
      "'keys, by code units'",
      "'entries',",
      "'clear, in the order of the keys'",
      "'set after clear'",
      "'prune of nothing'",
      "'prune by zero'",
      "'prune of all, in the order of the keys'",
      'reads over turns what earlier turns wrote, and nothing of later ones (T17)',
      'prunes by the recorded time of each change, also over turns and on replay (T14)',
      'is written in a branch that wins, and not in one that lost',
      'stays between activities and timers in the order of the calls',
      'is told to the store once, not by a replay',
      "'another key'",
      "'another value'",
      "'a change that is missing'",
      "'a change that was added'",
      'keeps values',
    ],
  },
  'nondeterminism (20)': {
    nondeterminism: [
      "'name of an activity'",
      "'input of an activity'",
      "'name of a wait'",
      "'name of a child'",
      "'input of a child'",
      "'id of a child'",
      "'version of a child'",
      "'name of a detached start'",
      "'value of a status'",
      "'kind of a decision'",
      'finds %s that is missing from the code',
      'finds %s that was added before what history has',
      'finds %s that was added where history has an input event',
      'finds %s that was added where history ends',
      'a decision is missing at the end of an event',
      'it returns where history goes on with an input event',
      'it waits where history ends the orchestration',
      "'another result'",
      "'the due time of a timer'",
      'cannot be talked out of it by code that catches the error',
    ],
  },
  'panics (3)': {
    errors: ['may be thrown before the first await or after', "'text', () => 'text'", "'an error with a cause'"],
  },
  'sub-orchestrations (4)': {
    'sub-orchestrations': [
      'makes the answer a message that the parent can read',
      'of an id in use make the parent see INSTANCE_EXISTS (T4)',
      'answer their parents across continue-as-new on both sides',
      'fail their parent with name, message, code and cause',
    ],
  },
};

describe('cases of the engine suite that other tests cover', () => {
  const groups = Object.entries(covered);
  it.each(groups)('%s', (group, files) => {
    const missing = Object.entries(files).flatMap(([file, titles]) =>
      titles.filter((title) => !(sources.get(file) ?? '').includes(title)).map((title) => `${file}: ${title}`),
    );
    expect(missing).toEqual([]);
    const count = Number(/(\d+) of them$/.exec(group)?.[1] ?? /\((\d+)\)/.exec(group)?.[1]);
    expect(Object.values(files).flat()).toHaveLength(count);
  });
});
