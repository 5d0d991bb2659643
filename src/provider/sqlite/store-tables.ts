// The tables of a store on one connection, joined to each other. Neighbours: sqlite-provider.ts adds turns to them; enlisted-store.ts uses them
// on a connection that is somebody else's.
import type Database from 'better-sqlite3';
import type { Clock } from '../../types/clock.ts';
import type { StoreChanges } from './changes.ts';
import { CodeTable } from './codes.ts';
import { InstanceControl } from './control.ts';
import { InstanceTable } from './instance-table.ts';
import { LeaseTable } from './leases.ts';
import { LimitTable } from './limits.ts';
import { RoutedItems } from './routed-items.ts';
import { SessionMessageTable } from './session-messages.ts';
import { SessionTable } from './sessions.ts';
import { SubscriptionTable } from './subscriptions.ts';
import { ValueTable } from './values.ts';
import { WorkQueue } from './work-queue.ts';
import { WorkSelection } from './work-selection.ts';

/** Everything but turns. */
export type StoreTables = {
  readonly codes: CodeTable;
  readonly leases: LeaseTable;
  readonly instances: InstanceTable;
  readonly sessions: SessionTable;
  readonly limits: LimitTable;
  readonly sessionMessages: SessionMessageTable;
  readonly values: ValueTable;
  readonly subscriptions: SubscriptionTable;
  readonly work: WorkQueue;
  readonly control: InstanceControl;
  readonly routed: RoutedItems;
};

/**
 * Prepares the tables of a connection.
 *
 * @param database - an open one with the current schema
 * @param parts - `changes`: where they note what somebody may wait for
 * @returns the tables
 */
export function openTables(
  database: Database.Database,
  { clock, changes }: { readonly clock: Clock; readonly changes: StoreChanges },
): StoreTables {
  const codes = new CodeTable(database);
  const leases = new LeaseTable(database);
  const instances = new InstanceTable(database, { clock, codes, changes });
  const sessions = new SessionTable(database, clock);
  const sessionMessages = new SessionMessageTable(database, clock);
  const values = new ValueTable(database, clock);
  const subscriptions = new SubscriptionTable(database, instances);
  const limits = new LimitTable(database, clock);
  const selection = new WorkSelection(database, { sessions, limits });
  const routed = new RoutedItems(database, { clock, sessions });
  const work = new WorkQueue(database, { clock, instances, routed, sessions, limits, selection, sessionMessages, leases });
  const control = new InstanceControl(database, { clock, instances, work, subscriptions, values, changes });
  return { codes, leases, instances, sessions, limits, sessionMessages, values, subscriptions, work, control, routed };
}
