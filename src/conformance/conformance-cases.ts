// All conformance cases, in the order of the contract. Neighbours: cases-*.ts hold them, run-conformance.ts runs them.
import { abilityCases } from './cases-abilities.ts';
import { batchCases } from './cases-batches.ts';
import { capabilityCases } from './cases-capability.ts';
import { closingCases } from './cases-closing.ts';
import { controlCases } from './cases-control.ts';
import { creationCases } from './cases-creation.ts';
import { dumpCases } from './cases-dumps.ts';
import { fairnessCases } from './cases-fairness.ts';
import { leaseCases } from './cases-leases.ts';
import { limitCases } from './cases-limits.ts';
import { listingCases } from './cases-listing.ts';
import { lockCases } from './cases-locks.ts';
import { messageCases } from './cases-messages.ts';
import { optimisticCases } from './cases-optimistic.ts';
import { orderCases } from './cases-order.ts';
import { plannedCases } from './cases-planned.ts';
import { queueCases } from './cases-queues.ts';
import { readingCases } from './cases-reading.ts';
import { routingCases } from './cases-routing.ts';
import { sessionCases } from './cases-sessions.ts';
import { startCases } from './cases-starts.ts';
import { stringCases } from './cases-strings.ts';
import { tidyingCases } from './cases-tidying.ts';
import { topicCases } from './cases-topics.ts';
import { turnCases } from './cases-turns.ts';
import { valueCases } from './cases-values.ts';
import { waitCases } from './cases-waits.ts';
import { workCases } from './cases-work.ts';
import type { ConformanceCase } from './conformance-case.ts';

/**
 * Every behaviour of the storage contract, for any test runner: open an empty store for each case, call `run`, close. `runConformance` does
 * that, and checks besides that nothing is left behind.
 */
export const conformanceCases: readonly ConformanceCase[] = [
  ...creationCases,
  ...messageCases,
  ...lockCases,
  ...orderCases,
  ...turnCases,
  ...workCases,
  ...leaseCases,
  ...optimisticCases,
  ...readingCases,
  ...batchCases,
  ...waitCases,
  ...stringCases,
  ...closingCases,
  ...startCases,
  ...capabilityCases,
  ...routingCases,
  ...sessionCases,
  ...limitCases,
  ...valueCases,
  ...topicCases,
  ...controlCases,
  ...fairnessCases,
  ...listingCases,
  ...tidyingCases,
  ...queueCases,
  ...dumpCases,
  ...abilityCases,
  ...plannedCases,
];
