// `duraloom tree`: an instance with its descendants. Neighbour: instances.ts.
import type { InstanceTree } from '../../../index.ts';
import { EXIT } from '../cli-error.ts';
import { defineCommand, type Command } from '../command.ts';
import { JSON_OUTPUT, printResult, STORE } from '../common.ts';
import type { Io } from '../io.ts';
import { integer, option, required } from '../parameters.ts';
import { clean } from '../text.ts';
import { paintOf } from './instances.ts';

/** The command. */
export const tree: Command = defineCommand({
  name: 'tree',
  group: 'Look',
  summary: 'Show an instance with its children and theirs',
  parameters: {
    id: required('<id>', 'Id of the instance at the top'),
    limit: option('--limit <count>', 'At most so many instances; default 1000', integer(1, 100_000)),
    ...STORE,
    ...JSON_OUTPUT,
  },
  examples: [{ line: 'duraloom tree order-17', what: 'who started whom' }],
  run: async (context, { id, limit, store, json }) => {
    const { client } = await context.openStore(store);
    const top = await client.getTree(id, { ...(limit !== undefined && { limit }), signal: context.signal });
    await printResult(context, json, top, () => printTree(context.io, top));
    return EXIT.ok;
  },
});

function printTree(io: Io, top: InstanceTree): void {
  io.print(describeNode(io, top));
  printChildren(io, top, '');
}

function printChildren(io: Io, { children, isTruncated }: InstanceTree, indent: string): void {
  children.forEach((child, index) => {
    const isLast = index === children.length - 1 && !isTruncated;
    io.print(`${indent}${isLast ? '└─' : '├─'} ${describeNode(io, child)}`);
    printChildren(io, child, `${indent}${isLast ? '   ' : '│  '}`);
  });
  if (isTruncated) io.print(`${indent}└─ … more: raise --limit, or look at one of them`);
}

function describeNode(io: Io, { instance }: InstanceTree): string {
  const { instanceId, name, status } = instance;
  return `${clean(instanceId)}  ${io.paint('dim', clean(name))}  ${io.paint(paintOf(status), status)}`;
}
