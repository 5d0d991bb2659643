// The journal provider as a target of the conformance cases: `npm run conformance -- examples/own-provider/target.ts`.
import type { Clock } from 'duraloom';
import type { ConformanceTarget } from 'duraloom/conformance';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JournalProvider } from './journal-provider.ts';

export const journal: ConformanceTarget = {
  name: 'journal',
  open: async (clock) => {
    const folder = await mkdtemp(join(tmpdir(), 'journal-'));
    // No case can take the power away: without syncs the check is much faster.
    const open = async (itsClock: Clock): Promise<JournalProvider> =>
      new JournalProvider(join(folder, 'journal.jsonl'), { clock: itsClock, sync: false });
    return { provider: await open(clock), reopen: open, remove: () => rm(folder, { recursive: true }) };
  },
};
