// Contract cases: texts that are often mistreated. Neighbours: case-kit.ts is what they are written with, conformance-cases.ts joins them.
import assert from 'node:assert/strict';
import { MAX_INSTANCE_ID_LENGTH } from '../types/limits.ts';
import {
  BIG,
  ackWork,
  activity,
  cases,
  commit,
  enqueue,
  fetchItems,
  fetchOne,
  fetchOneWork,
  history,
  instanceIds,
  link,
  newInstance,
  only,
  page,
  payloads,
  read,
  start,
  listById,
} from './case-kit.ts';
import type { ConformanceCase } from './conformance-case.ts';

const hostileStrings: readonly string[] = [
  `'; DROP TABLE instances; --`,
  `"double" \`back\` \\slash\\ 'single'`,
  '%_*?$1:name@x{}[]',
  '__proto__',
  'constructor',
  'line\nbreak\r\ntab\t',
  ' leading and trailing ',
  'Zoë e\u0301 é 日本語 \u202Eright to left\u202C \uFEFF',
  '😀👩‍👩‍👧‍👦',
  'null',
  '0',
  'x'.repeat(MAX_INSTANCE_ID_LENGTH),
];

/** See the head of this file. */
export const stringCases: readonly ConformanceCase[] = cases('strings', {
  'hostile instance ids go through every call unchanged': async ({ provider }) => {
    for (const instanceId of hostileStrings) {
      await start(provider, instanceId);
      assert.deepEqual(await enqueue(provider, instanceId, 'm'), ['enqueued']);
      const item = await fetchOne(provider);
      assert.equal(item.instanceId, instanceId);
      await commit(provider, item, { page: page(1), workItems: [activity(1)] });
      const work = await fetchOneWork(provider);
      assert.equal(work.instanceId, instanceId);
      assert.equal(await ackWork(provider, work), 'done');
      assert.equal((await read(provider, instanceId)).instanceId, instanceId);
      assert.equal((await history(provider, instanceId)).length, 1);
      await commit(provider, await fetchOne(provider), { status: 'Completed' });
    }
    const listed = await listById(provider, { limit: 1_000 });
    assert.deepEqual(new Set(instanceIds(listed)), new Set(hostileStrings));
  },
  'instance ids that only look alike are different': async ({ provider }) => {
    const alike = ['a', 'A', 'a ', ' a', 'á', 'a\u0301', 'а', '1', '01', '1.0'];
    await start(provider, ...alike);
    for (const instanceId of alike) await enqueue(provider, instanceId, `for ${instanceId}`);
    const items = await fetchItems(provider);
    assert.deepEqual(new Set(instanceIds(items)), new Set(alike));
    for (const item of items) assert.deepEqual(payloads(item), [`start ${item.instanceId}`, `for ${item.instanceId}`]);
  },
  'hostile texts come back unchanged from every place': async ({ provider }) => {
    const texts = [...hostileStrings, '', '"\\u0000"', '{"__proto__":{"x":"\\ud800"}}', '\u2028\u2029', '🙂'.repeat(1_000)];
    for (const [index, text] of texts.entries()) {
      const instanceId = `i${index}`;
      const name = `name ${text}`;
      await provider.startInstances([newInstance(instanceId, { name, payload: text, parent: link(name), version: text })]);
      await enqueue(provider, instanceId, text);
      const item = await fetchOne(provider);
      assert.deepEqual([item.name, item.version, ...payloads(item)], [name, text, text, text]);
      await commit(provider, item, {
        page: { lastEventId: 1, events: text },
        output: text,
        customStatus: text,
        workItems: [activity(1, { name, payload: text })],
        timers: [{ eventId: 2, visibleAtMs: 0, payload: text }],
      });
      const work = await fetchOneWork(provider);
      assert.deepEqual([work.name, work.payload], [name, text]);
      await ackWork(provider, work, text);
      const record = await read(provider, instanceId);
      assert.deepEqual(
        [record.name, record.version, record.parent?.instanceId, record.output, record.customStatus],
        [name, text, name, text, text],
      );
      assert.equal(only(await history(provider, instanceId)).events, text);
      const last = await fetchOne(provider);
      assert.deepEqual(payloads(last), [text, text]);
      await commit(provider, last);
    }
  },
  'payloads of more than a mebibyte come back unchanged': async ({ provider }) => {
    await provider.startInstances([newInstance('a', { payload: BIG })]);
    await enqueue(provider, 'a', `${BIG}1`);
    const item = await fetchOne(provider);
    assert.ok(payloads(item)[0] === BIG && payloads(item)[1] === `${BIG}1`);
    await commit(provider, item, {
      page: { lastEventId: 1, events: `${BIG}2` },
      output: `${BIG}3`,
      customStatus: `${BIG}4`,
      workItems: [activity(1, { payload: `${BIG}5` })],
    });
    const work = await fetchOneWork(provider);
    assert.ok(work.payload === `${BIG}5`);
    await ackWork(provider, work, `${BIG}6`);
    const record = await read(provider, 'a');
    assert.ok(record.output === `${BIG}3` && record.customStatus === `${BIG}4`);
    assert.ok(only(await history(provider, 'a')).events === `${BIG}2`);
    assert.ok(payloads(await fetchOne(provider))[0] === `${BIG}6`);
  },
});
