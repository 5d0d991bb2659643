// The files of a new project: an approval that waits for an event, a retrying activity, and a host that runs them and serves the dashboard.
// Neighbour: commands/init.ts writes them.
import { encodeRecord } from '../../types/codec.ts';

/** What differs between projects. */
export type ScaffoldOptions = {
  readonly name: string;
  /** What the project depends on, such as `^0.1.0` or `file:../duraloom`. */
  readonly dependency: string;
  /** Options of Node that the host needs, with a space behind each; in a clone: those that make the package mean its source. */
  readonly nodeFlags: string;
  /** Version of the package `node` that the project brings; null: the machine's is new enough. */
  readonly node: string | null;
  /** False: the dashboard is not built, in a clone. */
  readonly hasDashboard: boolean;
};

/**
 * Makes the files of a project.
 *
 * @param options - what differs
 * @returns text by path
 */
export function scaffold(options: ScaffoldOptions): ReadonlyMap<string, string> {
  return new Map([
    ['package.json', packageJson(options)],
    ['tsconfig.json', tsconfig(options)],
    ['.gitignore', GITIGNORE],
    ['activities.ts', ACTIVITIES],
    ['orchestrations.ts', ORCHESTRATIONS],
    ['host.ts', host(options)],
    ['README.md', readme(options)],
  ]);
}

function packageJson({ name, dependency, nodeFlags, node }: ScaffoldOptions): string {
  const manifest = {
    name,
    version: '0.0.0',
    private: true,
    type: 'module',
    engines: { node: '>=22.18' },
    scripts: { start: `node ${nodeFlags}host.ts`, types: 'tsc' },
    dependencies: { duraloom: dependency },
    devDependencies: { '@types/node': '^24.0.0', ...(node !== null && { node }), typescript: '>=5.9' },
    // npm runs install scripts of packages that are named here only.
    ...(node !== null && { allowScripts: { node: true } }),
  };
  return `${indent(encodeRecord(manifest))}\n`;
}

/** Two levels are enough for a manifest, and none of its texts has these characters inside. */
function indent(json: string): string {
  let depth = 0;
  let isText = false;
  let out = '';
  for (const character of json) {
    if (character === '"') isText = !isText;
    if (isText) out += character;
    else if (character === '{' || character === '}') {
      depth += character === '{' ? 1 : -1;
      const line = `\n${'  '.repeat(depth)}`;
      out += character === '{' ? `{${line}` : `${line}}`;
    } else if (character === ',') out += `,\n${'  '.repeat(depth)}`;
    else out += character === ':' ? ': ' : character;
  }
  return out;
}

function tsconfig({ nodeFlags }: ScaffoldOptions): string {
  // As for Node: the types of a clone are its source.
  const conditions = nodeFlags === '' ? '' : '\n    "customConditions": ["duraloom-source"],';
  return `{
  "compilerOptions": {${conditions}
    "strict": true,
    "noEmit": true,
    "module": "nodenext",
    "target": "es2023",
    "types": ["node"],
    "skipLibCheck": true,
    "allowImportingTsExtensions": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true
  },
  "include": ["*.ts"]
}
`;
}

const GITIGNORE = `node_modules
duraloom.db*
`;

const ACTIVITIES = `// Activities do the work: they may do I/O, and may run again after a crash or a failure.
import { defineActivity } from 'duraloom';

export type Order = { readonly item: string; readonly amount: number };

/** Fails now and then, as a bank does: its callers retry. */
export const charge = defineActivity('charge', async (ctx, order: Order): Promise<string> => {
  if (Math.random() < 0.5) throw new Error(\`the bank does not answer (\${ctx.instanceId})\`);
  return \`receipt for \${order.amount}\`;
});

export const ship = defineActivity('ship', async (_ctx, order: Order): Promise<string> => \`\${order.item} is on its way\`);
`;

const ORCHESTRATIONS = `// Orchestrations decide: everything that they await survives a restart. They are replayed, so they do no I/O themselves.
import { defineOrchestration } from 'duraloom';
import { charge, ship, type Order } from './activities.ts';

type Approval = { readonly by: string };

/** Waits for a person's approval, then charges and ships. */
export const order = defineOrchestration('order', async (ctx, input: Order) => {
  ctx.setCustomStatus('waits for approval');
  const approval = await ctx.waitForEvent<Approval>('approved');
  ctx.setCustomStatus(\`approved by \${approval.by}\`);
  const receipt = await ctx.scheduleActivity(charge, input, { retry: { maximumAttempts: 20, initialIntervalMs: 200 } });
  const shipped = await ctx.scheduleActivity(ship, input);
  return { receipt, shipped, approvedBy: approval.by };
});
`;

function host({ hasDashboard }: ScaffoldOptions): string {
  return `// The host: runs orchestrations and activities in threads, on one file, and serves the dashboard on loopback. Ctrl-C stops it; nothing is lost.
import { Client, Runtime } from 'duraloom';
import { serve } from 'duraloom/http';
import { prometheusRegistry } from 'duraloom/metrics';
import { SqliteProvider } from 'duraloom/sqlite';

const provider = await SqliteProvider.open('duraloom.db');
const runtime = await Runtime.start({
  provider,
  orchestrations: new URL('./orchestrations.ts', import.meta.url),
  activities: new URL('./activities.ts', import.meta.url),
});
const client = new Client(provider);
const server = await serve({
  client,
  provider,
  runtimes: [runtime],
  metrics: await prometheusRegistry(runtime, { queueDepths: { provider } }),
  dashboard: ${hasDashboard},
  port: Number(process.env['PORT'] ?? 8090),
});
console.log(\`The dashboard is at \${server.url}\`);

// An order to look at; the second start of this host finds it where it was.
await client.startOrchestration('order-1', 'order', { item: 'a kettle', amount: 25 }, { onExisting: 'useExisting' });

const stop = async (): Promise<void> => {
  await server.close();
  await runtime.shutdown();
  await provider.close();
};
process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());
`;
}

function readme({ name }: ScaffoldOptions): string {
  return `# ${name}

\`\`\`sh
npm install
npm start          # the host; it prints the address of the dashboard
\`\`\`

The order \`order-1\` waits for an approval. In another terminal, in this folder:

\`\`\`sh
npx duraloom list
npx duraloom why order-1
npx duraloom raise order-1 approved --data '{ "by": "Ada" }'
npx duraloom watch order-1
\`\`\`

Stop the host with Ctrl-C, or kill it: when it starts again, everything goes on where it was. Start more orders with

\`\`\`sh
npx duraloom start order --id order-2 --input '{ "item": "a lamp", "amount": 40 }'
\`\`\`

| file                | what is in it                                         |
| ------------------- | ----------------------------------------------------- |
| \`orchestrations.ts\` | what is to happen, in which order                     |
| \`activities.ts\`     | the work                                              |
| \`host.ts\`           | starts the runtime and the dashboard                  |
| \`duraloom.db\`       | the store, made by the host: everything that happened |
`;
}
