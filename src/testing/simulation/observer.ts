// What the store of a simulated world was really asked and what it answered, seen behind all faults: the trace, and a record of everything
// that was committed. Neighbours: world.ts puts it between connections and store, checks.ts compares the record with the end.
//
// V1. It changes nothing: requests and answers pass as they are, in their order.
// V2. Random tokens and ids, and what is ordered by them, do not come into the trace: equal seeds give equal text.
import { OPERATIONS, type Operation } from '../../provider/operations.ts';
import type { OrchestrationAck, OrchestrationAckOutcome, Provider, WorkItemAck, WorkItemOutcome } from '../../provider/provider.ts';
import { encodeRecord } from '../../types/codec.ts';

/** Names an execution. */
export type ExecutionKey = `${number} ${string}`;

/** What was committed. */
export type Committed = {
  /** Pages of events, by execution, in the order of their commits. */
  readonly pages: Map<ExecutionKey, string[]>;
  /** Completions of activities by execution, each as its payload. */
  readonly completions: Map<ExecutionKey, string[]>;
};

/** Where the lines of a trace go; null: nowhere. */
export type Trace = ((line: string) => void) | null;

/** Names an execution in maps. */
export function executionKey(instanceId: string, executionId: number): ExecutionKey {
  return `${executionId} ${instanceId}`;
}

/** Makes an empty record. */
export function emptyRecord(): Committed {
  return { pages: new Map(), completions: new Map() };
}

/**
 * Watches what one process asks of the store.
 *
 * @param store - the store itself; closing what is returned leaves it open
 * @param committed - the record to write
 * @param trace - gets a line for each answer, without time and name
 * @returns a provider that does the same
 */
export function observed(store: Provider, committed: Committed, trace: Trace): Provider {
  const methods = OPERATIONS.map((operation) => [
    operation,
    operation === 'close'
      ? () => Promise.resolve()
      : async (...args: readonly unknown[]): Promise<unknown> => {
          const answer = await (store[operation] as (...given: readonly unknown[]) => Promise<unknown>)(...args);
          note(committed, operation, args, answer);
          trace?.(`${operation} ${describe(args)} -> ${operation === 'listRuntimes' ? '-' : describe(answer)}`);
          return answer;
        },
  ]);
  return { ...(Object.fromEntries(methods) as Omit<Provider, 'name'>), name: store.name };
}

function note({ pages, completions }: Committed, operation: Operation, args: readonly unknown[], answer: unknown): void {
  if (operation === 'ackOrchestrationItems') {
    (args[0] as readonly OrchestrationAck[]).forEach(({ instanceId, executionId, page, completed = [] }, index) => {
      const outcome = (answer as readonly OrchestrationAckOutcome[])[index];
      if (outcome !== 'committed') return;
      if (page !== null) append(pages, executionKey(instanceId, executionId), page.events);
      for (const ack of completed) noteCompletion(completions, ack);
    });
  } else if (operation === 'ackWorkItems') {
    (args[0] as readonly WorkItemAck[]).forEach((ack, index) => {
      if ((answer as readonly WorkItemOutcome[])[index] === 'done') noteCompletion(completions, ack);
    });
  }
}

function noteCompletion(completions: Committed['completions'], { instanceId, executionId, completionPayload }: WorkItemAck): void {
  if (completionPayload !== null) append(completions, executionKey(instanceId, executionId), completionPayload);
}

function append(map: Map<ExecutionKey, string[]>, key: ExecutionKey, text: string): void {
  const texts = map.get(key);
  if (texts === undefined) map.set(key, [text]);
  else texts.push(text);
}

const UNTRACED = /"(?:lockToken|runtimeId|signal)":(?:"[^"]*"|\{\})/g;

/** V2. */
function describe(value: unknown): string {
  return encodeRecord({ value }).slice('{"value":'.length, -1).replaceAll(UNTRACED, '"-":""');
}
