// Metrics and log lines: each once, whatever is replayed.
//
// Covered elsewhere:
// | case                                                             | where                                                   |
// | ---------------------------------------------------------------- | ------------------------------------------------------- |
// | `ctx.log` and `ctx.metrics` on replay, event by event            | tests/replay/deterministic-helpers.test.ts, sub-orchestrations.test.ts |
// | log formats, levels, exporters; fault injection; active gauges   | not there: the host's logger and metrics library do that |
import { once } from 'node:events';
import { defineOrchestration, type MetricLabels, type MetricPoint, type MetricSeries } from 'duraloom';
import { expect, test } from 'vitest';
import { PATIENCE } from '../support/integration-stage.ts';
import { causeOf, describeInHouses, type House } from './fixtures/house.ts';

function matches(series: MetricSeries, name: string, labels: MetricLabels): boolean {
  return series.name === name && Object.entries(labels).every(([label, text]) => series.labels[label] === text);
}

/** Value of a counter or gauge, or number of observations, over all series that match. */
function measured(house: House, name: string, labels: MetricLabels = {}): number {
  const found = house.runtime.metrics().filter((series) => matches(series, name, labels));
  return found.reduce((sum, series) => sum + (series.kind === 'histogram' ? series.count : series.value), 0);
}

const named = (name: string, code: Parameters<typeof defineOrchestration>[1]) => defineOrchestration(name, code);

const counts = named('counts', async (ctx) => {
  ctx.metrics.counter('orders_total', 1, { region: 'eu' });
  ctx.metrics.counter('orders_total', 2, { region: 'eu' });
  await ctx.scheduleTimer(1);
  ctx.metrics.histogram('cents', 250);
  await ctx.scheduleTimer(1);
  ctx.metrics.gauge('last', 7);
  ctx.metrics.gauge('last', 9);
});

const failing = named('fails', () => {
  throw new Error('no');
});

const eternal = defineOrchestration('eternal', async (ctx, left: number): Promise<string> => {
  await ctx.scheduleTimer(1);
  return left === 0 ? 'over' : await ctx.continueAsNew(left - 1);
});

const child = named('child', (ctx) => ctx.scheduleTimer(1));

const parent = named('parent', async (ctx) => {
  await ctx.all([ctx.scheduleSubOrchestration('child'), ctx.scheduleSubOrchestration('child')]);
  await ctx.scheduleSubOrchestration('fails').catch(() => undefined);
});

const waits = named('waits', (ctx) => ctx.waitForEvent('never'));

const definitions = [counts, failing, eternal, child, parent, waits];

