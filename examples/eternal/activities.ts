// What the monitor looks at.
import { freemem, totalmem } from 'node:os';
import { defineActivity } from 'duraloom';

export const measure = defineActivity('measure', () => ({ memoryInUse: Math.round((1 - freemem() / totalmem()) * 100) }));
