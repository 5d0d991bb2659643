// Histories that were not validated before: the views show something, and neither throw nor hang. What they show then means little.
import type { HistoryEvent } from 'duraloom';
import { openDecisions, toHtmlReport, toMermaid, toTimeline, toTimeTravel } from 'duraloom/views';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fcParameters, seeded } from '../../support/seed.ts';
import { histories } from './kit.ts';

const state = { instanceId: 'i', name: 'n', version: null, status: 'Running', executionId: 1, createdAt: 0, updatedAt: 1 } as const;

describe(seeded('damaged histories'), () => {
  test('are shown all the same: events dropped, repeated and in another order', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.array(fc.nat(), { minLength: 1, maxLength: 60 }), async (given, picks) => {
        const all = (await given).flat();
        const damaged = picks.map((pick) => all[pick % all.length]).filter((event): event is HistoryEvent => event !== undefined);
        expect(toTimeline(damaged).spans.length).toBeLessThanOrEqual(damaged.length);
        const travel = toTimeTravel(damaged);
        for (let eventId = 0; eventId <= damaged.length; eventId += 1) expect(travel.at(eventId).eventId).toBe(eventId);
        expect(openDecisions(damaged).length).toBeLessThanOrEqual(damaged.length);
        for (const kind of ['sequence', 'gantt'] as const) expect(toMermaid(damaged, { kind })).toMatch(/^(?:sequenceDiagram|gantt)\n/);
        expect(toHtmlReport({ state, history: damaged })).toMatch(/^<!doctype html>[^]*<\/html>/);
      }),
      fcParameters({ numRuns: 150 }),
    );
  });
});