describeInHouses(
  'a measurement',
  (house) => {
    const run = async (name: string, input?: unknown): Promise<void> => {
      const handle = await house.client.startOrchestration(house.newId(), name, input);
      await handle.result({ timeout: PATIENCE }).catch(() => undefined);
    };

    test('of an orchestration counts once, however often it is replayed', async () => {
      await run('counts');
      expect(measured(house, 'orders_total', { region: 'eu' })).toBe(3);
      expect(measured(house, 'cents')).toBe(1);
      expect(measured(house, 'last')).toBe(9);
    });

    test('is refused when it is none', async () => {
      const codes = await house.result((ctx) =>
        [
          () => ctx.metrics.counter('negative', -1),
          () => ctx.metrics.histogram('none', Number.NaN),
          () => ctx.metrics.gauge('bad name', 1),
        ].map((call) => {
          try {
            call();
          } catch (error) {
            return (error as { readonly code?: string }).code;
          }
          return 'taken';
        }),
      );
      expect(codes).toEqual(['ARGUMENT_INVALID', 'ARGUMENT_INVALID', 'ARGUMENT_INVALID']);
    });

    test('of starts, ends and turns is one for each execution', async () => {
      await run('eternal', 2);
      const labels = { orchestration: 'eternal', version: '1.0.0' };
      expect(measured(house, 'duraloom_orchestration_starts_total', { ...labels, initiated_by: 'client' })).toBe(1);
      expect(measured(house, 'duraloom_orchestration_starts_total', { ...labels, initiated_by: 'continueAsNew' })).toBe(2);
      expect(measured(house, 'duraloom_orchestration_completions_total', { ...labels, status: 'continuedAsNew' })).toBe(2);
      expect(measured(house, 'duraloom_orchestration_completions_total', { ...labels, status: 'completed' })).toBe(1);
      expect(measured(house, 'duraloom_orchestration_duration_seconds', labels)).toBe(1);
      const turns = house.runtime.metrics().find((series) => matches(series, 'duraloom_orchestration_turns', { orchestration: 'eternal' }));
      // Two turns in each: the start, the timer.
      expect(turns).toMatchObject({ kind: 'histogram', count: 3, sum: 6 });
      const events = house.runtime
        .metrics()
        .find((series) => matches(series, 'duraloom_orchestration_history_size', { orchestration: 'eternal' }));
      expect(events).toMatchObject({ count: 3, sum: 12 });
    });

    test('of a life is as long as the life, over all its executions', async () => {
      const code = defineOrchestration('lives', async (ctx, round: number): Promise<void> => {
        await ctx.scheduleTimer(30);
        if (round < 2) await ctx.continueAsNew(round + 1);
      });
      await house.restart({ orchestrations: [code] });
      await run('lives', 0);
      const series = house.runtime
        .metrics()
        .find((series) => matches(series, 'duraloom_orchestration_duration_seconds', { orchestration: 'lives' }));
      expect(series).toMatchObject({ count: 1 });
      expect((series as { readonly sum: number }).sum).toBeGreaterThanOrEqual(0.09);
      await house.restart();
    });

    test('of failures and cancellations tells them apart', async () => {
      await run('fails');
      const handle = await house.client.startOrchestration(house.newId(), 'waits');
      await handle.cancel();
      await causeOf(handle);
      expect(measured(house, 'duraloom_orchestration_completions_total', { orchestration: 'fails', status: 'failed' })).toBe(1);
      expect(measured(house, 'duraloom_orchestration_completions_total', { orchestration: 'waits', status: 'cancelled' })).toBe(1);
    });

    test('of children is by parent and child', async () => {
      await house.restart();
      await run('parent');
      const labels = { parent: 'parent', child: 'child' };
      expect(measured(house, 'duraloom_suborchestration_calls_total', labels)).toBe(2);
      expect(measured(house, 'duraloom_suborchestration_duration_seconds', { ...labels, outcome: 'completed' })).toBe(2);
      expect(measured(house, 'duraloom_suborchestration_duration_seconds', { parent: 'parent', child: 'fails', outcome: 'failed' })).toBe(
        1,
      );
      expect(measured(house, 'duraloom_orchestration_starts_total', { orchestration: 'child', initiated_by: 'parent' })).toBe(2);
    });

    test('of activities counts every attempt by its outcome', async () => {
      await house.restart();
      const deed = house.deed(({ attempt }) => {
        if (attempt < 3) throw new Error('again');
      });
      await house.result((ctx) => ctx.scheduleActivity('perform', deed, { retry: { initialIntervalMs: 1 } }));
      const labels = { activity: 'perform' };
      expect(measured(house, 'duraloom_activity_executions_total', { ...labels, outcome: 'failed' })).toBe(2);
      expect(measured(house, 'duraloom_activity_executions_total', { ...labels, outcome: 'completed' })).toBe(1);
      expect(measured(house, 'duraloom_activity_duration_seconds', labels)).toBe(3);
    });

    test('of the store is by operation', async () => {
      await run('counts');
      expect(measured(house, 'duraloom_provider_operation_duration_seconds', { operation: 'ackOrchestrationItems' })).toBeGreaterThan(0);
      expect(measured(house, 'duraloom_provider_errors_total')).toBe(0);
    });

    test('of a quarantined instance is one', async () => {
      let isBroken = false;
      const handle = await house.play(async (ctx) => {
        ctx.log.info('waiting');
        await ctx.waitForEvent(isBroken ? 'other' : 'go');
      });
      await house.log.message('waiting', handle.instanceId);
      isBroken = true;
      await house.restart();
      await handle.raiseEvent('go');
      await handle.result({ timeout: PATIENCE }).catch(() => undefined);
      expect(measured(house, 'duraloom_orchestration_quarantined_total', { orchestration: 'play' })).toBe(1);
      expect(measured(house, 'duraloom_orchestration_completions_total', { orchestration: 'play' })).toBe(0);
      await handle.terminate();
    });

    test('goes to the bridge as well, point by point', async () => {
      const points: MetricPoint[] = [];
      await house.restart({ metrics: { record: (point) => void points.push(point) } });
      await run('counts');
      expect(points.filter(({ name }) => name === 'orders_total').map(({ value }) => value)).toEqual([1, 2]);
      await house.restart();
    });

    test('goes on when the bridge throws', async () => {
      const warned = once(process, 'warning');
      await house.restart({
        metrics: {
          record: () => {
            throw new Error('the bridge is down');
          },
        },
      });
      expect(await house.result((ctx) => ctx.scheduleTimer(1))).toBeUndefined();
      expect((await warned)[0]).toMatchObject({ message: 'the bridge is down' });
    });

    test('with ever new labels fills a bounded number of series', async () => {
      await house.restart();
      await house.result((ctx) => {
        for (let index = 0; index < 500; index += 1) ctx.metrics.counter('many_total', 1, { index: String(index) });
      });
      const series = house.runtime.metrics().filter(({ name }) => name === 'many_total');
      expect(series.length).toBeLessThanOrEqual(201);
      expect(measured(house, 'many_total')).toBe(500);
      expect(measured(house, 'many_total', { overflow: 'true' })).toBe(300);
    });
  },
  { definitions },
);

describeInHouses('a log line', (house) => {
  test('of an orchestration appears once, with level, fields and origin', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.debug('line', { step: 1 });
      await ctx.scheduleTimer(1);
      ctx.log.info('line', { step: 2 });
      await ctx.scheduleTimer(1);
      ctx.log.warn('line', { step: 3 });
      await ctx.scheduleTimer(1);
      ctx.log.error('line', { step: 4 });
    });
    await handle.result({ timeout: PATIENCE });
    const lines = house.log.lines.filter(({ message, fields }) => message === 'line' && fields['instanceId'] === handle.instanceId);
    expect(lines.map(({ level, fields }) => [level, fields['step']])).toEqual([
      ['debug', 1],
      ['info', 2],
      ['warn', 3],
      ['error', 4],
    ]);
    expect(lines[0]?.fields).toMatchObject({ executionId: 1 });
  });

  test('appears once although the host was restarted in between', async () => {
    const handle = await house.play(async (ctx) => {
      ctx.log.info('before');
      await ctx.waitForEvent('go');
      ctx.log.info('after');
    });
    await house.log.message('before', handle.instanceId);
    await house.restart();
    await handle.raiseEvent('go');
    await handle.result({ timeout: PATIENCE });
    await house.log.message('after', handle.instanceId);
    const messages = house.log.lines.filter(({ fields }) => fields['instanceId'] === handle.instanceId).map(({ message }) => message);
    expect(messages).toEqual(['before', 'after']);
  });

  test('of a last turn that fails appears as well', async () => {
    const handle = await house.play((ctx) => {
      ctx.log.error('last words');
      throw new Error('no');
    });
    await causeOf(handle);
    await house.log.message('last words', handle.instanceId);
  });
});
