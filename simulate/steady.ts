// Makes of a random program one whose result does not depend on when things happen, so that it can be compared with a pure run.
// Neighbours: tests/support/programs.ts makes programs, pure-run.ts runs them without a store.
import type { Leaf, Program } from '../tests/support/programs.ts';

/**
 * Replaces what depends on time or order by something like it that does not.
 *
 * @param program - any program
 * @param isBeside - it runs beside others of its instance
 * @returns a program with one result
 */
export function steady(program: Program, isBeside = false): Program {
  const own = (inner: Program): Program => steady(inner, isBeside);
  switch (program.op) {
    case 'value':
    case 'log':
    case 'measure':
    case 'send':
    case 'timer':
    case 'activity':
    case 'fail':
      return program;
    case 'event':
    case 'topic':
    case 'read':
    case 'retry':
      return steadyLeaf(program);
    case 'status':
      // Of two beside each other the last one would count.
      return isBeside ? { op: 'value', value: program.value } : program;
    case 'draw':
      return isBeside || program.of === 'now' ? { op: 'value', value: program.of } : program;
    case 'keyValue':
      if (isBeside) return { op: 'value', value: program.key };
      return program.how === 'prune' ? { ...program, how: 'entries' } : program;
    case 'attributes':
      return isBeside ? { op: 'value', value: program.op } : program;
    case 'choice':
      return isBeside ? own(program.left) : { ...program, left: own(program.left), right: own(program.right) };
    case 'patch':
      return { ...program, left: own(program.left), right: own(program.right) };
    case 'helper':
      return { ...program, body: own(program.body) };
    case 'scope':
      return { ...program, body: own(program.body), hops: null };
    case 'limit':
    case 'dangling':
    case 'again':
      return own(program.body);
    case 'loose':
    case 'abandoned':
    case 'shared':
      return steadyLeaf(program.body);
    case 'detached':
    case 'publish':
    case 'unsubscribe':
      return { op: 'value', value: program.op };
    case 'sequence':
      return { ...program, steps: program.steps.map(own) };
    case 'try':
      return { ...program, body: own(program.body), rescue: own(program.rescue), last: own(program.last) };
    case 'child':
      // Another instance: nothing runs beside it there. The id is drawn where it is asked for.
      return { ...program, body: steady(program.body), ownId: program.ownId && !isBeside };
    case 'group':
      // Of several failures the first one would count.
      return { ...program, by: 'allSettled', members: program.members.map((member) => steady(member, true)) };
  }
}

function steadyLeaf(leaf: Leaf): Leaf {
  switch (leaf.op) {
    case 'activity':
    case 'timer':
      return leaf;
    case 'event':
    case 'topic':
    case 'read':
      return { op: 'activity', name: 'Work', value: leaf.op, fails: false };
    case 'retry':
      // Attempts that are lost with a process count, too: it fails always or never in the end.
      return { ...leaf, failures: leaf.failures < leaf.attempts ? leaf.failures : Number.MAX_SAFE_INTEGER, jitter: 0, timeoutMs: null };
  }
}
