// Which lists the tests of big stores ask for. Neighbours: tests/provider/postgres-lists.test.ts, sqlite-lists.test.ts.
import type { InstanceFilter, InstanceOrder } from '../../src/provider/management.ts';

const attribute = (key: string, value: string): { readonly key: string; readonly value: string } => ({ key, value: `"${value}"` });

/** Of the stores that postgres-lists.test.ts and sqlite-lists.test.ts make. */
export const LIST_FILTERS: Readonly<Record<string, InstanceFilter>> = {
  all: {},
  'a frequent name': { name: 'mail' },
  'a rare name': { name: 'rare' },
  'an unknown name': { name: 'nobody' },
  'a rare status': { statuses: ['Failed'] },
  'the rarest status': { statuses: ['Suspended'] },
  'who lives': { statuses: ['Pending', 'Running', 'Suspended', 'Quarantined'] },
  'who runs or failed': { statuses: ['Running', 'Failed'] },
  'the common status': { statuses: ['Completed'] },
  'who runs of a rare name': { name: 'rare', statuses: ['Running'] },
  'a frequent name that failed': { name: 'order', statuses: ['Failed'] },
  'a large family': { parentInstanceId: 'big' },
  'a small family': { parentInstanceId: 'small' },
  'a rare attribute': { attributes: [attribute('customer', 'c77')] },
  'a frequent attribute': { attributes: [attribute('region', 'eu')] },
  'two attributes': { attributes: [attribute('region', 'eu'), attribute('customer', 'c76')] },
  'an attribute and a status': { attributes: [attribute('region', 'eu')], statuses: ['Running'] },
  'a time of the start': { createdFromMs: 1_050_000, createdBeforeMs: 1_050_300 },
  'a text': { search: '77' },
};
/** All orders. */
export const LIST_ORDERS: readonly InstanceOrder[] = ['id', 'createdAt', 'endedAt'];

/**
 * Gives a filter in plain SQL, which both databases understand.
 *
 * @param filter - which instances
 * @param attributes - the table of attributes, and the column by which it names instances
 * @returns a condition on the instances `i`
 */
export function toCondition(
  { name, statuses, parentInstanceId, attributes: wanted = [], createdFromMs, createdBeforeMs, search }: InstanceFilter,
  attributes: { readonly table: string; readonly column: string },
): string {
  const conditions = [
    ...(name === undefined ? [] : [`name = '${name}'`]),
    ...(statuses === undefined ? [] : [`status IN (${statuses.map((status) => `'${status}'`).join(', ')})`]),
    ...(parentInstanceId === undefined ? [] : [`parent_instance_id = '${parentInstanceId}'`]),
    ...wanted.map(
      ({ key, value }) =>
        `EXISTS (SELECT 1 FROM ${attributes.table} a WHERE a.${attributes.column} = i.${attributes.column} AND a.key = '${key}' AND a.value = '${value}')`,
    ),
    ...(createdFromMs === undefined ? [] : [`created_at >= ${createdFromMs}`]),
    ...(createdBeforeMs === undefined ? [] : [`created_at < ${createdBeforeMs}`]),
    ...(search === undefined ? [] : [`instance_id LIKE '%${search}%'`]),
  ];
  return ['true', ...conditions].join(' AND ');
}
