// Which instances: the filter options that list, export and the bulk forms share. Neighbours: parameters.ts, commands/.
import type { InstanceFilterOptions, InstanceStatus } from '../../index.ts';
import type { Parameter, Values } from './command.ts';
import { attribute, option, past, repeated, usage } from './parameters.ts';
import { nearest } from './text.ts';

const STATUSES: Readonly<Record<InstanceStatus, true>> = {
  Pending: true,
  Running: true,
  Suspended: true,
  Completed: true,
  Failed: true,
  Cancelled: true,
  Terminated: true,
  Quarantined: true,
};

/** All statuses. */
export const STATUS_NAMES: readonly InstanceStatus[] = Object.keys(STATUSES) as readonly InstanceStatus[];

/** The filter options by type. */
type FilterParameters = {
  readonly name: Parameter<string | undefined>;
  readonly status: Parameter<readonly InstanceStatus[] | undefined>;
  readonly version: Parameter<string | undefined>;
  readonly parent: Parameter<string | undefined>;
  readonly tag: Parameter<string | undefined>;
  readonly attribute: Parameter<readonly (readonly [string, string | number | boolean])[]>;
  readonly createdAfter: Parameter<Date | undefined>;
  readonly createdBefore: Parameter<Date | undefined>;
  readonly updatedAfter: Parameter<Date | undefined>;
  readonly updatedBefore: Parameter<Date | undefined>;
  readonly search: Parameter<string | undefined>;
};

/** The filter options. */
export const FILTERS: FilterParameters = {
  name: option('--name <name>', 'Only this orchestration'),
  status: {
    ...option('--status <statuses>', 'Only these, separated by commas', readStatuses),
    choices: STATUS_NAMES,
  },
  version: option('--version <version>', 'Only this version of the code'),
  parent: option('--parent <id>', 'Only children of this instance'),
  tag: option('--tag <tag>', 'Only those with this tag (an attribute that is true)'),
  attribute: repeated('--attribute <key=value>', 'Only those with this attribute; may be given several times', attribute),
  createdAfter: option('--created-after <when>', 'Only those made later: a date, or how long ago such as 2h', past),
  createdBefore: option('--created-before <when>', 'Only those made earlier', past),
  updatedAfter: option('--updated-after <when>', 'Only those that changed later', past),
  updatedBefore: option('--updated-before <when>', 'Only those that changed last earlier', past),
  search: option('--search <text>', 'Only those whose id has this text'),
};

/**
 * Makes the filter of the client.
 *
 * @param values - what was typed
 * @returns the filter; empty: all instances
 */
export function toFilter(values: Values<typeof FILTERS>): InstanceFilterOptions {
  const { attribute: attributes, ...others } = values;
  const names = Object.keys(FILTERS);
  const given = Object.entries(others).filter(([name, value]) => value !== undefined && names.includes(name));
  return {
    ...(Object.fromEntries(given) as InstanceFilterOptions),
    ...(attributes.length > 0 && { attributes: Object.fromEntries(attributes) }),
  };
}

function readStatuses(text: string, what: string): readonly InstanceStatus[] {
  return text.split(',').map((word) => {
    const found = STATUS_NAMES.find((name) => name.toLowerCase() === word.trim().toLowerCase());
    if (found !== undefined) return found;
    const meant = nearest(word, STATUS_NAMES);
    throw usage(`Expected ${what} to be of ${STATUS_NAMES.join(', ')}, got '${word}'${meant === null ? '' : `. Did you mean ${meant}?`}`);
  });
}
