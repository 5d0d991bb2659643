// A process of row W12: a runtime on a schema that it shares, which starts orchestrations when it is told and says when all of its own have ended.
// Neighbour: fleet.ts.
import { parseRecord } from '../src/types/codec.ts';
import { assertResults, withHost, type Host } from './host.ts';
import type { BenchOptions } from './options.ts';
import { fanOut } from './orchestrations.ts';
import { WIDTH } from './raw-ceiling.ts';

/** The argument. */
export type FleetTask = { readonly options: BenchOptions; readonly folder: string; readonly schema: string };

/** What it is told. Each `run` is answered when it is done; the first answer, without an order, says that the runtime runs. */
export type FleetOrder = { readonly kind: 'run'; readonly prefix: string; readonly count: number } | { readonly kind: 'stop' };

const { schema, ...task } = parseRecord(process.argv[2] ?? '{}') as FleetTask;
// A bench that was interrupted: there is nobody to run for.
process.once('disconnect', () => process.exit(1));

function answer(): void {
  if (process.send === undefined) throw new TypeError('fleet-host.ts is started by bench/fleet.ts only: call npm run bench -- W12');
  process.send('done');
}

async function obey({ client }: Host): Promise<void> {
  answer();
  for (;;) {
    const order = await new Promise<FleetOrder>((resolve) => process.once('message', (message) => resolve(message as FleetOrder)));
    if (order.kind === 'stop') return;
    const ids = Array.from({ length: order.count }, (_, index) => `${order.prefix}-${String(index).padStart(6, '0')}`);
    const handles = await Promise.all(ids.map((instanceId) => client.startOrchestration<number>(instanceId, fanOut.name, WIDTH)));
    assertResults(await Promise.all(handles.map((handle) => handle.result())), () => WIDTH);
    answer();
  }
}

await withHost(task, obey, { schema });
process.removeAllListeners('disconnect');
process.disconnect();
