// The other end of row M4: reads each batch and answers one reply for each item, in the form in which the batch came.
import { parentPort } from 'node:worker_threads';
import { readActivityRequests, writeActivityBatch, type ActivityReply, type ActivityRequest, type Wire } from '../src/threads/messages.ts';

/** A batch in one of both forms; empty: an empty answer. */
export type Batch = Wire | readonly ActivityRequest[];

const isFlat = (batch: Batch): batch is Wire => typeof batch[0] !== 'object';

const read = (wire: Wire): readonly ActivityRequest[] => (wire.length === 0 ? [] : readActivityRequests(wire));

const toReply = ({ seq, input }: ActivityRequest): ActivityReply => ({ seq, completionPayload: input, receivedSeq: 0 });

parentPort?.on('message', (batch: Batch) => {
  const answer = isFlat(batch)
    ? writeActivityBatch({
        longestWaitMs: 0,
        logs: [],
        logUnits: 0,
        droppedLogs: 0,
        heartbeats: [],
        steps: [],
        replies: read(batch).map(toReply),
      })
    : batch.map(toReply);
  parentPort?.postMessage(answer);
});
