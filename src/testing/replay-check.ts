// Double replay: every instance of a store is rebuilt from its history in another engine, which must decide the same. It finds what no run shows:
// code that decides by something that lives outside the history, such as a variable of a module. Neighbours: replayer.ts, test-runtime.ts.
import type { Client } from '../client/client.ts';
import type { InstanceState } from '../client/instance-state.ts';
import type { InstancePage } from '../client/listing.ts';
import type { DefinitionSource } from '../threads/registry.ts';
import { exportHistory } from './recorded-history.ts';
import { makeReplayError } from './replay-all.ts';
import { replayRecorded } from './replay-history.ts';
import { Replayer } from './replayer.ts';

/** Instances of one page. */
const PAGE = 1_000;

/**
 * Replays all instances that have a history, ended or not. Those in quarantine have been found out already.
 *
 * @param client - of the store
 * @param sources - the code
 * @throws {HistoryMismatchError} when one instance does not follow its history
 * @throws {ReplayError} when several do not
 */
export async function checkReplay(client: Client, sources: readonly DefinitionSource[]): Promise<void> {
  const failures: { readonly source: string; readonly error: unknown }[] = [];
  const replayer = await Replayer.open(sources);
  let count = 0;
  try {
    for await (const { instanceId, status } of listAll(client)) {
      if (status === 'Quarantined' || (await client.readHistory(instanceId)).length === 0) continue;
      count += 1;
      try {
        await replayRecorded(replayer, await exportHistory(client, instanceId));
      } catch (error) {
        failures.push({ source: instanceId, error });
      }
    }
  } finally {
    replayer.close();
  }
  if (failures.length === 1) throw failures[0]?.error;
  if (failures.length > 1) throw makeReplayError(failures, count);
}

async function* listAll(client: Client): AsyncGenerator<InstanceState, void, void> {
  let cursor: string | null = null;
  do {
    const page: InstancePage = await client.listInstances({ limit: PAGE, orderBy: 'id', ...(cursor !== null && { cursor }) });
    yield* page.instances;
    cursor = page.cursor;
  } while (cursor !== null);
}
