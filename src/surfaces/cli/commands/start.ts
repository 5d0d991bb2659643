// `duraloom start`: starts an orchestration, and waits for it if asked. Neighbours: ../parameters.ts, hosts.ts.
import { randomUUID } from 'node:crypto';
import type { StartOptions } from '../../../index.ts';
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { DRY_RUN, JSON_OUTPUT, printResult, STORE, YES } from '../common.ts';
import { attribute, choice, duration, flag, future, integer, option, readJson, repeated, required } from '../parameters.ts';
import { isThere, locateStore } from '../store.ts';
import { clean, payload } from '../text.ts';
import { warnIfNobodyRuns } from './hosts.ts';

const POLICIES = ['fail', 'useExisting', 'replaceTerminal', 'terminateExisting'] as const;

/** The command. */
export const start: Command = defineCommand({
  name: 'start',
  group: 'Act',
  summary: 'Start an orchestration',
  details: `The start is durable when the command returns; a host that has the orchestration runs it. --input is a JSON value, @file, or - for
standard input.`,
  parameters: {
    name: required('<name>', 'Name of the orchestration'),
    id: option('--id <id>', 'Id of the instance; else a random UUID'),
    input: option('-i, --input <json>', 'Its input: JSON, @file, or - for standard input'),
    version: option('--version <version>', 'Version of the code, or a semver range'),
    onExisting: choice('--on-existing <policy>', 'When the id is in use: fail (default), or what is named', POLICIES),
    after: option('--after <duration>', 'Begin so much later, such as 30s', duration),
    at: option('--at <when>', 'Begin at this moment: a date, or how long from now', future),
    priority: option('--priority <level>', '0 to 9', integer(0, 9)),
    attribute: repeated('--attribute <key=value>', 'Attribute to find it by; may be given several times', attribute),
    tag: repeated('--tag <tag>', 'Tag to find it by (an attribute that is true); may be given several times'),
    create: flag('--create', 'Make the SQLite file when it is not there'),
    wait: flag('--wait', 'Wait for the end and print the result'),
    timeout: option('--timeout <duration>', 'Wait so long at most; implies --wait', duration),
    ...DRY_RUN,
    ...YES,
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [
    { line: `duraloom start greet --input '"Ada"'`, what: 'a random id' },
    { line: 'duraloom start order --id order-17 --input @order.json --wait --timeout 1m', what: 'input from a file; prints the result' },
    {
      line: 'duraloom start report --id nightly --on-existing replaceTerminal --at 2030-01-31T03:00:00Z',
      what: 'later, in place of the last one',
    },
  ],
  run: async (context, values) => {
    const { io } = context;
    const { name, id = randomUUID(), onExisting, version, after, at, priority, timeout } = values;
    const input = await readJson(io, values.input, '--input');
    const attributes = Object.fromEntries([...values.attribute, ...values.tag.map((tag) => [tag, true] as const)]);
    const options: StartOptions = {
      ...(onExisting !== undefined && { onExisting }),
      ...(version !== undefined && { version }),
      ...(after !== undefined && { startAfter: after }),
      ...(at !== undefined && { startAt: at }),
      ...(priority !== undefined && { priority }),
      ...(Object.keys(attributes).length > 0 && { attributes }),
    };
    // A dry run makes no store; in one that is not there nothing is in use.
    const isNew = values.dryRun && values.create && !isThere(locateStore(values.store));
    const client = isNew ? null : (await context.openStore(values.store, { create: values.create })).client;
    const existing = (await client?.getState(id)) ?? null;
    if (values.dryRun || client === null) {
      const data = { dryRun: true, instanceId: id, name, input, options, existing: existing?.status ?? null };
      const about = existing === null ? '' : `; the id is in use (${existing.status})`;
      await printResult(context, values.json, data, () => io.print(`Would start '${clean(name)}' as instance '${clean(id)}'${about}`));
      return existing === null || (onExisting ?? 'fail') !== 'fail' ? EXIT.ok : EXIT.refused;
    }
    if (existing !== null && onExisting === 'terminateExisting') {
      await io.confirm(`Instance '${clean(id)}' is ${existing.status}: it is terminated if it lives, and replaced. Go on?`, values.yes);
    }
    await client.startOrchestration(id, name, input, options);
    if (!values.wait && timeout === undefined) {
      await printResult(context, values.json, { instanceId: id, name }, () =>
        io.print(`Started '${clean(name)}' as instance '${clean(id)}'`),
      );
      await warnIfNobodyRuns(context, client, name);
      return EXIT.ok;
    }
    await warnIfNobodyRuns(context, client, name);
    const result = await client.waitForResult(id, { signal: context.signal, ...(timeout !== undefined && { timeout }) });
    await printResult(context, values.json, { instanceId: id, name, status: 'Completed', result }, () =>
      io.print(payload(result) || 'Completed'),
    );
    return EXIT.ok;
  },
});
