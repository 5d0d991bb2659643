// The table of operations: all that the HTTP API and the MCP server can do. Neighbour: operation.ts says what one is.
import { controlOperations } from './control.ts';
import { instanceOperations } from './instances.ts';
import type { Operation } from './operation.ts';
import { queueOperations } from './queues.ts';
import { systemOperations } from './system.ts';

/** Every operation, in the order of documents. */
export const operations: readonly Operation[] = [...systemOperations, ...instanceOperations, ...controlOperations, ...queueOperations];
