// `duraloom why`: what an instance waits for, since when, and whether anybody can help. Neighbour: instances.ts.
import type { Wait, WaitingExplanation } from '../../../index.ts';
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import type { Io } from '../io.ts';
import { required } from '../parameters.ts';
import { clean, cleanLines, moment, payload, span } from '../text.ts';

/** The command. */
export const why: Command = defineCommand({
  name: 'why',
  group: 'Look',
  summary: 'Explain what an instance waits for',
  details: 'Says since when, whether a running host can take it, and when the next attempt or timer is due. Problems come with what to do.',
  parameters: { id: required('<id>', 'Id of the instance'), ...STORE, ...JSON_OUTPUT },
  examples: [{ line: 'duraloom why order-17', what: 'why does nothing happen?' }],
  run: async (context, { id, store, json }) => {
    const { client } = await context.openStore(store);
    const explanation = await client.explainWaiting(id);
    await printResult(context, json, explanation, () => printExplanation(context.io, explanation));
    return EXIT.ok;
  },
});

function printExplanation(io: Io, { summary, waits }: WaitingExplanation): void {
  io.print(cleanLines(summary));
  for (const wait of waits) {
    const since = 'since' in wait ? io.paint('dim', `, for ${span(Date.now() - wait.since.getTime())}`) : '';
    io.print(`- ${clean(describeWait(wait))}${since}`);
    if (wait.problem !== null) io.print(`  ${io.paint('red', 'problem:')} ${clean(wait.problem)}`);
  }
}

function describeWait(wait: Wait): string {
  switch (wait.kind) {
    case 'turn': {
      const due = wait.dueAt === null ? '' : `, due ${moment(wait.dueAt)}`;
      return `its turn: ${wait.messages} message(s)${wait.isLocked ? ', being run' : ''}${attemptOf(wait.attempt)}${due}${hostsOf(wait.runtimes)}`;
    }
    case 'activity': {
      const where = [wait.tag === null ? '' : `tag ${wait.tag}`, wait.sessionId === null ? '' : `session ${wait.sessionId}`];
      const details = where.filter((text) => text !== '').map((text) => `, ${text}`);
      const due = wait.dueAt === null ? '' : `, due ${moment(wait.dueAt)}`;
      const beat = wait.heartbeat === undefined || wait.heartbeat === null ? '' : `, heartbeat ${payload(wait.heartbeat)}`;
      return `activity '${wait.name}' (event ${wait.eventId}): ${wait.state}${attemptOf(wait.attempt)}${details.join('')}${due}${beat}${hostsOf(wait.runtimes)}`;
    }
    case 'timer':
      return `a timer (event ${wait.eventId}), due ${moment(wait.dueAt)}`;
    case 'event':
      return `event '${wait.name}' (event ${wait.eventId}): raise it with duraloom raise`;
    case 'topic':
      return `a message of topic '${wait.pattern}' (event ${wait.eventId})`;
    case 'child':
      return `child '${wait.instanceId}' of '${wait.name}' (event ${wait.eventId}): ${wait.status ?? 'not there'}`;
    case 'operator':
      return `an operator: ${wait.reason}`;
  }
}

function attemptOf(attempt: number): string {
  return attempt > 1 ? `, attempt ${attempt}` : '';
}

function hostsOf(runtimes: readonly string[]): string {
  return runtimes.length === 0 ? '' : `, ${runtimes.length} host(s) can take it`;
}
