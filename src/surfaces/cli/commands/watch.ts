// `duraloom watch`: follows an instance until it ends, through all its executions. Neighbours: events.ts, instances.ts.
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, HistoryEvent, InstanceState } from '../../../index.ts';
import { isEnded } from '../../../types/instance.ts';
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command, type CommandContext } from '../command.ts';
import { JSON_OUTPUT, STORE } from '../common.ts';
import { flag, required } from '../parameters.ts';
import { clean, moment, payload, toJson } from '../text.ts';
import { describeEvent } from './events.ts';
import { describeFailure, paintOf, readInstance } from './instances.ts';

/** How often to look: changes of other processes are polled for in the store, too. */
const LOOK_EVERY_MS = 200;

/** What `--json` prints, a line each. */
type Line =
  | { readonly kind: 'status'; readonly status: string; readonly executionId: number; readonly customStatus: unknown }
  | { readonly kind: 'event'; readonly executionId: number; readonly event: HistoryEvent }
  | { readonly kind: 'ended'; readonly instance: InstanceState };

/** The command. */
export const watch: Command = defineCommand({
  name: 'watch',
  group: 'Look',
  summary: 'Follow an instance until it ends',
  details: 'Prints each event, change of status and custom status as it comes. Ends with exit code 0 when the instance completes, else 1.',
  parameters: {
    id: required('<id>', 'Id of the instance'),
    fromNow: flag('--from-now', 'Leave out what has happened already'),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: 'duraloom watch order-17', what: 'until it ends, or Ctrl-C' },
    { line: 'duraloom watch order-17 --from-now --json', what: 'a JSON document per line' },
  ],
  run: async (context, { id, fromNow, store, json }) => {
    const { client } = await context.openStore(store);
    const print = json ? (line: Line): void => context.io.print(toJson(line)) : (line: Line): void => printLine(context, line);
    const ended = await follow(context, client, { id, fromNow, print });
    return ended.status === 'Completed' ? EXIT.ok : EXIT.failed;
  },
});

type Following = { readonly id: string; readonly fromNow: boolean; readonly print: (line: Line) => void };

async function follow({ signal }: CommandContext, client: Client, { id, fromNow, print }: Following): Promise<InstanceState> {
  const first = await readInstance(client, id);
  let executionId = fromNow ? first.executionId : 1;
  let afterEventId = fromNow ? first.eventCount : 0;
  let told = '';
  for (;;) {
    signal.throwIfAborted();
    // The state first: what its execution has told by then is in the history.
    const state = await readInstance(client, id);
    for (; executionId <= state.executionId; executionId += 1, afterEventId = 0) {
      for (const event of await client.readHistoryAfter(id, { executionId, afterEventId })) {
        print({ kind: 'event', executionId, event });
        afterEventId = event.id;
      }
      if (executionId === state.executionId) break;
    }
    const { status, customStatus } = state;
    const now = toJson([status, state.executionId, customStatus]);
    if (now !== told) print({ kind: 'status', status, executionId: state.executionId, customStatus });
    told = now;
    if (isEnded(status)) {
      print({ kind: 'ended', instance: state });
      return state;
    }
    await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}

function printLine({ io }: CommandContext, line: Line): void {
  switch (line.kind) {
    case 'event': {
      const { id, atMs, kind } = line.event;
      io.print(
        `${io.paint('dim', `${moment(new Date(atMs))} #${id}`)} ${clean(kind)} ${io.paint('dim', clean(describeEvent(line.event)))}`,
      );
      return;
    }
    case 'status': {
      const custom = line.customStatus === undefined || line.customStatus === null ? '' : ` ${payload(line.customStatus)}`;
      io.print(`${io.paint(paintOf(line.status), line.status)} (execution ${line.executionId})${custom}`);
      return;
    }
    case 'ended': {
      const { error, result } = line.instance;
      if (error !== undefined) io.print(io.paint('red', clean(describeFailure(error))));
      else if (result !== undefined) io.print(payload(result));
    }
  }
}
